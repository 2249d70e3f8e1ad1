// One large decode call on a device: the cache is made there, pages lie in scattered order, the result is
// checked row by row.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bench/shapes.h"
#include "jit/executor.h"
#include "jit/kernel_cache.h"
#include "jit/kernel_source.h"

namespace attest::bench {

class DeviceDecode {
 public:
  static constexpr Index kPageTokens = 64;

  // kernel: "naive" or "fast". Allocates, fills, compiles. The cut into parts keeps the device's processors
  // busy (balanced_splits). The executor outlives the call. Throws what these do; std::invalid_argument when
  // the cache needs more than the device has.
  DeviceDecode(Executor& executor, KernelCache& cache, const KernelSource& source, const DecodeShape& shape,
               std::string_view kernel = "naive");
  ~DeviceDecode();

  // Launches the decode kernel and the merge.
  void run();
  // Runs once and compares the first and the last row of the first and the last sequence with stream_row().
  // Returns an empty text, or what is wrong.
  std::string check();

  double scale() const;
  Index parts() const;

  // Pages of a sequence lie far apart: page p of all B * pages is at slot page (p * 7919) mod the number of
  // pages, made odd or even so that the factor is coprime to it.
  static Index slot_of_token(const DecodeShape& shape, Index sequence, Index token);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attest::bench
