// End record, central directory, local headers, data descriptors: each read through one bounds-checked
// cursor.
#include "golden/zip_archive.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "golden/allocation_budget.h"

namespace attest::golden {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50, kDescriptor = 0x08074b50;
constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kLocalBytes = 30, kCentralBytes = 46;
constexpr uint16_t kEncrypted = 1, kHasDescriptor = 8, kStrongEncryption = 64, kMaskedHeaders = 8192;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kSaturated32 = 0xFFFFFFFF;
constexpr uint16_t kSaturated16 = 0xFFFF;

struct Record {
  std::string name;
  uint16_t flags = 0, method = 0;
  uint32_t crc = 0;
  uint64_t stored = 0, size = 0;  // bytes in the archive, bytes unpacked
  uint64_t header_at = 0;         // offset of the local header
};

struct Directory {
  uint64_t at = 0, bytes = 0, count = 0, end_at = 0;  // end_at: where the end records begin
};

class Reader {
 public:
  explicit Reader(const MappedFile& file) : file_(file), budget_(file.path()) {}

  std::map<std::string, ZipEntry, std::less<>> read() {
    const Directory directory = find_directory();
    std::map<std::string, ZipEntry, std::less<>> entries;
    std::vector<std::pair<uint64_t, uint64_t>> used;  // [local header, end of data or descriptor)
    uint64_t at = directory.at;
    for (uint64_t i = 0; i < directory.count; ++i) {
      const Record record = central_record(at, directory);
      const auto [bytes, end] = local_data(record, directory.at);
      used.emplace_back(record.header_at, end);
      if (!entries.emplace(record.name, ZipEntry{bytes, record.crc}).second) {
        fail(record.name, "occurs twice in the archive");
      }
    }
    if (at != directory.at + directory.bytes) {
      file_.fail("the zip directory at offset " + std::to_string(directory.at) + " states " +
                 std::to_string(directory.bytes) + " bytes, but its " + std::to_string(directory.count) +
                 " records end after " + std::to_string(at - directory.at));
    }
    std::sort(used.begin(), used.end());
    for (size_t i = 1; i < used.size(); ++i) {
      if (used[i].first < used[i - 1].second) {
        file_.fail("two zip entries overlap at offset " + std::to_string(used[i].first));
      }
    }
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& problem) const {
    file_.fail("zip entry " + in_quotes(name) + ": " + problem);
  }

  template <typename T>
  T load(uint64_t at) const {  // callers have checked that [at, at + sizeof(T)) lies in the file
    T value;
    std::memcpy(&value, file_.bytes().data() + at, sizeof value);
    return value;
  }
  bool inside(uint64_t at, uint64_t count) const { return at <= file_.size() && count <= file_.size() - at; }

  Directory find_directory() const {
    const uint64_t size = file_.size();
    if (size < kEndBytes) file_.fail("is not a zip archive: only " + std::to_string(size) + " bytes");
    const uint64_t lowest = size - std::min<uint64_t>(size, kEndBytes + kSaturated16);
    for (uint64_t at = size - kEndBytes + 1; at-- > lowest;) {
      if (load<uint32_t>(at) != kEnd || at + kEndBytes + load<uint16_t>(at + 20) != size) continue;
      return directory_from(at);
    }
    file_.fail("is not a complete zip archive: no end-of-directory record in its last bytes (truncated?)");
  }

  Directory directory_from(uint64_t end_at) const {
    const auto disk = load<uint16_t>(end_at + 4), directory_disk = load<uint16_t>(end_at + 6);
    const auto count_here = load<uint16_t>(end_at + 8), count = load<uint16_t>(end_at + 10);
    Directory found{load<uint32_t>(end_at + 16), load<uint32_t>(end_at + 12), count, end_at};
    if (end_at >= kLocatorBytes && load<uint32_t>(end_at - kLocatorBytes) == kEnd64Locator) {
      found = directory64_from(end_at - kLocatorBytes, found);
    } else if (disk != 0 || directory_disk != 0 || count_here != count) {
      file_.fail("is one of several zip disks; only single archives are read");
    }
    if (found.at > found.end_at || found.bytes > found.end_at - found.at) {
      file_.fail("the zip directory at offset " + std::to_string(found.at) + " of " +
                 std::to_string(found.bytes) + " bytes does not end before its end record at " +
                 std::to_string(found.end_at));
    }
    if (found.count > found.bytes / kCentralBytes) {
      file_.fail("the zip directory states " + std::to_string(found.count) + " entries in " +
                 std::to_string(found.bytes) + " bytes");
    }
    return found;
  }

