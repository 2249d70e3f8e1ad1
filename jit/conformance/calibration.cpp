// The sweep kernel, its compilation, and the decoding of what it found.
#include "jit/conformance/calibration.h"

#include <array>
#include <bit>
#include <span>
#include <stdexcept>

#include "jit/errors.h"

namespace attest::conformance {
namespace {

// A row: instruction, and the exact function of a double in CUDA C++.
struct FunctionRow {
  const char* instruction;
  const char* exact;
};
constexpr FunctionRow kFunctions[] = {
    {"ex2.approx.ftz.f32", "exp2(x)"},
    {"ex2.approx.f32", "exp2(x)"},
    {"lg2.approx.ftz.f32", "log2(x)"},
    {"lg2.approx.f32", "log2(x)"},
    {"rcp.approx.ftz.f32", "1.0 / x"},
    {"rcp.approx.f32", "1.0 / x"},
    {"rsqrt.approx.ftz.f32", "1.0 / sqrt(x)"},
    {"rsqrt.approx.f32", "1.0 / sqrt(x)"},
    {"sqrt.approx.ftz.f32", "sqrt(x)"},
    {"sqrt.approx.f32", "sqrt(x)"},
    {"tanh.approx.f32", "tanh(x)"},
    {"sin.approx.f32", "sin(x)"},
    {"cos.approx.f32", "cos(x)"},
};

// Eight words of 64 bits a kind, in this order; "packed" is a f32's bits above the input's, so that a maximum
// over the words is a maximum over the errors.
enum Word {
  kInputs,
  kNotRounded,
  kFlushed,
  kWrongClass,
  kFlushedInput,
  kRelative,
  kAbsolute,
  kUlps,
  kWrongClassInput,
  kWords
};

// Every thread keeps its own worst cases and adds them at the end.
constexpr const char* kSource = R"(
__device__ float approximate(float x) {
  float y;
  asm volatile("INSTRUCTION %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ double exact(double x) { return EXACT; }
__device__ unsigned long long packed(double error, unsigned input) {
  return (unsigned long long)__float_as_uint(__double2float_ru(error)) << 32 | input;
}
// Floats in the order of their values, so that the distance counts last places.
__device__ long long place(float x) {
  const int bits = __float_as_int(x);
  return bits < 0 ? -(long long)(bits & 0x7fffffff) : bits;
}
__device__ int value_class(float x) { return isnan(x) ? 0 : isinf(x) ? (x > 0 ? 1 : 2) : 3; }

extern "C" __global__ void sweep(unsigned long long first, unsigned long long count, unsigned long long step,
                                 unsigned long long* out) {
  unsigned long long mine[KINDS][WORDS] = {};
  const unsigned long long threads = (unsigned long long)gridDim.x * blockDim.x;
  for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += threads) {
    const unsigned bits = (unsigned)(first + i * step);
    const float x = __uint_as_float(bits);
    const unsigned magnitude = bits & 0x7fffffffu;
    const double truth = exact((double)x);
    const float rounded = (float)truth;
    const float got = approximate(x);
    const bool subnormal_input = magnitude != 0 && magnitude < 0x00800000u;
    const bool special = magnitude >= 0x7f800000u || isnan(rounded) || isinf(rounded);
    const bool subnormal_result = fabs(truth) < 0x1p-126 && truth != 0;
    const int kind = subnormal_input ? 1 : special ? 3 : subnormal_result ? 2 : 0;
    unsigned long long* row = mine[kind];
    ++row[0];
    const bool same_nan = isnan(got) && isnan(rounded);
    if (!same_nan && __float_as_uint(got) != __float_as_uint(rounded)) ++row[1];
    if (got == 0 && truth != 0 && !isnan(truth)) ++row[2];
    if (value_class(got) != value_class(rounded)) {
      ++row[3];
      row[8] = bits;
    }
    if (subnormal_input && __float_as_uint(got) == __float_as_uint(approximate(__uint_as_float(bits & 0x80000000u)))) ++row[4];
    if (isfinite(got) && isfinite(truth)) {
      const double error = fabs((double)got - truth);
      if (truth != 0) row[5] = max(row[5], packed(error / fabs(truth), bits));
      row[6] = max(row[6], packed(error, bits));
      const long long places = place(got) - place(rounded);
      const unsigned long long ulps = places < 0 ? -places : places;
      row[7] = max(row[7], (ulps > 0xffffffffull ? 0xffffffffull : ulps) << 32 | bits);
    }
  }
  for (int kind = 0; kind < KINDS; ++kind) {
    for (int word = 0; word < 5; ++word) atomicAdd(&out[kind * WORDS + word], mine[kind][word]);
    for (int word = 5; word < WORDS; ++word) atomicMax(&out[kind * WORDS + word], mine[kind][word]);
  }
}
)";

void replace(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

CompiledKernel compile_sweep(const FunctionRow& row, const Executor& executor, const Nvrtc& nvrtc) {
  NvrtcInput input;
  input.name = std::string("calibrate_") + row.instruction + ".cu";
  input.source = kSource;
  replace(input.source, "INSTRUCTION", row.instruction);
  replace(input.source, "EXACT", row.exact);
  replace(input.source, "KINDS", std::to_string(kInputKinds));
  replace(input.source, "WORDS", std::to_string(kWords));
  input.options = {"--gpu-architecture=" + executor.device().architecture, "--std=c++17", "--fmad=false"};
  input.entry = "sweep";
  const NvrtcOutput output = nvrtc.compile(input);
  if (!output.compiled) {
    throw CompileError("calibration of " + std::string(row.instruction) + ":\n" + output.log, input.entry,
                       input.options[0], output.log);
  }
  CompiledKernel kernel;
  kernel.name = input.name;
  kernel.key = input.name;
  kernel.entry = output.lowered_entry;
  kernel.ptx = output.ptx;
  return kernel;
}

}  // namespace

std::string_view name(InputKind kind) {
  switch (kind) {
    case InputKind::normal:
      return "normal";
    case InputKind::subnormal_input:
      return "subnormal input";
    case InputKind::subnormal_result:
      return "subnormal result";
    case InputKind::special:
      return "special";
  }
  throw std::logic_error("calibration: no such kind of input");
}

std::vector<std::string> calibrated_functions() {
  std::vector<std::string> names;
  for (const FunctionRow& row : kFunctions) names.emplace_back(row.instruction);
  return names;
}

std::vector<CalibrationRow> calibrate(Executor& executor, const Nvrtc& nvrtc, const std::string& function,
                                      std::uint64_t first, std::uint64_t count, std::uint64_t step) {
  const FunctionRow* row = nullptr;
  for (const FunctionRow& candidate : kFunctions) {
    if (function == candidate.instruction) row = &candidate;
  }
  if (!row)
    throw std::invalid_argument("calibration: '" + function + "' is not a function that can be calibrated");
  const CompiledKernel kernel = compile_sweep(*row, executor, nvrtc);
  std::array<std::uint64_t, kInputKinds * kWords> words{};
  DeviceBuffer found(executor, "found", std::as_bytes(std::span(words)), BufferAccess::read_write);
  const std::array<std::uint64_t, 4> parameters{first, count, step, found.get().address};
  LaunchShape shape;
  shape.block[0] = 128;
  shape.grid[0] = count < 65536 ? 1 : static_cast<std::uint32_t>(executor.device().processors) * 16;
  executor.launch(kernel, shape, std::as_bytes(std::span(parameters)));
  executor.finish();
  executor.download(found.get(), std::as_writable_bytes(std::span(words)));
  std::vector<CalibrationRow> rows;
  for (int kind = 0; kind < kInputKinds; ++kind) {
    const std::uint64_t* word = &words[static_cast<std::size_t>(kind * kWords)];
    const auto error = [&](int which) {
      return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(word[which] >> 32)));
    };
    const auto input = [&](int which) { return static_cast<std::uint32_t>(word[which]); };
    rows.push_back({.function = function,
                    .kind = static_cast<InputKind>(kind),
                    .inputs = word[kInputs],
                    .not_correctly_rounded = word[kNotRounded],
                    .flushed = word[kFlushed],
                    .wrong_class = word[kWrongClass],
                    .flushed_input = word[kFlushedInput],
                    .worst_relative = error(kRelative),
                    .worst_relative_input = input(kRelative),
                    .worst_absolute = error(kAbsolute),
                    .worst_absolute_input = input(kAbsolute),
                    .worst_ulps = static_cast<std::uint32_t>(word[kUlps] >> 32),
                    .worst_ulps_input = input(kUlps),
                    .wrong_class_input = input(kWrongClassInput)});
  }
  return rows;
}

}  // namespace attest::conformance
