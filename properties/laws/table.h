// One function a law; the table that joins them is laws.cpp.
#pragma once

#include "properties/law.h"

namespace attest::law_rows {

Law kernel_agreement();
Law exact_probes();
Law translation_equivariance();
Law absorption_equivalence();
Law tensor_parallel_equivalence();
Law split_invariance();
Law page_invariance();
Law padding_poison();
Law determinism();
Law batch_invariance();
Law empty_sequence();
Law merge_associativity();
Law lse_shift();
Law key_permutation();
Law key_duplication();
Law gqa_expansion();
Law power_of_two_scaling();
Law query_token_independence();
Law saturated_window();

inline bool every_variant(const VariantInfo&) { return true; }

}  // namespace attest::law_rows
