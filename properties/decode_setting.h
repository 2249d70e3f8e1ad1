// What the laws about decode calls share: a problem's inputs and layout, and a kernel's run next to the truth
// and its bounds.
#pragma once

#include "properties/judge.h"
#include "properties/kernel_under_test.h"
#include "reference/attend.h"
#include "reference/error_bounds.h"
#include "reference/problem.h"

namespace attest {

// What a kernel is specialised on for this layer: its own family's decode form, or keys and values written
// out per row where the family has no kernel (factored).
HeadConfig kernel_heads(const AttentionConfig& config, Format storage);

// Random inputs of the problem's data family for kernel_heads().
DecodeInputs inputs_of(const Problem& problem);
CallLayout layout_of(const Problem& problem);

// True when query token t of T, with S tokens cached and p of them padding, sees key s; written from
// MaskSpec's definition, for laws that state an expected value themselves.
bool query_sees(const MaskSpec& mask, Index cached, Index query_tokens, Index padding, Index query,
                Index key);

// Fields that only layers have, at their defaults.
Problem decode_level(Problem problem);

// A run of the kernel, the truth about its inputs, and the bound that its declared plan earns.
struct BoundedRun {
  KernelRun run;
  DecodeOutputs truth;
  DecodeBounds bounds;
};
BoundedRun run_bounded(KernelUnderTest& kernel, const DecodeInputs& inputs, const CallLayout& layout);

// a + b, element by element; the shapes must agree.
Tensor<double> sum(const Tensor<double>& a, const Tensor<double>& b);

// |a - b| within both runs' bounds, for outputs and log-sum-exp: what rounding alone can make of two runs of
// one value.
void within_both(Judge& judge, const std::string& what, const BoundedRun& a, const BoundedRun& b);

// Same bits in outputs and log-sum-exp.
void same_run(Judge& judge, const std::string& what, const KernelRun& got, const KernelRun& want);
// |a - b| <= tolerance of the largest value: two double-precision computations of one value.
void same_truth(Judge& judge, const std::string& what, const DecodeOutputs& got, const DecodeOutputs& want);

// Sequence b alone.
DecodeInputs only_sequence(const DecodeInputs& inputs, Index sequence);
// [B, ...] -> [1, ...], entry b.
Tensor<double> batch_entry(const Tensor<double>& tensor, Index sequence);
// The keys at `order`, in that order, all unpadded: sequence.left_padding becomes 0.
SequenceCache gathered(const SequenceCache& cache, const std::vector<Index>& order);

// Tolerance of identities in double precision, relative to the largest value.
inline constexpr double kIdentity = 1e-12;

}  // namespace attest
