// One compiled kernel as a file of the kernel cache: readable header lines, PTX, cubin and log, and a
// checksum of all.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "jit/compile.h"

namespace attest {

// "FOLDER/decode_grouped-Bf16-128-128-8-<key>.kernel"
std::filesystem::path kernel_file(const std::filesystem::path& folder, const std::string& name,
                                  const std::string& key);

std::string to_file_bytes(const CompiledKernel& kernel);
// Nothing when the bytes are not a whole, undamaged file of this key.
std::optional<CompiledKernel> from_file_bytes(const std::string& bytes, const std::string& key);

// Nothing when there is no such file or it cannot be read.
std::optional<std::string> read_kernel_file(const std::filesystem::path& path);

// Makes the kernel's file appear whole or not at all, replacing one that is there. Returns an empty text, or
// one sentence when the folder may not be written. Throws CacheError when writing fails half-way; nothing is
// left then.
std::string publish_kernel_file(const std::filesystem::path& folder, const CompiledKernel& kernel);

}  // namespace attest
