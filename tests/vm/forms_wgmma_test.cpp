// wgmma against plain products: every swizzle, major-ness and type, A from registers, negation, early and
// late; and its rounding against a model of its own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "tests/vm/wgmma_kernel.h"

namespace attest::vm::wgmma {
namespace {

struct Case {
  Type a, b;
  std::string accumulator;  // "f32", "f16", "s32"
  int n;
  int swizzle_a = 128, swizzle_b = 128;
  bool transpose_a = false, transpose_b = false;
  bool registers_a = false, negate_a = false, negate_b = false, accumulate = true;
  std::string saturate = {}, saturate_behind = {};
  uint32_t gap = 0, start = 0;

  int registers() const { return accumulator == "f16" ? n / 4 : n / 2; }
  std::string text() const {
    return std::string("m64n") + std::to_string(n) + "k" + std::to_string(a.k()) + saturate + "." +
           accumulator + "." + a.name + "." + b.name + " swizzles " + std::to_string(swizzle_a) + ", " +
           std::to_string(swizzle_b) + (transpose_a ? " trans-a" : "") + (transpose_b ? " trans-b" : "") +
           (registers_a ? " A in registers" : "") + " gap " + std::to_string(gap);
  }
  std::string instruction() const {
    std::string out = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k" + std::to_string(a.k()) +
                      saturate + "." + accumulator + "." + a.name + "." + b.name + saturate_behind + " " +
                      vector_of("d", registers()) + ", " + (registers_a ? vector_of("a", 4) : "%da") +
                      ", %db, %p2";
    if (!a.integer()) out += std::string(negate_a ? ", -1" : ", 1") + (negate_b ? ", -1" : ", 1");
    if (a.bits == 16) {
      if (!registers_a) out += transpose_a ? ", 1" : ", 0";
      out += transpose_b ? ", 1" : ", 0";
    }
    return out + ";\n";
  }
  Tile tile_a() const { return tile(a, swizzle_a, transpose_a, start, 64, gap); }
  Tile tile_b() const {
    return tile(b, swizzle_b, transpose_b, start + 32768, static_cast<uint32_t>(n), gap);
  }
  std::string body() const {
    return "mov.u64 %da, " + std::to_string(static_cast<int64_t>(tile_a().descriptor())) +
           ";\nmov.u64 %db, " + std::to_string(static_cast<int64_t>(tile_b().descriptor())) + ";\nsetp." +
           (accumulate ? "eq" : "ne") + ".u32 %p2, %t, %t;\nwgmma.fence.sync.aligned;\n" + instruction() +
           "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
  }
};

constexpr uint32_t kImage = 2 * 32768 + 16384;

struct Numbers {
  std::vector<double> a, b, c;  // [64, k], [k, n], [64, n]
  std::vector<uint32_t> c_bits;
};

using Draw = std::function<double(std::mt19937&)>;
double small_integer(std::mt19937& random) { return static_cast<double>(random() % 9) - 4; }

Numbers draw(const Case& test, unsigned seed, const Draw& number) {
  std::mt19937 random(seed);
  Numbers numbers;
  const auto k = static_cast<size_t>(test.a.k()), n = static_cast<size_t>(test.n);
  const auto fill = [&](std::vector<double>& values, size_t count, bool positive) {
    for (size_t i = 0; i < count; ++i)
      values.push_back(positive ? std::fabs(number(random)) : number(random));
  };
  fill(numbers.a, 64 * k, test.a.name == kU8.name);
  fill(numbers.b, k * n, test.b.name == kU8.name);
  fill(numbers.c, 64 * n, false);
  return numbers;
}

uint32_t bits_of(const std::string& accumulator, double value) {
  if (accumulator == "f16") return encode(kF16, value);
  if (accumulator == "s32") return static_cast<uint32_t>(static_cast<int32_t>(value));
  return std::bit_cast<uint32_t>(static_cast<float>(value));
}

Input input_of(const Case& test, const Numbers& numbers) {
  Input input;
  input.image.resize(kImage);
  const auto k = static_cast<uint32_t>(test.a.k()), n = static_cast<uint32_t>(test.n);
  const auto put = [&](const Tile& where, uint32_t mn, uint32_t column, double value) {
    const uint32_t bits = encode(where.type, value);
    std::memcpy(&input.image.at(where.address(mn, column)), &bits, static_cast<size_t>(where.type.bits / 8));
  };
  for (uint32_t i = 0; i < 64; ++i)
    for (uint32_t j = 0; j < k; ++j)
      if (!test.registers_a) put(test.tile_a(), i, j, numbers.a[i * k + j]);
  for (uint32_t i = 0; i < k; ++i)
    for (uint32_t j = 0; j < n; ++j) put(test.tile_b(), j, i, numbers.b[i * n + j]);
  const auto e = 32 / static_cast<uint32_t>(test.a.bits);
  const uint32_t c_packed = test.accumulator == "f16" ? 2 : 1;
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t r = 0; r < 4; ++r) {
      uint32_t word = 0;
      for (uint32_t h = 0; h < e; ++h) {
        const Cell at = a_cell(test.a, thread, r * e + h);
        word |= encode(test.a, numbers.a[at.row * k + at.column])
                << (h * static_cast<uint32_t>(test.a.bits) % 32);
      }
      input.a.push_back(word);
    }
    for (uint32_t r = 0; r < static_cast<uint32_t>(test.registers()); ++r) {
      uint32_t word = 0;
      for (uint32_t h = 0; h < c_packed; ++h) {
        const Cell at = d_cell(thread, r * c_packed + h);
        word |= bits_of(test.accumulator, numbers.c[at.row * n + at.column]) << (16 * h);
      }
      input.d.push_back(word);
    }
  }
  return input;
}

