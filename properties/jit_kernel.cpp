// Turns a call's layout into a decode plan, and a device's complaint into a KernelFault.
#include "properties/jit_kernel.h"

#include "jit/decode.h"
#include "jit/errors.h"
#include "jit/executor.h"
#include "jit/vm/trap.h"
#include "jit/vm_executor.h"

namespace attest {
namespace {

Tensor<double> widened(const Tensor<float>& tensor) {
  Tensor<double> wide(tensor.shape());
  for (Index i = 0; i < tensor.count(); ++i) wide.data()[i] = static_cast<double>(tensor.data()[i]);
  return wide;
}

class JitKernel : public KernelUnderTest {
 public:
  JitKernel(const std::string& device, std::shared_ptr<KernelCache> cache, KernelSource source)
      : device_(device), cache_(std::move(cache)), source_(std::move(source)) {
    reset();
  }

  std::string device() const override { return executor_->device().kind; }

  KernelRun decode(const DecodeInputs& inputs, const CallLayout& layout) override {
    set_schedule(layout.schedule);
    DecodePlan plan;
    plan.page_tokens = layout.page_tokens;
    plan.page_seed = layout.page_seed;
    plan.splits = layout.splits;
    plan.unused = layout.poison ? UnusedContent::nan : UnusedContent::zeros;
    try {
      const DecodeResult result = attest::decode(*executor_, *cache_, source_, inputs, plan);
      return {widened(result.output), widened(result.lse), result.arithmetic};
    } catch (const vm::Trap& trap) {
      throw KernelFault(std::string("the kernel trapped: ") + trap.what());
    } catch (const DeviceError& error) {
      const std::string text = error.what();
      reset();  // a GPU's context does not survive a fault
      throw KernelFault("the device refused: " + text);
    }
  }

 private:
  void reset() {
    executor_.reset();
    executor_ = make_executor(device_);
    vm_ = dynamic_cast<VmExecutor*>(executor_.get());
  }

  void set_schedule(std::uint64_t schedule) {
    if (vm_ == nullptr) return;
    vm_->options().schedule = schedule == 0   ? vm::Schedule::lockstep
                              : schedule == 1 ? vm::Schedule::serial
                                              : vm::Schedule::shuffled;
    vm_->options().seed = schedule;
    // A kernel that loops for ever is a fault, and shrinking must see it soon: no case needs a hundredth of
    // this.
    vm_->options().instruction_budget = std::uint64_t{1} << 30;
  }

  std::string device_;
  std::shared_ptr<KernelCache> cache_;
  KernelSource source_;
  std::unique_ptr<Executor> executor_;
  VmExecutor* vm_ = nullptr;
};

}  // namespace

KernelFactory jit_kernels(std::string device, std::shared_ptr<KernelCache> cache, KernelSource source) {
  return [=]() -> std::unique_ptr<KernelUnderTest> {
    return std::make_unique<JitKernel>(device, cache, source);
  };
}

}  // namespace attest
