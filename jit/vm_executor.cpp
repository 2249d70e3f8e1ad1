// Adapts the PTX virtual machine to the executor's calls, and counts what kernels load.
#include "jit/vm_executor.h"

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

#include "jit/vm/observer.h"

namespace attest {

// Counts bytes loaded from global memory, by buffer.
class VmExecutor::LoadCounter : public vm::Observer {
 public:
  explicit LoadCounter(const vm::Memory& memory) : memory_(memory) {}

  void access(const vm::AccessEvent& event) override {
    if (event.space != vm::Space::global || event.touch != vm::Touch::load) return;
    const std::lock_guard lock(mutex_);
    for (std::size_t lane = 0; lane < event.addresses.size(); ++lane) {
      if (!(event.site.lanes >> lane & 1)) continue;
      add(event.addresses[lane], event.bytes);
    }
  }
  void async_access(const vm::AsyncAccessEvent& event) override {
    if (event.space != vm::Space::global || event.touch == vm::Touch::store) return;
    const std::lock_guard lock(mutex_);
    add(event.address, event.bytes);
  }
  bool watches_instructions() const override { return false; }

  LoadedBytes of(std::uint64_t buffer) const {
    const auto found = counts_.find(buffer);
    return found == counts_.end() ? LoadedBytes{} : found->second.bytes;
  }
  void forget(std::uint64_t buffer) { counts_.erase(buffer); }

 private:
  struct Count {
    LoadedBytes bytes;
    std::vector<bool> seen;
  };
  // Under the lock.
  void add(std::uint64_t address, std::uint64_t bytes) {
    const vm::Buffer* buffer = memory_.find(address);
    if (!buffer) return;
    Count& count = counts_[buffer->address];
    if (count.seen.empty()) count.seen.resize(buffer->bytes);
    count.bytes.total += bytes;
    for (std::uint64_t byte = address - buffer->address; byte < address - buffer->address + bytes; ++byte) {
      if (!count.seen[byte]) {
        count.seen[byte] = true;
        ++count.bytes.distinct;
      }
    }
  }

  const vm::Memory& memory_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Count> counts_;
};

namespace {

vm::Access to_vm(BufferAccess access) {
  switch (access) {
    case BufferAccess::read:
      return vm::Access::read;
    case BufferAccess::write:
      return vm::Access::write;
    case BufferAccess::read_write:
      return vm::Access::read_write;
  }
  throw std::invalid_argument("unknown buffer access");
}

vm::Dim3 to_vm(const std::array<std::uint32_t, 3>& shape) { return {shape[0], shape[1], shape[2]}; }

}  // namespace

VmExecutor::VmExecutor(VmOptions options)
    : options_(std::move(options)), loads_(std::make_unique<LoadCounter>(machine_.memory())) {
  device_.kind = "vm";
  device_.name = "PTX virtual machine";
  device_.architecture = "compute_90";
}

VmExecutor::~VmExecutor() = default;

Buffer VmExecutor::allocate(std::string_view name, std::uint64_t bytes, BufferAccess access) {
  return {machine_.memory().allocate(bytes, std::string(name), to_vm(access)), bytes};
}

void VmExecutor::free(const Buffer& buffer) {
  machine_.memory().free(buffer.address);
  loads_->forget(buffer.address);
}

void VmExecutor::upload(const Buffer& buffer, std::span<const std::byte> bytes) {
  machine_.memory().write(buffer.address, bytes);
}

void VmExecutor::download(const Buffer& buffer, std::span<std::byte> bytes) {
  machine_.memory().read(buffer.address, bytes);
}

void VmExecutor::launch(const CompiledKernel& kernel, const LaunchShape& shape,
                        std::span<const std::byte> parameters) {
  auto program = programs_.find(kernel.key);
  if (program == programs_.end())
    program = programs_.emplace(kernel.key, vm::Program::parse(kernel.ptx)).first;
  vm::LaunchOptions launch;
  launch.grid = to_vm(shape.grid);
  launch.block = to_vm(shape.block);
  launch.cluster = to_vm(shape.cluster);
  launch.dynamic_shared_bytes = shape.dynamic_shared_bytes;
  launch.schedule = options_.schedule;
  launch.seed = options_.seed;
  launch.instruction_budget = options_.instruction_budget;
  launch.host_threads = options_.host_threads;
  launch.arithmetic = options_.arithmetic;
  launch.payload = options_.payload;
  std::vector<vm::Observer*> observers = options_.observers;
  if (options_.count) observers.push_back(loads_.get());
  lane_instructions_ +=
      machine_.launch(program->second, kernel.entry, launch, parameters, observers).lane_instructions;
}

double VmExecutor::elapsed_seconds(const std::function<void()>& work, bool /*cold*/) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

LoadedBytes VmExecutor::loaded_bytes(const Buffer& buffer) const {
  if (!options_.count) return Executor::loaded_bytes(buffer);
  return loads_->of(buffer.address);
}

}  // namespace attest
