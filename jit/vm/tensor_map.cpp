// Limits, the 128 bytes, and which elements a box has.
#include "jit/vm/tensor_map.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace attest::vm {
namespace {

struct TypeRow {
  TensorType type;
  std::string_view name;
  uint32_t bytes;
  uint64_t nan;  // 0: no float type
};
constexpr TypeRow kTypes[] = {
    {TensorType::u8, "u8", 1, 0},
    {TensorType::u16, "u16", 2, 0},
    {TensorType::u32, "u32", 4, 0},
    {TensorType::s32, "s32", 4, 0},
    {TensorType::u64, "u64", 8, 0},
    {TensorType::s64, "s64", 8, 0},
    {TensorType::f16, "f16", 2, 0x7FFF},
    {TensorType::f32, "f32", 4, 0x7FFFFFFF},
    {TensorType::f64, "f64", 8, 0x7FFFFFFFFFFFFFFF},
    {TensorType::bf16, "bf16", 2, 0x7FFF},
};
const TypeRow& row_of(TensorType type) { return kTypes[static_cast<size_t>(type)]; }

constexpr std::string_view kSwizzles[] = {"none", "32B", "64B", "128B"};
constexpr std::string_view kFills[] = {"zeros", "nan"};

[[noreturn]] void unknown(std::string_view what, std::string_view name, const std::string& known) {
  throw std::invalid_argument("unknown " + std::string(what) + " '" + std::string(name) + "', expected" +
                              known);
}

template <size_t N>
size_t find_name(const std::string_view (&names)[N], std::string_view what, std::string_view name) {
  std::string known;
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return i;
    known += " " + std::string(names[i]);
  }
  unknown(what, name, known);
}

// The object's bytes. Not the driver's layout, which is a secret: only this machine reads it.
constexpr uint64_t kMagic = 0x70614d726f736e54;  // "TnsorMap"
struct Packed {
  uint64_t magic;
  uint64_t address;
  uint64_t strides[kMaxTensorRank - 1];
  uint32_t last_index[kMaxTensorRank];  // dims - 1: 2^32 elements are possible
  uint16_t box[kMaxTensorRank];
  uint8_t element_strides[kMaxTensorRank];
  uint8_t rank, type, swizzle, fill;
  uint8_t unused[28];
  uint64_t checksum;
};
static_assert(sizeof(Packed) <= kTensorMapBytes && std::is_trivially_copyable_v<Packed>);

uint64_t checksum(const Packed& packed) {
  Packed plain = packed;
  plain.checksum = 0;
  std::array<std::byte, sizeof(Packed)> bytes;
  std::memcpy(bytes.data(), &plain, sizeof plain);
  uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<uint64_t>(byte)) * 0x100000001b3u;
  return hash;
}

std::string axis(const char* what, size_t i) { return std::string(what) + "[" + std::to_string(i) + "] is "; }

}  // namespace

TensorType tensor_type(std::string_view name) {
  std::string known;
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.type;
    known += " " + std::string(row.name);
  }
  unknown("tensor element type", name, known);
}
Swizzle tensor_swizzle(std::string_view name) {
  return static_cast<Swizzle>(find_name(kSwizzles, "swizzle", name));
}
TensorFill tensor_fill(std::string_view name) {
  return static_cast<TensorFill>(find_name(kFills, "fill", name));
}
std::string_view name_of(TensorType type) { return row_of(type).name; }
uint32_t element_bytes(TensorType type) { return row_of(type).bytes; }
uint64_t fill_element(TensorType type, TensorFill fill) {
  return fill == TensorFill::nan ? row_of(type).nan : 0;
}

std::vector<std::string> TensorMap::problems() const {
  std::vector<std::string> found;
  const auto say = [&](const std::string& sentence) { found.push_back(sentence); };
  if (dims.empty() || dims.size() > kMaxTensorRank)
    say("the rank is " + std::to_string(dims.size()) + ", 1 to 5 are possible");
  if (!dims.empty() && strides.size() != dims.size() - 1)
    say("there are " + std::to_string(strides.size()) + " strides for rank " + std::to_string(dims.size()) +
        ", expected one fewer than the rank");
  if (box.size() != dims.size() || element_strides.size() != dims.size())
    say("box and element strides need as many entries as there are dimensions");
  if (!found.empty()) return found;
  const uint64_t size = element_bytes(type);
  if (address % 16) say("the tensor's address is no multiple of 16");
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 || dims[i] > uint64_t{1} << 32)
      say(axis("dims", i) + std::to_string(dims[i]) + ", 1 to 2^32 are possible");
    if (box[i] == 0 || box[i] > 256) say(axis("box", i) + std::to_string(box[i]) + ", 1 to 256 are possible");
    if (element_strides[i] == 0 || element_strides[i] > 8)
      say(axis("element_strides", i) + std::to_string(element_strides[i]) + ", 1 to 8 are possible");
  }
  for (size_t i = 0; i < strides.size(); ++i)
    if (strides[i] % 16 || strides[i] >= uint64_t{1} << 40)
      say(axis("strides", i) + std::to_string(strides[i]) + " bytes, expected a multiple of 16 below 2^40");
  const uint64_t row = box[0] * size;
  if (row % 16) say("a row of the box has " + std::to_string(row) + " bytes, expected a multiple of 16");
  const uint64_t span = swizzle == Swizzle::none ? row : uint64_t{16} << static_cast<unsigned>(swizzle);
  if (row > span)
    say("a row of the box has " + std::to_string(row) + " bytes, at most the swizzle's " +
        std::to_string(span) + " are possible");
  if (fill == TensorFill::nan && row_of(type).nan == 0)
    say("only float types can be filled with NaN, not " + std::string(name_of(type)));
  return found;
}

