// Collects the comparisons of one case into an outcome: the worst verdict, the worst ratio, the first text.
#pragma once

#include <string>
#include <string_view>

#include "properties/law.h"
#include "reference/tensor.h"

namespace attest {

class Judge {
 public:
  // |got - want| <= bounds, element by element. Shapes are [B, T, rows, element] or [B, T, rows]; further
  // shapes get plain axis names.
  void within(std::string_view what, const Tensor<double>& got, const Tensor<double>& want,
              const Tensor<double>& bounds, std::string source);
  // |got - want| <= tolerance * max(|want|, floor): an identity in double precision.
  void identical_to(double tolerance, std::string_view what, const Tensor<double>& got,
                    const Tensor<double>& want);
  // The same bits (NaN never). Agreement on zeros is not mistrusted here: the law is about the bits.
  void same_bits(std::string_view what, const Tensor<double>& got, const Tensor<double>& want);
  // A statement that is not a comparison of tensors.
  void require(bool holds, const std::string& text);
  // The verdict that a bound could not be given.
  void inconclusive(const std::string& reason);
  // The comparisons agree but prove little, for this reason.
  void mistrust(const std::string& reason);
  void set_head_config(std::string name) { outcome_.head_config = std::move(name); }

  bool failed() const { return outcome_.verdict == Verdict::failed; }
  LawOutcome take() { return std::move(outcome_); }

 private:
  void record(Verdict verdict, double ratio, const std::string& text);
  LawOutcome outcome_;
};

// The outcome of a law that says nothing of a problem.
LawOutcome skipped(std::string reason);

}  // namespace attest
