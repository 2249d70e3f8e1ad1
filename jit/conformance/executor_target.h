// Conformance on an executor: the virtual machine or a GPU.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/conformance/conformance.h"
#include "jit/executor.h"

namespace attest::conformance {

class ExecutorTarget : public Target {
 public:
  // The executor outlives the target.
  explicit ExecutorTarget(Executor& executor) : executor_(executor) {}
  std::string name() const override { return executor_.device().name; }
  std::vector<std::uint64_t> run(const Form& form, std::uint64_t threads,
                                 const std::vector<std::uint64_t>& operands) override;

 private:
  Executor& executor_;
  std::uint64_t modules_ = 0;
};

}  // namespace attest::conformance
