// NVIDIA's run-time compiler, opened at run time so that the program builds and starts without it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace attest {

// One translation unit with one kernel instantiation.
struct NvrtcInput {
  std::string name;  // of the unit, in messages
  std::string source;
  std::vector<std::pair<std::string, std::string>> headers;  // include name, text
  std::vector<std::string> options;
  std::string entry;   // C++ name expression: "attest::decode_grouped<attest::Bf16, 128, 128, 8>"
  bool cubin = false;  // also machine code; the options must name a real architecture (sm_90a)
};

struct NvrtcOutput {
  bool compiled = false;
  std::string log;  // warnings, errors, ptxas's report
  std::string ptx;
  std::string cubin;
  std::string lowered_entry;  // the entry's name in the PTX
};

class Nvrtc {
 public:
  // Tries the candidates in order. Throws NotAvailable: what was looked for and how to get it.
  static std::shared_ptr<const Nvrtc> open(const std::vector<std::string>& candidates = default_candidates());
  // $ATTEST_NVRTC alone when it is set; else the project's .deps folder, the CUDA toolkit's usual places and
  // the loader's path, newest version first.
  static std::vector<std::string> default_candidates();

  virtual ~Nvrtc() = default;
  virtual std::string version() const = 0;             // "13.0"
  virtual std::string file() const = 0;                // the library that was opened
  virtual std::vector<int> architectures() const = 0;  // that it compiles for: 75, 80, 90, ...
  // Not compiling is a value (its log says why); throws std::runtime_error when NVRTC itself fails. May be
  // called from several threads.
  virtual NvrtcOutput compile(const NvrtcInput& input) const = 0;
};

}  // namespace attest
