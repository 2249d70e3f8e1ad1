// Runs compiled kernels on the PTX virtual machine.
#pragma once

#include <map>
#include <vector>

#include "jit/executor.h"
#include "jit/vm/machine.h"

namespace attest {

struct VmOptions {
  vm::Schedule schedule = vm::Schedule::lockstep;
  std::uint64_t seed = 0;  // of the shuffled schedule and of perturbed arithmetic
  int host_threads = 1;
  std::uint64_t instruction_budget = std::uint64_t{1} << 36;  // lane-instructions a launch
  bool count = false;                                         // loaded_bytes(); slower
  vm::Arithmetic arithmetic = vm::Arithmetic::hw;
  vm::PayloadTable* payload = nullptr;   // of payload arithmetic; outlives the executor
  std::vector<vm::Observer*> observers;  // further ones; they outlive the executor
};

class VmExecutor : public Executor {
 public:
  explicit VmExecutor(VmOptions options = {});
  ~VmExecutor() override;

  const DeviceInfo& device() const override { return device_; }
  Buffer allocate(std::string_view name, std::uint64_t bytes, BufferAccess access) override;
  void free(const Buffer& buffer) override;
  void upload(const Buffer& buffer, std::span<const std::byte> bytes) override;
  void download(const Buffer& buffer, std::span<std::byte> bytes) override;
  void launch(const CompiledKernel& kernel, const LaunchShape& shape,
              std::span<const std::byte> parameters) override;
  std::array<std::byte, vm::kTensorMapBytes> encode(const vm::TensorMap& map) override {
    return map.encode();
  }
  void unload(const CompiledKernel& kernel) override { programs_.erase(kernel.key); }
  void finish() override {}
  double elapsed_seconds(const std::function<void()>& work, bool cold) override;
  bool counts() const override { return options_.count; }
  LoadedBytes loaded_bytes(const Buffer& buffer) const override;

  // Between launches the schedule may change.
  VmOptions& options() { return options_; }
  vm::Machine& machine() { return machine_; }
  std::uint64_t lane_instructions() const { return lane_instructions_; }  // of all launches

 private:
  class LoadCounter;

  VmOptions options_;
  DeviceInfo device_;
  vm::Machine machine_;
  std::map<std::string, vm::Program> programs_;  // by CompiledKernel::key
  std::unique_ptr<LoadCounter> loads_;
  std::uint64_t lane_instructions_ = 0;
};

}  // namespace attest
