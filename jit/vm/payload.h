// The exact algebra of payload arithmetic: numbers for which any order, any split and any merge of a correct
// computation give equal results, and a wrong formula does not.
//
// After FpSan (Triton, TRITON_INSTRUMENTATION_MODE=fpsan), whose ring of integers modulo 2^64 has no inverse
// of even sums and no logarithm. Here an element is x + k log2(2) + s log2(-1): x and k are 2-adic numbers, s
// is 0 or 1, the two logarithms formal. On elements without logarithms + - * / are those of the 2-adic field,
// exp2(x) = 5^x, exp2 of the logarithms 2 and -1; every 2-adic number is +-5^e 2^v, so log2 is exp2's
// inverse.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace attest::vm {

// Neither right nor wrong: payload arithmetic has no answer, for the reason given.
struct CannotCheck : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// unit * 2^valuation with an odd unit known modulo 2^precision, 1 <= precision <= 64. Unit 0: a number of
// which only the divisibility by 2^valuation is known, or zero itself (kExactZero).
struct Padic {
  static constexpr int32_t kExactZero = 1 << 28;
  uint64_t unit = 0;
  int32_t valuation = kExactZero;
  int32_t precision = 0;

  bool exact_zero() const { return unit == 0 && valuation == kExactZero; }
  // Digits below this place are known.
  int32_t end() const { return valuation + precision; }
  bool operator==(const Padic&) const = default;
};
Padic padic(int64_t integer);
Padic operator+(const Padic& a, const Padic& b);
Padic operator-(const Padic& a);
Padic operator*(const Padic& a, const Padic& b);
// Throws CannotCheck for a number that may be zero.
Padic inverse(const Padic& a);
// 5^x, and the e and s with a = (-1)^s 5^e 2^valuation. Throw CannotCheck for an x that is no 2-adic integer
// (a fraction with an even denominator) and an a of less than 3 known bits.
Padic power_of_five(const Padic& x);
Padic log_five(const Padic& a, bool& negative);

struct Payload {
  enum class Kind : uint8_t { finite, infinite, nan };
  Padic number;        // x
  Padic twos;          // k
  bool minus = false;  // s
  Kind kind = Kind::finite;
  double shadow = 0;  // the real value, roughly: decides comparisons, and nothing else

  bool logarithmic() const { return minus || !twos.exact_zero(); }
  bool zero() const { return kind == Kind::finite && number.exact_zero() && !logarithmic(); }
};

// What a float literal or an input stands for: 0 for 0, 1 for 1, -payload(x) for -x, elements that are each
// other's inverse for log2(e) and ln(2), and for log2(10) and log10(2), in single or double precision;
// otherwise an odd number made of the bits. A number is the same in every format.
Payload payload_of(double value);

// Each throws CannotCheck where the algebra has no answer: a quotient by what may be zero, an exponent that
// is no 2-adic integer, a product of two logarithms.
Payload operator+(const Payload& a, const Payload& b);
Payload operator-(const Payload& a);
Payload operator-(const Payload& a, const Payload& b);
Payload operator*(const Payload& a, const Payload& b);
Payload operator/(const Payload& a, const Payload& b);
Payload exp2(const Payload& a);
Payload log2(const Payload& a);
// Any other function: an element made of the function's tag, |a| and 32 bits of it; even and odd functions
// keep their symmetry, f(0) is what `real` says. `real` gives the shadow.
Payload tagged(uint64_t tag, const Payload& a, double (*real)(double), bool odd);
Payload sqrt(const Payload& a);

// Whether two elements agree in what is known of both, and how many bits that are: two unrelated numbers
// agree with probability 2^-bits.
struct Agreement {
  bool equal = false;
  int bits = 0;
};
Agreement agreement(const Payload& a, const Payload& b);

// The same 64 bits for elements that agree, whatever else is known of them: made of 32 bits of each part.
// Throws CannotCheck when fewer are known.
uint64_t digest(const Payload& value);

}  // namespace attest::vm