// D of a run as [64, n] words.
std::vector<uint32_t> matrix_of(const Case& test, const std::vector<uint32_t>& registers) {
  const auto n = static_cast<uint32_t>(test.n), count = static_cast<uint32_t>(test.registers());
  const uint32_t packed = test.accumulator == "f16" ? 2 : 1;
  std::vector<uint32_t> matrix(size_t{64} * n);
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < count * packed; ++i) {
      const Cell at = d_cell(thread, i);
      const uint32_t word = registers.at(thread * count + i / packed);
      matrix.at(at.row * n + at.column) = packed == 2 ? word >> (16 * (i % 2)) & 0xffff : word;
    }
  }
  return matrix;
}

double dot(const Case& test, const Numbers& numbers, size_t row, size_t column) {
  const auto k = static_cast<size_t>(test.a.k()), n = static_cast<size_t>(test.n);
  double sum = test.accumulate ? numbers.c[row * n + column] : 0;
  const double sign = test.negate_a != test.negate_b ? -1 : 1;
  for (size_t i = 0; i < k; ++i) sum += sign * numbers.a[row * k + i] * numbers.b[i * n + column];
  return sum;
}

void expect_product(const Case& test, LaunchOptions options) {
  const Numbers numbers = draw(test, 7, small_integer);
  Kernel kernel{kImage, test.registers(), test.body()};
  std::vector<uint32_t> matrix;
  try {
    matrix = matrix_of(test, run(kernel, input_of(test, numbers), options));
  } catch (const std::exception& error) {
    ADD_FAILURE() << test.text() << ": " << error.what();
    return;
  }
  const auto n = static_cast<size_t>(test.n);
  size_t wrong = 0;
  for (size_t i = 0; i < matrix.size(); ++i)
    wrong += matrix[i] != bits_of(test.accumulator, dot(test, numbers, i / n, i % n));
  EXPECT_EQ(wrong, 0u) << test.text();
}

constexpr int kSwizzles[] = {16, 32, 64, 128};
const LaunchOptions kWide{.arithmetic = Arithmetic::wide};
const LaunchOptions kSerial{.schedule = Schedule::serial};

TEST(Wgmma, EverySwizzleAndMajorOf16BitTypes) {
  for (const Type& type : {kBf16, kF16}) {
    for (int swizzle : kSwizzles) {
      for (int n : {8, 24, 72, 256}) {
        for (int transposes = 0; transposes < 4; ++transposes) {
          const uint32_t gap = n == 24 ? 8 : n == 72 ? 1 : 0;
          Case test{type, type,    "f32",
                    n,    swizzle, 144 - swizzle == 80 ? 32 : 144 - swizzle == 112 ? 64 : 144 - swizzle};
          test.transpose_a = (transposes & 1) != 0;
          test.transpose_b = (transposes & 2) != 0;
          test.gap = gap;
          expect_product(test, kWide);
          test.swizzle_b = swizzle;
          if (n <= 24) expect_product(test, kSerial);
        }
      }
    }
  }
}

