// A kernel for tests: the truth rounded to float, with a fault planted on request. Needs neither compiler nor
// device.
#pragma once

#include <functional>
#include <utility>

#include "properties/kernel_under_test.h"
#include "reference/attend.h"

namespace attest {

// Changes a run; sees how the call was laid out.
using Fault = std::function<void(const DecodeInputs&, const CallLayout&, KernelRun&)>;

class SimulatedKernel : public KernelUnderTest {
 public:
  explicit SimulatedKernel(Fault fault = {}) : fault_(std::move(fault)) {}
  std::string device() const override { return "simulated"; }
  KernelRun decode(const DecodeInputs& inputs, const CallLayout& layout) override {
    const DecodeOutputs truth = attend(inputs);
    KernelRun run{truth.output, truth.lse, {}};
    for (Tensor<double>* part : {&run.output, &run.lse}) {
      for (double& value : part->elements()) value = static_cast<double>(static_cast<float>(value));
    }
    if (fault_) fault_(inputs, layout, run);
    return run;
  }

 private:
  Fault fault_;
};

inline KernelFactory simulated(Fault fault = {}) {
  return [=] { return std::make_unique<SimulatedKernel>(fault); };
}

// Multiplies every output by `factor`.
inline void scale_output(KernelRun& run, double factor) {
  for (double& value : run.output.elements()) value *= factor;
}

}  // namespace attest
