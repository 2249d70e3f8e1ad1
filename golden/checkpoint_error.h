// The one exception that reading or writing a checkpoint throws when the world, not the caller, is at fault.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace attest::golden {

// what() is one sentence, "PATH: what was found, what was expected"; path() is the file at fault.
class CheckpointError : public std::runtime_error {
 public:
  CheckpointError(std::string path, const std::string& problem)
      : std::runtime_error(path + ": " + problem), path_(std::move(path)) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// 'text' for an error sentence: control characters and other bytes outside ASCII become \xNN, and what passes
// 100 characters is cut, because names come from files that may be hostile.
std::string in_quotes(std::string_view text);

}  // namespace attest::golden
