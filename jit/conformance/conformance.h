// Runs every form on two machines, a device and the virtual machine, and lists where their bits differ.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "jit/conformance/forms.h"

namespace attest::conformance {

// A target does not take a module: an instruction form that it does not have. The text says why.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Something that runs PTX: the virtual machine, or a GPU.
class Target {
 public:
  virtual ~Target() = default;
  virtual std::string name() const = 0;
  // Runs the form's kernel (kernel_text.h): `operands` are [operands, threads] slots, the answer [results,
  // threads] slots, zero where nothing was written. Throws Refused when the form is not taken, another
  // std::exception when the kernel fails.
  virtual std::vector<std::uint64_t> run(const Form& form, std::uint64_t threads,
                                         const std::vector<std::uint64_t>& operands) = 0;
};

// Gives what the forms' evaluators say; refuses forms without one.
class Evaluators : public Target {
 public:
  std::string name() const override { return "the text of the PTX ISA"; }
  std::vector<std::uint64_t> run(const Form& form, std::uint64_t threads,
                                 const std::vector<std::uint64_t>& operands) override;
};

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t patterns = 4096;          // per form, a multiple of 256
  std::uint64_t matrix_patterns = 16384;  // threads per mma form, of which 32 make a fragment; 4 times those
                                          // of a wgmma form
  bool exhaustive = true;                 // every bit pattern of forms with one 16-bit operand
  std::string filter;                     // the form of this text, or else all whose text contains it
  std::uint64_t threads(const Form& form) const;
};

enum class Status {
  agrees,
  differs,
  rejected,  // the expected machine does not take the form
  refused,   // the virtual machine says "cannot check"
  failed     // a run ended with an error
};
std::string_view name(Status status);

struct FormResult {
  std::string form;
  Status status = Status::agrees;
  std::uint64_t results = 0;       // compared, all elements of all threads
  std::uint64_t differences = 0;   // beyond the form's agreement
  std::uint64_t nan_payloads = 0;  // NaNs of different bits, allowed
  std::uint64_t approximate = 0;   // different bits within the documented error
  double worst_relative = 0;       // of an approximate form
  std::string example;             // the first difference, or the reason of a refusal
};

struct Report {
  std::string expected_name, actual_name;
  std::vector<FormResult> forms;
  std::uint64_t count(Status status) const;
  bool passed() const { return count(Status::differs) == 0 && count(Status::failed) == 0; }
};

// Outputs of one form on one machine; `error` says why there are none.
struct Outputs {
  bool loaded = false;
  std::string error;
  std::vector<std::uint64_t> slots;  // [results, threads]
};

std::vector<Form> selected_forms(const Options& options);

// The operands of a form: [operands, threads] slots.
std::vector<std::uint64_t> operands_of(const Form& form, std::uint64_t seed, std::uint64_t threads);

// Runs a form on a target, as a module of its own.
Outputs run_form(Target& target, const Form& form, std::uint64_t seed, std::uint64_t threads);
// The same for each; `done` is called with each form's number and outputs, in order.
void run_forms(Target& target, const std::vector<Form>& forms, const Options& options,
               const std::function<void(std::size_t, Outputs)>& done);

// What the actual outputs are worth beside the expected ones.
FormResult compare(const Form& form, std::uint64_t seed, std::uint64_t threads, const Outputs& expected,
                   const Outputs& actual);

Report run_conformance(Target& expected, Target& actual, const Options& options);

}  // namespace attest::conformance
