// What can go wrong between a kernel's text and its result.
#pragma once

#include <stdexcept>
#include <string>

namespace attest {

// Something is not on this machine (NVRTC, the driver, a GPU): says what was looked for and how to get it.
struct NotAvailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A kernel does not compile. The text holds entry, options and the compiler's log.
struct CompileError : std::runtime_error {
  CompileError(const std::string& text, std::string the_entry, std::string the_options, std::string the_log)
      : std::runtime_error(text),
        entry(std::move(the_entry)),
        options(std::move(the_options)),
        log(std::move(the_log)) {}
  std::string entry;
  std::string options;  // separated by blanks
  std::string log;
};

// The kernel cache's folder cannot hold what was compiled (full disk, file size limit).
struct CacheError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A device refused a call, or a kernel wrote outside its buffers.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace attest