  // The 64-bit end record; where the 32-bit one is not saturated, the two must agree.
  Directory directory64_from(uint64_t locator_at, const Directory& classic) const {
    const auto at = load<uint64_t>(locator_at + 8);
    if (load<uint32_t>(locator_at + 4) != 0 || load<uint32_t>(locator_at + 16) > 1) {
      file_.fail("is one of several zip disks; only single archives are read");
    }
    if (at > locator_at || locator_at - at < kEnd64Bytes || load<uint32_t>(at) != kEnd64) {
      file_.fail("the ZIP64 locator points at offset " + std::to_string(at) +
                 ", where no ZIP64 end record lies");
    }
    if (load<uint32_t>(at + 16) != 0 || load<uint32_t>(at + 20) != 0) {
      file_.fail("is one of several zip disks; only single archives are read");
    }
    const Directory found{load<uint64_t>(at + 48), load<uint64_t>(at + 40), load<uint64_t>(at + 32), at};
    const bool agree = (classic.at == kSaturated32 || classic.at == found.at) &&
                       (classic.bytes == kSaturated32 || classic.bytes == found.bytes) &&
                       (classic.count == kSaturated16 || classic.count == found.count) &&
                       load<uint64_t>(at + 24) == found.count;
    if (!agree) file_.fail("the zip end record and the ZIP64 end record disagree about the directory");
    return found;
  }

  // Reads the central record at `at` and moves `at` past it.
  Record central_record(uint64_t& at, const Directory& directory) {
    const uint64_t end = directory.at + directory.bytes;
    if (end - at < kCentralBytes || load<uint32_t>(at) != kCentralHeader) {
      file_.fail("offset " + std::to_string(at) + ": expected a zip directory record");
    }
    const uint64_t name_bytes = load<uint16_t>(at + 28), extra_bytes = load<uint16_t>(at + 30);
    const uint64_t comment_bytes = load<uint16_t>(at + 32);
    if (end - at - kCentralBytes < name_bytes + extra_bytes + comment_bytes) {
      file_.fail("offset " + std::to_string(at) + ": a zip directory record leaves the directory");
    }
    budget_.charge(sizeof(Record) + 256 + 3 * name_bytes);
    Record record;
    record.name.assign(reinterpret_cast<const char*>(file_.bytes().data() + at + kCentralBytes), name_bytes);
    record.flags = load<uint16_t>(at + 8);
    record.method = load<uint16_t>(at + 10);
    record.crc = load<uint32_t>(at + 16);
    record.stored = load<uint32_t>(at + 20);
    record.size = load<uint32_t>(at + 24);
    record.header_at = load<uint32_t>(at + 42);
    read_zip64_extra(record.name, at + kCentralBytes + name_bytes, extra_bytes,
                     {&record.size, &record.stored, &record.header_at});
    check_allowed(record);
    if (load<uint16_t>(at + 34) != 0) fail(record.name, "lies on another disk");
    at += kCentralBytes + name_bytes + extra_bytes + comment_bytes;
    return record;
  }

  // The ZIP64 extra field holds, in this order, those of `fields` that are saturated in the record itself.
  void read_zip64_extra(const std::string& name, uint64_t at, uint64_t bytes,
                        std::initializer_list<uint64_t*> fields) const {
    const bool needed =
        std::any_of(fields.begin(), fields.end(), [](uint64_t* f) { return *f == kSaturated32; });
    if (!needed) return;  // padding, which torch.save puts here too, has no meaning
    while (bytes >= 4) {
      const uint64_t id = load<uint16_t>(at), length = load<uint16_t>(at + 2);
      if (length > bytes - 4) break;
      if (id == kZip64Extra) {
        uint64_t from = at + 4, left = length;
        for (uint64_t* field : fields) {
          if (*field != kSaturated32) continue;
          if (left < 8) fail(name, "its ZIP64 field is too short");
          *field = load<uint64_t>(from);
          from += 8;
          left -= 8;
        }
        return;
      }
      at += 4 + length;
      bytes -= 4 + length;
    }
    fail(name, "its sizes need a ZIP64 field, which is missing");
  }

  void check_allowed(const Record& record) const {
    if ((record.flags & (kEncrypted | kStrongEncryption | kMaskedHeaders)) != 0)
      fail(record.name, "is encrypted");
    if (record.method != 0) {
      fail(record.name,
           "is compressed (method " + std::to_string(record.method) + "); expected stored entries");
    }
    if (record.stored != record.size) {
      fail(record.name, "is stored, but its sizes differ: " + std::to_string(record.stored) + " and " +
                            std::to_string(record.size));
    }
    const std::string slashed = "/" + record.name + "/";
    const bool odd = record.name.empty() || record.name.front() == '/' ||
                     record.name.find_first_of(std::string_view("\\\0", 2)) != std::string::npos ||
                     slashed.find("/../") != std::string::npos;
    if (odd) fail(record.name, "has a name that leaves the archive or is empty");
  }