TEST(Wgmma, EverySwizzleOfOtherTypes) {
  struct Types {
    Type a, b;
    const char* accumulator;
  };
  std::vector<Types> types = {{kTf32, kTf32, "f32"}};
  for (const Type& a : {kE4m3, kE5m2})
    for (const Type& b : {kE4m3, kE5m2})
      for (const char* accumulator : {"f32", "f16"}) types.push_back({a, b, accumulator});
  for (const Type& a : {kS8, kU8})
    for (const Type& b : {kS8, kU8}) types.push_back({a, b, "s32"});
  for (const auto& [a, b, accumulator] : types) {
    for (int swizzle : kSwizzles) {
      Case test{a, b, accumulator, 8, swizzle, swizzle};
      expect_product(test, {});
      test.n = 48;
      test.gap = 2;
      expect_product(test, kWide);
      test.registers_a = true;
      test.accumulate = false;
      expect_product(test, kSerial);
    }
    expect_product({a, b, accumulator, 256}, kWide);
  }
}

TEST(Wgmma, AFromRegistersNegationAndScaleD) {
  for (const Type& type : {kBf16, kF16}) {
    for (int bits = 0; bits < 16; ++bits) {
      Case test{type, type, "f32", 16};
      test.registers_a = (bits & 1) != 0;
      test.negate_a = (bits & 2) != 0;
      test.negate_b = (bits & 4) != 0;
      test.accumulate = (bits & 8) != 0;
      test.transpose_b = bits % 3 == 0;
      expect_product(test, {});
      if (type.name == kF16.name) {
        test.accumulator = "f16";
        expect_product(test, {});
        expect_product(test, kWide);
      }
    }
  }
  for (const Type& type : {kTf32, kE4m3, kE5m2}) {
    Case test{type, type, "f32", 32};
    test.negate_a = true;
    expect_product(test, {});
    test.registers_a = true;
    expect_product(test, {});
  }
}

TEST(Wgmma, SaturatesOrWraps) {
  for (const char* place : {"", ".satfinite"}) {
    Case test{kS8, kU8, "s32", 16};
    test.saturate = place;
    Numbers numbers = draw(test, 1, small_integer);
    for (double& c : numbers.c) c = 2147483647.0;
    for (size_t j = 0; j < 16; ++j) numbers.c[j] = -2147483648.0;
    const std::vector<uint32_t> matrix =
        matrix_of(test, run({kImage, 8, test.body()}, input_of(test, numbers), {}));
    for (size_t i = 0; i < matrix.size(); ++i) {
      double expected = dot(test, numbers, i / 16, i % 16);
      if (*place)
        expected = std::min(std::max(expected, -2147483648.0), 2147483647.0);
      else
        expected -= 4294967296.0 * std::floor((expected + 2147483648.0) / 4294967296.0);
      ASSERT_EQ(matrix[i], bits_of("s32", expected)) << place << i;
    }
  }
}

