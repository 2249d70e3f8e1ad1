// Reads the stored (uncompressed) entries of a zip archive in place, as torch.save writes them; ZIP64
// included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "golden/mapped_file.h"

namespace attest::golden {

struct ZipEntry {
  std::span<const std::byte> bytes;
  uint32_t crc32 = 0;  // as the archive states it
};

// The archive is read through its central directory, and every local header must tell the same. Source:
// PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.9 (data descriptor), 4.3.12 (central
// directory), 4.3.14-16 (ends), 4.5.3 (ZIP64 extra).
class ZipArchive {
 public:
  // Throws CheckpointError naming entry and offset for: no end record; several disks; a directory or an entry
  // that leaves the file; compressed or encrypted entries; duplicate, absolute or '..' names; local and
  // central records that differ; overlapping entries.
  explicit ZipArchive(std::shared_ptr<const MappedFile> file);

  const std::map<std::string, ZipEntry, std::less<>>& entries() const { return entries_; }

  // Throws CheckpointError when there is no such entry.
  const ZipEntry& entry(std::string_view name) const;

  // Throws CheckpointError when the entry's bytes do not have the CRC that the archive states.
  void check_crc(std::string_view name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, ZipEntry, std::less<>> entries_;
};

// CRC-32 of zip and gzip (polynomial 0xEDB88320, reflected).
uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace attest::golden
