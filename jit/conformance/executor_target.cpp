// Runs the entries of a conformance module on an executor.
#include "jit/conformance/executor_target.h"

#include <algorithm>
#include <array>
#include <span>

#include "jit/conformance/kernel_text.h"
#include "jit/errors.h"
#include "jit/vm/parse_error.h"

namespace attest::conformance {

std::vector<std::uint64_t> ExecutorTarget::run(const Form& form, std::uint64_t threads,
                                               const std::vector<std::uint64_t>& operands) {
  CompiledKernel kernel;
  kernel.key = "conformance-" + std::to_string(modules_++);
  kernel.name = kernel.key;
  kernel.entry = kEntry;
  kernel.ptx = module_text(form, threads);
  std::vector<std::uint64_t> out(form.results.size() * threads, 0);
  // A form without operands still gets an address.
  const std::vector<std::uint64_t> nothing(1);
  std::vector<std::byte> scratch(threads * kScratchBytes + (form.map ? vm::kTensorMapBytes : 0));
  DeviceBuffer operand_buffer(executor_, "operands",
                              std::as_bytes(std::span(operands.empty() ? nothing : operands)),
                              BufferAccess::read);
  DeviceBuffer result_buffer(executor_, "results", std::as_bytes(std::span(out)), BufferAccess::read_write);
  DeviceBuffer scratch_buffer(executor_, "scratch", scratch, BufferAccess::read_write);
  if (form.map) {
    vm::TensorMap map = *form.map;
    map.address = scratch_buffer.get().address;
    std::ranges::copy(executor_.encode(map), scratch.end() - vm::kTensorMapBytes);
    executor_.upload(scratch_buffer.get(), scratch);
  }
  const std::array<std::uint64_t, 3> parameters{operand_buffer.get().address, result_buffer.get().address,
                                                scratch_buffer.get().address};
  LaunchShape shape;
  shape.grid[0] = static_cast<std::uint32_t>(threads / kBlockThreads);
  shape.block[0] = kBlockThreads;
  if (form.blocks > 0) shape.cluster[0] = form.blocks;
  try {
    executor_.launch(kernel, shape, std::as_bytes(std::span(parameters)));
  } catch (const vm::ParseError& error) {
    throw Refused(error.what());
  } catch (const DeviceError& error) {
    throw Refused(error.what());  // of the driver's compiler; a kernel's own failure arrives at finish()
  }
  executor_.finish();
  executor_.unload(kernel);
  executor_.download(result_buffer.get(), std::as_writable_bytes(std::span(out)));
  return out;
}

}  // namespace attest::conformance