std::vector<uint32_t> TensorMap::moved() const {
  std::vector<uint32_t> counts = box;
  for (size_t i = 1; i < counts.size(); ++i)
    counts[i] = (box[i] + element_strides[i] - 1) / element_strides[i];
  return counts;
}

uint64_t TensorMap::box_bytes() const {
  uint64_t bytes = element_bytes(type);
  for (const uint32_t count : moved()) bytes *= count;
  return bytes;
}

std::array<std::byte, kTensorMapBytes> TensorMap::encode() const {
  const std::vector<std::string> wrong = problems();
  if (!wrong.empty()) throw std::invalid_argument("tensor map: " + wrong.front());
  Packed packed{};
  packed.magic = kMagic;
  packed.address = address;
  std::copy(strides.begin(), strides.end(), packed.strides);
  for (size_t i = 0; i < rank(); ++i) {
    packed.last_index[i] = static_cast<uint32_t>(dims[i] - 1);
    packed.box[i] = static_cast<uint16_t>(box[i]);
    packed.element_strides[i] = static_cast<uint8_t>(element_strides[i]);
  }
  packed.rank = static_cast<uint8_t>(rank());
  packed.type = static_cast<uint8_t>(type);
  packed.swizzle = static_cast<uint8_t>(swizzle);
  packed.fill = static_cast<uint8_t>(fill);
  packed.checksum = checksum(packed);
  std::array<std::byte, kTensorMapBytes> bytes{};
  std::memcpy(bytes.data(), &packed, sizeof packed);
  return bytes;
}

TensorMap TensorMap::decode(std::span<const std::byte, kTensorMapBytes> bytes) {
  Packed packed;
  std::memcpy(&packed, bytes.data(), sizeof packed);
  if (packed.magic != kMagic || packed.checksum != checksum(packed) || packed.rank == 0 ||
      packed.rank > kMaxTensorRank || packed.type >= std::size(kTypes) ||
      packed.swizzle >= std::size(kSwizzles) || packed.fill >= std::size(kFills))
    throw std::invalid_argument(
        "these 128 bytes are no tensor map of this machine (vm::TensorMap::encode), or were changed");
  TensorMap map;
  map.type = static_cast<TensorType>(packed.type);
  map.address = packed.address;
  map.strides.assign(packed.strides, packed.strides + (packed.rank - 1));
  for (size_t i = 0; i < packed.rank; ++i) map.dims.push_back(uint64_t{packed.last_index[i]} + 1);
  map.box.assign(packed.box, packed.box + packed.rank);
  map.element_strides.assign(packed.element_strides, packed.element_strides + packed.rank);
  map.swizzle = static_cast<Swizzle>(packed.swizzle);
  map.fill = static_cast<TensorFill>(packed.fill);
  return map;
}

std::vector<BoxRun> box_runs(const TensorMap& map, std::span<const int32_t> coordinates) {
  const uint64_t size = element_bytes(map.type);
  const std::vector<uint32_t> moved = map.moved();
  uint64_t rows = 1;
  for (size_t i = 1; i < map.rank(); ++i) rows *= moved[i];
  // The innermost dimension falls into what is before, in and behind the tensor, alike for every row.
  const int64_t first = coordinates[0], last = first + moved[0];  // the element behind the last one
  const int64_t length = static_cast<int64_t>(map.dims[0]);
  const int64_t begin = std::clamp<int64_t>(0, first, last), end = std::clamp<int64_t>(length, begin, last);
  std::vector<BoxRun> runs;
  for (uint64_t row = 0; row < rows; ++row) {
    bool inside = true, far = false;
    uint64_t address = map.address;
    uint64_t left = row;
    for (size_t i = 1; i < map.rank(); ++i) {
      const int64_t at = coordinates[i] + static_cast<int64_t>(left % moved[i]) * map.element_strides[i];
      left /= moved[i];
      inside = inside && at >= 0 && static_cast<uint64_t>(at) < map.dims[i];
      if (!inside) break;
      uint64_t step = 0;
      far = __builtin_mul_overflow(static_cast<uint64_t>(at), map.strides[i - 1], &step) ||
            __builtin_add_overflow(address, step, &address) || far;
    }
    const uint64_t offset = row * moved[0] * size;
    const auto add = [&](int64_t from, int64_t to, bool in) {
      if (from >= to) return;
      const uint64_t place =
          far ? std::numeric_limits<uint64_t>::max() : address + static_cast<uint64_t>(from) * size;
      runs.push_back({offset + static_cast<uint64_t>(from - first) * size,
                      static_cast<uint64_t>(to - from) * size, in, in ? place : 0});
    };
    if (!inside) {
      add(first, last, false);
      continue;
    }
    add(first, begin, false);
    add(begin, end, true);
    add(end, last, false);
  }
  return runs;
}

}  // namespace attest::vm
