// A PTX module, parsed and decoded once; immutable and cheap to copy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jit/vm/parse_error.h"

namespace attest::vm {

struct ParameterInfo {
  std::string name;
  uint64_t bytes = 0;
  uint64_t align = 0;
  uint64_t offset = 0;  // in the parameter block
};

struct EntryInfo {
  std::string name;
  std::vector<ParameterInfo> parameters;
  uint64_t parameter_bytes = 0;
  uint64_t static_shared_bytes = 0;
  uint64_t local_bytes = 0;       // per lane, call parameters included
  std::vector<uint32_t> maxntid;  // empty = not stated
  std::vector<uint32_t> reqntid;
  std::vector<uint32_t> cluster;  // .reqnctapercluster
  uint64_t instructions = 0;      // after decoding, device functions included
};

struct ProgramData;

class Program {
 public:
  // Throws ParseError: not PTX, or an instruction form, modifier or directive that the machine does not know.
  // Nothing unknown is found later, at run time.
  static Program parse(std::string_view ptx);

  std::vector<std::string> entries() const;
  // Throws std::invalid_argument for an unknown name.
  const EntryInfo& entry(std::string_view name) const;
  // ".target" as written, such as "sm_90a".
  const std::string& target() const;

  const ProgramData& data() const { return *data_; }
  std::shared_ptr<const ProgramData> shared_data() const { return data_; }

 private:
  explicit Program(std::shared_ptr<const ProgramData> data) : data_(std::move(data)) {}
  std::shared_ptr<const ProgramData> data_;
};

// One row of the form table.
struct FormInfo {
  std::string text;      // "fma.rn.ftz.f32"
  std::string operands;  // one letter each, forms.h
  std::string section;   // anchor in the PTX ISA
  std::string meaning;   // one sentence
};
std::vector<FormInfo> supported_forms();

}  // namespace attest::vm
