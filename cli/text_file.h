// Reads whole files.
#pragma once

#include <filesystem>
#include <string>

namespace attest::cli {

// Throws std::invalid_argument: the path and the system's reason.
std::string read_file(const std::filesystem::path& path);

}  // namespace attest::cli
