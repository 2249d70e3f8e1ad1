// Checks that the tensors of a decode call have the shapes that its head configuration says.
#include "reference/decode_call.h"

#include <cmath>

#include "reference/words.h"

namespace attest {

std::vector<std::string> DecodeInputs::problems() const {
  std::vector<std::string> found = heads.problems();
  if (!found.empty()) return found;
  if (heads.family == Family::factored) {
    found.push_back("family factored: a decode call takes the grouped and the latent family");
    return found;
  }
  if (!(scale > 0) || std::isinf(scale)) {
    found.push_back("scale " + words::print(scale) + ": expected a positive finite number");
  }
  for (const std::string& problem : mask.problems()) found.push_back(problem);
  if (query_tokens < 1) {
    found.push_back("query_tokens " + words::print(query_tokens) + ": expected 1 or more");
    return found;
  }
  const auto expect = [&](const std::string& what, const Tensor<double>& tensor,
                          const std::vector<Index>& shape) {
    if (tensor.shape() == shape) return;
    found.push_back(what + ": shape " + shape_text(tensor.shape()) + ", expected " + shape_text(shape));
  };
  const auto expect_none = [&](const std::string& what, const Tensor<double>& tensor) {
    if (tensor.count() != 0) {
      found.push_back(what + ": shape " + shape_text(tensor.shape()) + ", expected none in the " +
                      std::string(name(heads.family)) + " family");
    }
  };
  const bool latent = heads.family == Family::latent;
  const auto batch = static_cast<Index>(sequences.size());
  expect("queries", queries, {batch, query_tokens, latent ? heads.rows() : heads.query_heads, heads.key_dim});
  if (latent) {
    expect("rope_queries", rope_queries, {batch, query_tokens, heads.query_heads, heads.rope_dim});
  } else {
    expect_none("rope_queries", rope_queries);
  }
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const SequenceCache& sequence = sequences[i];
    const std::string who = "sequence " + std::to_string(i) + ": ";
    if (sequence.keys.shape().size() != 3) {
      found.push_back(who + "keys: shape " + shape_text(sequence.keys.shape()) +
                      ", expected three axes: token, head, element");
      continue;
    }
    const Index tokens = sequence.keys.size(0);
    expect(who + "keys", sequence.keys, {tokens, heads.kv_heads, heads.key_dim});
    if (latent) {
      expect(who + "rope_keys", sequence.rope_keys, {tokens, heads.rope_dim});
      expect_none(who + "values", sequence.values);
    } else {
      expect(who + "values", sequence.values, {tokens, heads.kv_heads, heads.value_dim});
      expect_none(who + "rope_keys", sequence.rope_keys);
    }
    if (sequence.left_padding < 0 || sequence.left_padding > tokens) {
      found.push_back(who + "left padding " + words::print(sequence.left_padding) + ": expected 0 to " +
                      words::print(tokens) + " tokens");
    }
  }
  return found;
}

}  // namespace attest
