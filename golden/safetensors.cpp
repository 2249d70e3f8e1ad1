// Header to tensors; the checks follow the reference implementation's list (safetensors/src/tensor.rs,
// SafeTensorError).
#include "golden/safetensors.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "golden/json.h"

namespace attest::golden {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // tensor.rs, MAX_HEADER_SIZE

struct Entry {
  StoredTensor tensor;
  uint64_t begin = 0, end = 0;  // bytes from the end of the header
};

std::string range_text(uint64_t begin, uint64_t end) {
  return "[" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

class Reader {
 public:
  explicit Reader(std::shared_ptr<const MappedFile> file) : file_(std::move(file)), budget_(file_->path()) {}

  SafetensorsFile read() {
    const std::string_view header = header_text();
    const JsonValue root = parse_json(header, file_->path(), budget_, kLengthBytes);
    data_ = file_->bytes().subspan(kLengthBytes + header_bytes_);
    std::vector<Entry> entries;
    budget_.charge(root.object()->size() * (sizeof(Entry) + sizeof(StoredTensor)));
    entries.reserve(root.object()->size());
    SafetensorsFile result;
    for (const auto& [name, value] : *root.object()) {
      if (name == "__metadata__") {
        result.metadata = metadata(value);
      } else {
        entries.push_back(entry(name, value));
      }
    }
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    check_cover(entries);
    result.tensors.reserve(entries.size());
    for (Entry& e : entries) {
      e.tensor.bytes = data_.subspan(e.begin, e.end - e.begin);
      result.tensors.push_back(std::move(e.tensor));
    }
    return result;
  }

 private:
  std::string_view header_text() {
    const auto bytes = file_->bytes();
    if (bytes.size() < kLengthBytes) {
      file_->fail("found " + std::to_string(bytes.size()) +
                  " bytes, expected at least the 8 of the header length");
    }
    std::memcpy(&header_bytes_, bytes.data(), kLengthBytes);
    if (header_bytes_ > kMaxHeaderBytes) {
      file_->fail("header length " + std::to_string(header_bytes_) + " is over the format's limit of " +
                  std::to_string(kMaxHeaderBytes) + " bytes");
    }
    if (header_bytes_ > bytes.size() - kLengthBytes) {
      file_->fail("the header of " + std::to_string(header_bytes_) + " bytes ends past the file's " +
                  std::to_string(bytes.size()) + " bytes (truncated?)");
    }
    std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, header_bytes_);
    if (header.empty() || header.front() != '{') file_->fail("byte 8: the header must begin with '{'");
    return header.substr(0, header.find_last_not_of(' ') + 1);  // padding is spaces
  }

  std::map<std::string, std::string> metadata(const JsonValue& value) {
    if (value.object() == nullptr) {
      file_->fail("__metadata__: found " + std::string(value.kind()) + ", expected an object of strings");
    }
    std::map<std::string, std::string> result;
    for (const auto& [key, text] : *value.object()) {
      if (text.string() == nullptr) {
        file_->fail("__metadata__ " + in_quotes(key) + ": found " + std::string(text.kind()) +
                    ", expected a string");
      }
      budget_.charge(key.size() + text.string()->size() + 160);
      result.emplace(key, *text.string());
    }
    return result;
  }

  [[noreturn]] void fail(const std::string& name, const std::string& problem) const {
    file_->fail("tensor " + in_quotes(name) + ": " + problem);
  }

  const JsonValue& member(const std::string& name, const JsonValue& value, std::string_view key) const {
    const JsonValue* found = value.find(key);
    if (found == nullptr) fail(name, "the header entry has no \"" + std::string(key) + "\"");
    return *found;
  }

  // A count is a number written without sign, fraction or exponent.
  uint64_t count(const std::string& name, std::string_view key, const JsonValue& value) const {
    const JsonNumber* number = value.number();
    if (number == nullptr || !number->integer || *number->integer < 0) {
      fail(name,
           "\"" + std::string(key) + "\" holds something that is not a whole number from 0 to 2^63 - 1");
    }
    return static_cast<uint64_t>(*number->integer);
  }

  Entry entry(const std::string& name, const JsonValue& value) {
    if (value.object() == nullptr) {
      fail(name, "found " + std::string(value.kind()) + " in the header, expected an object");
    }
    Entry result;
    budget_.charge(2 * name.size());
    result.tensor.name = name;
    result.tensor.file = file_;

    const JsonValue& dtype = member(name, value, "dtype");
    const auto type =
        dtype.string() == nullptr ? std::optional<ElementType>() : element_type_from_name(*dtype.string());
    if (!type) {
      fail(name, "unknown dtype " +
                     (dtype.string() == nullptr ? std::string(dtype.kind()) : in_quotes(*dtype.string())));
    }
    result.tensor.type = *type;

    const JsonValue& shape = member(name, value, "shape");
    if (shape.array() == nullptr)
      fail(name, "\"shape\" is " + std::string(shape.kind()) + ", expected an array");
    budget_.charge(shape.array()->size() * 4 * sizeof(Index));
    uint64_t bits = static_cast<uint64_t>(info(*type).bits);
    for (const JsonValue& axis : *shape.array()) {
      const uint64_t size = count(name, "shape", axis);
      if (__builtin_mul_overflow(bits, size, &bits))
        fail(name, "the shape's size in bits does not fit 64 bits");
      result.tensor.shape.push_back(static_cast<Index>(size));
    }
    result.tensor.strides = strides(name, result.tensor.shape);

    const JsonValue& offsets = member(name, value, "data_offsets");
    if (offsets.array() == nullptr || offsets.array()->size() != 2) {
      fail(name, "\"data_offsets\" must be an array of two numbers");
    }
    result.begin = count(name, "data_offsets", (*offsets.array())[0]);
    result.end = count(name, "data_offsets", (*offsets.array())[1]);
    const std::string range = "data_offsets " + range_text(result.begin, result.end);
    if (result.end < result.begin) fail(name, range + " end before they begin");
    if (result.end > data_.size()) {
      fail(name, range + " end past the file's " + std::to_string(data_.size()) + " data bytes");
    }
    if (bits % 8 != 0) fail(name, "the shape's size is not a whole number of bytes");
    if (bits / 8 != result.end - result.begin) {
      fail(name, range + " span " + std::to_string(result.end - result.begin) + " bytes, but " +
                     std::string(info(*type).name) + " " + shape_text(result.tensor.shape) + " needs " +
                     std::to_string(bits / 8));
    }
    return result;
  }

  // Row-major strides; an axis of size 0 makes the products of the others unchecked by the byte count, so
  // they are checked here.
  std::vector<Index> strides(const std::string& name, const std::vector<Index>& shape) const {
    std::vector<Index> result(shape.size(), 1);
    for (size_t axis = shape.size(); axis-- > 1;) {
      if (__builtin_mul_overflow(result[axis], shape[axis], &result[axis - 1])) {
        fail(name, "the shape's strides do not fit 64 bits");
      }
    }
    return result;
  }

  void check_cover(const std::vector<Entry>& entries) const {
    uint64_t covered = 0;
    for (const Entry& e : entries) {
      if (e.begin < covered) {
        fail(e.tensor.name, "data_offsets " + range_text(e.begin, e.end) +
                                " overlap the tensor before, which ends at " + std::to_string(covered));
      }
      if (e.begin > covered) {
        fail(e.tensor.name, "data_offsets " + range_text(e.begin, e.end) + " leave a hole of " +
                                std::to_string(e.begin - covered) + " bytes before them");
      }
      covered = e.end;
    }
    if (covered != data_.size()) {
      file_->fail("the tensors cover " + std::to_string(covered) + " of the file's " +
                  std::to_string(data_.size()) + " data bytes");
    }
  }

  std::shared_ptr<const MappedFile> file_;
  AllocationBudget budget_;
  uint64_t header_bytes_ = 0;
  std::span<const std::byte> data_;
};

}  // namespace

SafetensorsFile read_safetensors(const std::shared_ptr<const MappedFile>& file) {
  return Reader(file).read();
}

}  // namespace attest::golden
