// A device's outputs for every form, as a compact file: the virtual machine is held against it where there is
// no device.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "jit/conformance/conformance.h"

namespace attest::conformance {

struct RecordError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct RecordedForm {
  std::string text;
  bool accepted = true;  // false: the device refused the form, `note` says why
  std::string note;
  std::uint64_t threads = 0;
  std::uint64_t operands = 0;        // checksum of the operands, which are drawn again and not stored
  std::vector<std::uint64_t> slots;  // [results, threads]
};

struct Record {
  std::string device, driver, date, ptx_version;
  std::uint64_t seed = 0;
  std::vector<RecordedForm> forms;
};

// 256 threads a form, 2048 for matrix forms.
Options record_options(std::uint64_t seed = 1);
// Runs every form that the options select on a device. The caller says what driver and date are; the library
// reads no clock.
Record make_record(Target& device, const Options& options, std::string driver, std::string date);
// Compares the virtual machine, or another device, with a record. Throws RecordError when the operands of a
// form are no longer drawn as they were.
Report replay(const Record& record, Target& actual);

// Text header, then per form its name and results packed to their width; a checksum ends the file.
// Throw RecordError, which names the file and what is wrong.
void write_record(const Record& record, const std::string& path);
Record read_record(const std::string& path);

}  // namespace attest::conformance
