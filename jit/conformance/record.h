// A device's outputs for every form, as a compact file: the virtual machine is held against it where there is
// no device.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "jit/conformance/conformance.h"

namespace attest::conformance {

struct RecordError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a device made of a form.
enum class Verdict {
  accepted,   // gave these bits
  evaluated,  // gave what the form's evaluator says: its checksum is stored, and no bits
  rejected,   // did not take it, `note` says why
  failed      // began it and gave an error, `note`; nothing could run behind it
};

std::string_view name(Verdict verdict);

struct RecordedForm {
  std::string text;
  Verdict verdict = Verdict::accepted;
  std::string note;
  std::uint64_t threads = 0;
  std::uint64_t operands = 0;        // checksum of the operands, which are drawn again and not stored
  std::uint64_t results = 0;         // evaluated: checksum of what the evaluator says
  std::vector<std::uint64_t> slots;  // accepted: [results, threads]
  bool has_result() const { return verdict == Verdict::accepted || verdict == Verdict::evaluated; }
};

struct Record {
  std::string device, driver, date, ptx_version;
  std::uint64_t seed = 0;
  std::vector<RecordedForm> forms;
};

// 256 threads a form, 2048 for matrix forms.
Options record_options(std::uint64_t seed = 1);
// Runs every form that the options select on a device, and stops behind one that fails, since a device that
// failed runs nothing any more. The caller says what driver and date are; the library reads no clock.
Record make_record(Target& device, const Options& options, std::string driver, std::string date);
// Goes on with a record that stopped, in a new process. Throws RecordError when it is another device's or
// seed's.
void continue_record(Record& record, Target& device, const Options& options);
bool complete(const Record& record, const Options& options);
// Compares the virtual machine, or another device, with a record. Throws RecordError when the operands of a
// form are no longer drawn as they were, or an evaluator says something else.
Report replay(const Record& record, Target& actual);

// Text header, then per form a line and, of those accepted, the results packed to their width; a checksum
// ends the file. Throw RecordError, which names the file and what is wrong.
void write_record(const Record& record, const std::string& path);
Record read_record(const std::string& path);

}  // namespace attest::conformance
