// Builds checkpoint files byte by byte, the wrong ones too, by another route than the readers and writers
// under test.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "golden/mapped_file.h"

namespace attest::golden {

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
template <typename T>
std::string raw_values(const std::vector<T>& values) {
  std::string bytes;
  for (const T value : values) bytes += raw(value);
  return bytes;
}

inline std::shared_ptr<const MappedFile> file_of(const std::string& bytes,
                                                 const std::string& name = "test.bin") {
  const auto view = std::as_bytes(std::span(bytes));
  return MappedFile::in_memory(name, std::vector<std::byte>(view.begin(), view.end()));
}

// The sentence of the CheckpointError that `action` throws; fails the test when it throws none.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected a CheckpointError";
  return {};
}

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return raw<uint64_t>(header.size()) + header + data;
}

// Bit by bit, as the polynomial is defined.
inline uint32_t slow_crc32(const std::string& bytes) {
  uint32_t value = ~0u;
  for (const char c : bytes) {
    value ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? (value >> 1) ^ 0xEDB88320u : value >> 1;
  }
  return ~value;
}

// A zip archive; every field that a test wants wrong can be set.
struct ZipPart {
  std::string name, data;
  std::string local_name = name;
  uint16_t flags = 0, method = 0;
  bool descriptor = false;        // sizes and CRC after the data, 32-bit, with signature
  bool zip64 = false;             // sizes and offset in ZIP64 fields
  int64_t stated_size_delta = 0;  // added to the directory's sizes
  uint32_t crc_delta = 0;         // added to every stated CRC
};
struct ZipOptions {
  bool zip64_end = false;
  std::string comment{};
  uint16_t disk = 0;
  int count_delta = 0;
};
inline std::string zip_bytes(const std::vector<ZipPart>& parts, const ZipOptions& options = {}) {
  std::string out, directory;
  for (const ZipPart& part : parts) {
    const auto at = out.size();
    const uint32_t crc = slow_crc32(part.data) + part.crc_delta;
    const uint64_t size = part.data.size();
    const auto flags = static_cast<uint16_t>(part.flags | (part.descriptor ? 8 : 0));
    const auto size32 = part.zip64 ? 0xFFFFFFFFu : static_cast<uint32_t>(size);
    const std::string local_extra =
        part.zip64 ? raw<uint16_t>(1) + raw<uint16_t>(16) + raw(size) + raw(size) : "";
    out += raw<uint32_t>(0x04034b50) + raw<uint16_t>(20) + raw(flags) + raw(part.method) + raw<uint32_t>(0);
    out += part.descriptor ? raw<uint32_t>(0) + raw<uint32_t>(0) + raw<uint32_t>(0)
                           : raw(crc) + raw(size32) + raw(size32);
    out +=
        raw(static_cast<uint16_t>(part.local_name.size())) + raw(static_cast<uint16_t>(local_extra.size()));
    out += part.local_name + local_extra + part.data;
    if (part.descriptor) {
      out += raw<uint32_t>(0x08074b50) + raw(crc) + raw(static_cast<uint32_t>(size)) +
             raw(static_cast<uint32_t>(size));
    }
    const uint64_t stated = size + static_cast<uint64_t>(part.stated_size_delta);
    const auto stated32 = part.zip64 ? 0xFFFFFFFFu : static_cast<uint32_t>(stated);
    const std::string extra =
        part.zip64 ? raw<uint16_t>(1) + raw<uint16_t>(24) + raw(stated) + raw(stated) + raw<uint64_t>(at)
                   : "";
    directory += raw<uint32_t>(0x02014b50) + raw<uint16_t>(20) + raw<uint16_t>(20) + raw(flags) +
                 raw(part.method) + raw<uint32_t>(0) + raw(crc) + raw(stated32) + raw(stated32) +
                 raw(static_cast<uint16_t>(part.name.size())) + raw(static_cast<uint16_t>(extra.size())) +
                 raw<uint16_t>(0) + raw<uint16_t>(0) + raw<uint16_t>(0) + raw<uint32_t>(0) +
                 raw(part.zip64 ? 0xFFFFFFFFu : static_cast<uint32_t>(at)) + part.name + extra;
  }
  const uint64_t directory_at = out.size();
  const auto count = static_cast<uint64_t>(static_cast<int64_t>(parts.size()) + options.count_delta);
  out += directory;
  if (options.zip64_end) {
    const uint64_t end_at = out.size();
    out += raw<uint32_t>(0x06064b50) + raw<uint64_t>(44) + raw<uint16_t>(45) + raw<uint16_t>(45) +
           raw<uint32_t>(0) + raw<uint32_t>(0) + raw(count) + raw(count) + raw<uint64_t>(directory.size()) +
           raw(directory_at);
    out += raw<uint32_t>(0x07064b50) + raw<uint32_t>(0) + raw(end_at) + raw<uint32_t>(1);
  }
  const auto count16 = options.zip64_end ? uint16_t{0xFFFF} : static_cast<uint16_t>(count);
  const auto at32 = options.zip64_end ? 0xFFFFFFFFu : static_cast<uint32_t>(directory_at);
  out += raw<uint32_t>(0x06054b50) + raw(options.disk) + raw<uint16_t>(0) + raw(count16) + raw(count16) +
         raw(options.zip64_end ? 0xFFFFFFFFu : static_cast<uint32_t>(directory.size())) + raw(at32) +
         raw(static_cast<uint16_t>(options.comment.size())) + options.comment;
  return out;
}

// Pickle opcodes as text that can be added up.
namespace pickle {
inline std::string proto(int version = 2) { return std::string("\x80") + static_cast<char>(version); }
inline std::string text(const std::string& value) {
  return "X" + raw(static_cast<uint32_t>(value.size())) + value;
}
inline std::string integer(int32_t value) { return "J" + raw(value); }
inline std::string wide(int64_t value) { return std::string("\x8a\x08", 2) + raw(value); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(wide(value));
  return tuple(items);
}
inline std::string ordered_dict() { return global("collections", "OrderedDict") + ")R"; }
inline std::string storage(const std::string& key, int64_t elements,
                           const std::string& type = "FloatStorage") {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), wide(elements)}) + "Q";
}
inline std::string tensor(const std::string& storage_text, int64_t offset, const std::vector<int64_t>& size,
                          const std::vector<int64_t>& stride) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage_text, wide(offset), integers(size), integers(stride), "\x89", ordered_dict()}) + "R";
}
inline std::string state_dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = proto() + "}(";
  for (const auto& [name, value] : entries) out += text(name) + value;
  return out + "u.";
}
}  // namespace pickle

// A folder of its own that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "attest-golden-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline std::string golden_data(const std::string& name) {
  return std::string(ATTEST_SOURCE_DIR) + "/golden/data/" + name;
}

}  // namespace attest::golden