// The usual tile: 64 k of bf16 in rows of 128 bytes, and four wgmma that move the start by 32 bytes each.
TEST(Wgmma, StepsThroughASwizzledTileByItsStartAddress) {
  for (bool transposed : {false, true}) {
    const uint32_t n = 64, k = 64;
    // K-major: atoms of 8 rows x 64 k. MN-major: 64 columns of B in 128 bytes, k after k.
    Tile a = tile(kBf16, 128, false, 1024, 64, 0), b = tile(kBf16, 128, transposed, 16384, n, 0);
    Input input;
    input.image.resize(kImage);
    std::mt19937 random(3);
    std::vector<double> left(size_t{64} * k), right(size_t{k} * n);
    const auto store = [&](uint32_t address, double value) {
      const uint32_t bits = encode(kBf16, value);
      std::memcpy(&input.image.at(address), &bits, 2);
    };
    for (uint32_t i = 0; i < 64; ++i) {
      for (uint32_t j = 0; j < k; ++j) {
        left[i * k + j] = small_integer(random);
        right[j * n + i] = small_integer(random);
        store(swizzled(a.start + 128 * i + 2 * j, 128), left[i * k + j]);
        store(swizzled(b.start + (transposed ? 128 * j + 2 * i : 128 * i + 2 * j), 128), right[j * n + i]);
      }
    }
    std::string body = "wgmma.fence.sync.aligned;\n";
    for (uint32_t step = 0; step < 4; ++step) {
      Tile a_step = a, b_step = b;
      a_step.start += 32 * step;
      b_step.start += (transposed ? 16 * 128 : 32) * step;
      body += "mov.u64 %da, " + std::to_string(a_step.descriptor()) + "; mov.u64 %db, " +
              std::to_string(b_step.descriptor()) + "; setp.ne.u32 %p2, " + std::to_string(step) +
              ", 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " + vector_of("d", 32) +
              ", %da, %db, %p2, 1, 1, 0, " + (transposed ? "1" : "0") + ";\n";
    }
    body += "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
    input.d.resize(128 * 32);
    const Case shape{kBf16, kBf16, "f32", 64};
    for (const LaunchOptions& options : {LaunchOptions{}, kWide, kSerial}) {
      const std::vector<uint32_t> matrix = matrix_of(shape, run({kImage, 32, body}, input, options));
      for (size_t i = 0; i < 64; ++i) {
        for (size_t j = 0; j < n; ++j) {
          double sum = 0;
          for (size_t l = 0; l < k; ++l) sum += left[i * k + l] * right[l * n + j];
          ASSERT_EQ(matrix[i * n + j], bits_of("f32", sum)) << i << ", " << j << " transposed " << transposed;
        }
      }
    }
  }
}

// --- rounding ---

// Hopper's dot product, one element: every term cut toward zero at 2^(largest exponent - fraction), then
// summed exactly. Exponents of products are sums of their factors'.
double exact_cut_sum(const std::vector<double>& a, const std::vector<double>& b, double c, int fraction) {
  int largest = c == 0 ? -100000 : std::ilogb(c);
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != 0 && b[i] != 0) largest = std::max(largest, std::ilogb(a[i]) + std::ilogb(b[i]));
  const auto cut = [&](double value) { return std::trunc(std::ldexp(value, fraction - largest)); };
  double sum = cut(c);
  for (size_t i = 0; i < a.size(); ++i) sum += cut(a[i] * b[i]);
  return std::ldexp(sum, largest - fraction);
}
// Cut to `kept` bits behind the leading one.
float cut_sum(const std::vector<double>& a, const std::vector<double>& b, double c, int fraction, int kept) {
  const double sum = exact_cut_sum(a, b, c, fraction);
  if (sum == 0) return 0;
  const int place = std::ilogb(sum) - kept;
  return static_cast<float>(std::ldexp(std::trunc(std::ldexp(sum, -place)), place));
}

// The same rounded to f16, to nearest even.
uint32_t nearest_f16(double value) {
  if (value == 0) return 0;
  const int place = std::max(std::ilogb(value), -14) - 10;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -place)), place);
  return std::fabs(rounded) < std::ldexp(1, -14)
             ? (rounded < 0 ? 0x8000u : 0u) | static_cast<uint32_t>(std::ldexp(std::fabs(rounded), 24))
             : encode(kF16, rounded);
}

TEST(Wgmma, RoundsF16AccumulatorsToNearest) {
  size_t inexact = 0;
  for (const auto& [type, fraction] : {std::pair{kF16, 25}, std::pair{kE4m3, 13}, std::pair{kE5m2, 13}}) {
    const Case test{type, type, "f16", 8};
    const int places = type.fraction_bits;
    const Numbers numbers = draw(test, 13, [&](std::mt19937& random) {
      const double significand = 1 + std::ldexp(static_cast<double>(random() % (1u << places)), -places);
      return std::ldexp(random() % 2 ? significand : -significand, static_cast<int>(random() % 9) - 5);
    });
    const std::vector<uint32_t> matrix =
        matrix_of(test, run({kImage, 2, test.body()}, input_of(test, numbers), {}));
    const auto k = static_cast<size_t>(type.k());
    for (size_t i = 0; i < 64; ++i) {
      for (size_t j = 0; j < 8; ++j) {
        std::vector<double> row, column;
        for (size_t l = 0; l < k; ++l) {
          row.push_back(numbers.a[i * k + l]);
          column.push_back(numbers.b[l * 8 + j]);
        }
        const double sum = exact_cut_sum(row, column, numbers.c[i * 8 + j], fraction);
        ASSERT_EQ(matrix[i * 8 + j], nearest_f16(sum)) << type.name << " " << i << ", " << j << " " << sum;
        inexact += sum != dot(test, numbers, i, j);
      }
    }
  }
  EXPECT_GT(inexact, 100u);
}

