// Layers whose cache holds factors, with every head's key and value multiplied out: TPA and LRKV.
#include "reference/naive/layer_parts.h"

namespace attest::naive {

// Q = 1/R A^T B for every token, A [H, R] and B [R, d] projected; queries and keys are rotated when they are
// whole.
Written tensor_product(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const auto contracted = [&layer, &c](const std::string& which, Index rank, Index width, Index token) {
    const Row a = layer.projected("c_qkv.W_A_" + which, layer.hidden(token));
    const Row b = layer.projected("c_qkv.W_B_" + which, layer.hidden(token));
    Heads heads;
    for (Index head = 0; head < c.query_heads; ++head) {
      Row sum(at(width));
      for (Index r = 0; r < rank; ++r) {
        for (Index e = 0; e < width; ++e) {
          sum[at(e)] = sum[at(e)] + a.at(at(head * rank + r)) * b.at(at(r * width + e));
        }
      }
      heads.push_back(times(1 / static_cast<Real>(rank), sum));
    }
    return heads;
  };
  const auto turned = [&layer](Heads heads, Index token) {
    for (Row& x : heads) x = layer.turned_front(x, token);
    return heads;
  };
  const Index width = c.nope_dim + c.rope_dim;
  Written parts;
  for (Index t = 0; t < layer.count(); ++t) {
    parts.queries.push_back(turned(contracted("q", c.query_rank, width, t), t));
  }
  parts.entries = entry_a_token(layer, [&](Index t) {
    return KeysAndValues{turned(contracted("k", c.key_rank, width, t), t),
                         contracted("v", c.value_rank, c.value_dim, t)};
  });
  parts.scale = plain_scale(c);
  return parts;
}

// W_h = W_sh + U_h B_h^T, each head's whole projection [d, D] (LRKV's equation 2), then as multi-head
// attention: keys are normed and then rotated.
Written low_rank(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const auto matrices = [&layer, &c](const std::string& shared, const std::string& which, Index rank) {
    const Tensor<double>& common = layer.weight(shared + ".weight");
    const Tensor<double>& down = layer.weight(which + "_down.weight");  // [H r, D]
    const Tensor<double>& up = layer.weight(which + "_up");             // [H, r, d]
    std::vector<Heads> all;                                             // [head][output][input]
    for (Index head = 0; head < c.query_heads; ++head) {
      Heads matrix;
      for (Index o = 0; o < common.size(0); ++o) {
        Row row;
        for (Index i = 0; i < c.hidden; ++i) {
          Number sum = number(common(o, i));
          for (Index r = 0; r < rank; ++r) {
            sum = sum + number(up(head, r, o)) * number(down(head * rank + r, i));
          }
          row.push_back(sum);
        }
        matrix.push_back(row);
      }
      all.push_back(matrix);
    }
    return all;
  };
  const auto multiplied = [](const std::vector<Heads>& heads, const Row& x) {
    Heads results;
    for (const Heads& matrix : heads) {
      Row y;
      for (const Row& row : matrix) y.push_back(dot(row, x));
      results.push_back(y);
    }
    return results;
  };
  const auto ready = [&layer, &c](Heads heads, const std::string& norm, Index token) {
    for (Row& x : heads) {
      if (c.qk_norm) x = rms_norm(x, layer.weight(norm + ".weight"), c.norm_epsilon);
      x = layer.turned_front(x, token);
    }
    return heads;
  };
  const Index width = c.nope_dim + c.rope_dim;
  const std::vector<Heads> keys = matrices("c_k", "key", c.key_rank),
                           values = matrices("c_v", "value", c.value_rank);
  Written parts;
  for (Index t = 0; t < layer.count(); ++t) {
    const Row all = layer.projected("c_q", layer.hidden(t));
    Heads queries;
    for (Index head = 0; head < c.query_heads; ++head) queries.push_back(part(all, head * width, width));
    parts.queries.push_back(ready(queries, "q_norm", t));
  }
  parts.entries = entry_a_token(layer, [&](Index t) {
    return KeysAndValues{ready(multiplied(keys, layer.hidden(t)), "k_norm", t),
                         multiplied(values, layer.hidden(t))};
  });
  parts.scale = plain_scale(c);
  return parts;
}

}  // namespace attest::naive