  // The entry's bytes and where it ends, data descriptor included.
  std::pair<std::span<const std::byte>, uint64_t> local_data(const Record& record,
                                                             uint64_t directory_at) const {
    const uint64_t at = record.header_at;
    if (at > directory_at || directory_at - at < kLocalBytes || load<uint32_t>(at) != kLocalHeader) {
      fail(record.name, "no local header at offset " + std::to_string(at));
    }
    const uint64_t name_bytes = load<uint16_t>(at + 26), extra_bytes = load<uint16_t>(at + 28);
    const uint64_t data_at = at + kLocalBytes + name_bytes + extra_bytes;
    if (data_at > directory_at || record.size > directory_at - data_at) {
      fail(record.name, "its " + std::to_string(record.size) + " bytes at offset " + std::to_string(data_at) +
                            " run into the zip directory at " + std::to_string(directory_at));
    }
    const std::string_view name(reinterpret_cast<const char*>(file_.bytes().data() + at + kLocalBytes),
                                name_bytes);
    if (name != record.name) fail(record.name, "its local header calls it " + in_quotes(name));
    const auto flags = load<uint16_t>(at + 6);
    if (flags != record.flags || load<uint16_t>(at + 8) != record.method) {
      fail(record.name, "local header and directory differ in flags or method");
    }
    uint64_t size = load<uint32_t>(at + 22), stored = load<uint32_t>(at + 18);
    const auto crc = load<uint32_t>(at + 14);
    const bool later = (flags & kHasDescriptor) != 0 && size == 0 && stored == 0 && crc == 0;
    if (!later) {
      read_zip64_extra(record.name, at + kLocalBytes + name_bytes, extra_bytes, {&size, &stored});
      if (size != record.size || stored != record.stored || crc != record.crc) {
        fail(record.name, "local header and directory differ in size or CRC");
      }
    }
    uint64_t end = data_at + record.size;
    if ((flags & kHasDescriptor) != 0) end = descriptor_end(record, end, directory_at);
    return {file_.bytes().subspan(data_at, record.size), end};
  }

  // A descriptor is crc, stored size, size; with or without a signature, with 32-bit or 64-bit sizes.
  uint64_t descriptor_end(const Record& record, uint64_t at, uint64_t directory_at) const {
    for (const uint64_t signature : {uint64_t{4}, uint64_t{0}}) {
      if (signature == 4 && (directory_at - at < 4 || load<uint32_t>(at) != kDescriptor)) continue;
      const uint64_t fields = at + signature;
      for (const uint64_t width : {uint64_t{8}, uint64_t{4}}) {
        if (directory_at < fields || directory_at - fields < 4 + 2 * width) continue;
        const auto number = [&](uint64_t where) {
          return width == 8 ? load<uint64_t>(where) : uint64_t{load<uint32_t>(where)};
        };
        if (load<uint32_t>(fields) == record.crc && number(fields + 4) == record.stored &&
            number(fields + 4 + width) == record.size) {
          return fields + 4 + 2 * width;
        }
      }
    }
    fail(record.name, "the data descriptor after its bytes, at offset " + std::to_string(at) +
                          ", does not agree with the directory");
  }

  const MappedFile& file_;
  AllocationBudget budget_;
};

// kTables[k][b]: the CRC of byte b followed by k zero bytes; eight of them take eight bytes a step.
constexpr auto kTables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320u : 0u);
    tables[0][byte] = value;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}();

}  // namespace

ZipArchive::ZipArchive(std::shared_ptr<const MappedFile> file)
    : file_(std::move(file)), entries_(Reader(*file_).read()) {}

const ZipEntry& ZipArchive::entry(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) file_->fail("zip entry " + in_quotes(name) + " is missing");
  return found->second;
}

void ZipArchive::check_crc(std::string_view name) const {
  const ZipEntry& stored = entry(name);
  const uint32_t found = crc32(stored.bytes);
  if (found != stored.crc32) {
    file_->fail("zip entry " + in_quotes(name) + ": CRC-32 of its bytes is " + std::to_string(found) +
                ", the archive states " + std::to_string(stored.crc32) + "; the file is damaged");
  }
}

uint32_t crc32(std::span<const std::byte> bytes) {
  uint32_t value = 0xFFFFFFFF;
  size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    word ^= value;
    value = 0;
    for (size_t k = 0; k < 8; ++k) value ^= kTables[7 - k][(word >> (8 * k)) & 255];
  }
  for (; at < bytes.size(); ++at) {
    value = (value >> 8) ^ kTables[0][(value ^ std::to_integer<uint32_t>(bytes[at])) & 255];
  }
  return ~value;
}

}  // namespace attest::golden