TEST(Wgmma, RoundsAsHopperDoes) {
  struct Row {
    Type type;
    int fraction, kept;
  };
  size_t inexact = 0;
  for (const auto& [type, fraction, kept] :
       {Row{kBf16, 25, 23}, Row{kF16, 25, 23}, Row{kTf32, 25, 23}, Row{kE4m3, 13, 13}, Row{kE5m2, 13, 13}}) {
    const Case test{type, type, "f32", 8};
    const int places = type.fraction_bits;
    const Numbers numbers = draw(test, 11, [&](std::mt19937& random) {
      const double significand = 1 + std::ldexp(static_cast<double>(random() % (1u << places)), -places);
      return std::ldexp(random() % 2 ? significand : -significand, static_cast<int>(random() % 13) - 6);
    });
    const auto k = static_cast<size_t>(type.k());
    const Input input = input_of(test, numbers);
    const Kernel kernel{kImage, 4, test.body()};
    const std::vector<uint32_t> matrix = matrix_of(test, run(kernel, input, {}));
    const std::vector<uint32_t> wide = matrix_of(test, run(kernel, input, kWide));
    for (size_t i = 0; i < 64; ++i) {
      for (size_t j = 0; j < 8; ++j) {
        std::vector<double> row, column;
        for (size_t l = 0; l < k; ++l) {
          row.push_back(numbers.a[i * k + l]);
          column.push_back(numbers.b[l * 8 + j]);
        }
        const float expected = cut_sum(row, column, numbers.c[i * 8 + j], fraction, kept);
        ASSERT_EQ(matrix[i * 8 + j], std::bit_cast<uint32_t>(expected)) << type.name << " " << i << ", " << j;
        const auto nearest = static_cast<float>(dot(test, numbers, i, j));
        ASSERT_EQ(wide[i * 8 + j], std::bit_cast<uint32_t>(nearest)) << type.name << " " << i << ", " << j;
        inexact += expected != nearest;
      }
    }
  }
  EXPECT_GT(inexact, 500u);
}

// --- a judge that shares no code with this parser ---

TEST(Wgmma, PtxasAcceptsTheText) {
  std::string ptxas;
  for (const char* candidate : {"/usr/local/cuda/bin/ptxas", "/usr/bin/ptxas"})
    if (std::filesystem::exists(candidate)) ptxas = candidate;
  if (ptxas.empty()) GTEST_SKIP() << "no ptxas in /usr/local/cuda/bin or /usr/bin";
  const std::string file = testing::TempDir() + "wgmma_" + std::to_string(getpid()) + ".ptx";
  std::vector<Case> cases = {{kBf16, kBf16, "f32", 256}, {kF16, kF16, "f16", 40},   {kF16, kF16, "f32", 8},
                             {kTf32, kTf32, "f32", 8},   {kE4m3, kE5m2, "f16", 88}, {kE5m2, kE4m3, "f32", 8},
                             {kS8, kU8, "s32", 240},     {kU8, kU8, "s32", 24}};
  cases[7].saturate = ".satfinite";
  for (size_t i = 0, count = cases.size(); i < count; ++i) {
    cases.push_back(cases[i]);
    cases.back().registers_a = true;
  }
  for (const Case& test : cases) {
    std::ofstream(file) << Kernel{kImage > 49152 ? 49152 : kImage, test.registers(), test.body()}.text();
    const std::string command = ptxas + " -arch=sm_90a -o /dev/null '" + file + "' > /dev/null 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << test.text();
  }
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace attest::vm::wgmma
