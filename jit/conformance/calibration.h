// Measures approximate functions of a device against double precision, over every f32 or a dense part of
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/executor.h"
#include "jit/nvrtc.h"

namespace attest::conformance {

// Inputs and results come in kinds, because flushing and range limits are questions of their own.
enum class InputKind { normal, subnormal_input, subnormal_result, special };
inline constexpr int kInputKinds = 4;

// Worst cases of one function over one kind of input. Errors are against the exact value, computed in double.
struct CalibrationRow {
  std::string function;  // "ex2.approx.ftz.f32"
  InputKind kind = InputKind::normal;
  std::uint64_t inputs = 0;
  std::uint64_t not_correctly_rounded = 0;
  std::uint64_t flushed = 0;  // result zero, exact value not
  std::uint64_t wrong_class =
      0;  // NaN, infinity or finite where the correctly rounded result is another of these
  std::uint64_t flushed_input = 0;  // the result is that of a zero of the input's sign
  double worst_relative = 0;
  std::uint32_t worst_relative_input = 0;
  double worst_absolute = 0;
  std::uint32_t worst_absolute_input = 0;
  std::uint32_t worst_ulps = 0;  // distance to the correctly rounded result, in its own last places
  std::uint32_t worst_ulps_input = 0;
  std::uint32_t wrong_class_input = 0;
};

std::vector<std::string> calibrated_functions();

// Runs `function` on inputs first, first + step, ... (f32 bits), `count` of them; step 1 and count 2^32 is
// every f32. A GPU takes seconds for that. Throws what the compiler and executor throw, std::invalid_argument
// for an unknown name.
std::vector<CalibrationRow> calibrate(Executor& executor, const Nvrtc& nvrtc, const std::string& function,
                                      std::uint64_t first = 0, std::uint64_t count = std::uint64_t{1} << 32,
                                      std::uint64_t step = 1);

std::string_view name(InputKind kind);

}  // namespace attest::conformance
