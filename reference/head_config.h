// One head configuration: every number that a decode kernel is specialised on, and nothing else.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "reference/number_formats.h"

namespace attest {

// The three shapes of decode attention. Symbols: q query, k key, v value, c latent.
//   grouped:  score = q . k,                            value = v      query_heads / kv_heads heads read one
//   KV head latent:   score = q_rope . k_rope + q_latent . c,   value = c      one rotated key shared by all
//   heads, one latent a latent head factored: score and value through low-rank factors of the cache (TPA,
//   LRKV)
enum class Family { grouped, latent, factored };

// Latent family: every latent head l is read by `heads_per_latent()` rows; row r of latent head l belongs to
// the query head (l * heads_per_latent() + r) mod query_heads. So MLA is 1 latent head, GLA-2 two of them
// with half of the heads each, MLRA-4 four that all heads read (4 branches), MLRA-2 four that half of the
// heads read (2 branches).
struct HeadConfig {
  Family family = Family::grouped;
  int query_heads = 1;
  int kv_heads = 1;    // grouped: KV heads; latent: latent heads; factored: KV heads of the shared part
  int branches = 1;    // latent: results that each query head has (its branches are summed after the
                       // up-projection); else 1
  int key_dim = 64;    // grouped: width of q and k; latent: width of a latent
  int rope_dim = 0;    // latent: width of the shared rotated key; else 0
  int value_dim = 64;  // width of a result; latent: equal to key_dim
  int key_rank = 0;    // factored: terms of a key's factorisation; else 0
  int value_rank = 0;  // factored: terms of a value's factorisation; else 0
  Format storage = Format::bf16;  // of queries, keys, values, latents; results and log-sum-exp are f32

  auto operator<=>(const HeadConfig&) const = default;

  int rows() const { return query_heads * branches; }  // results a token: one for every head and branch
  int rows_per_kv_head() const {
    return rows() / kv_heads;
  }  // the group size; latent: heads that read one latent
  int query_head_of_row(int row) const { return row % query_heads; }
  int kv_head_of_row(int row) const { return row / rows_per_kv_head(); }

  // What is wrong with these numbers, in sentences; empty when a kernel can be specialised on them.
  std::vector<std::string> problems() const;
  // "grouped-h32-g8-k128-v128-bf16", "latent-h64-l4-b4-c128-r64-bf16",
  // "factored-h32-g32-k128-v128-kr2-vr2-bf16"; inverse of parse_head_config.
  std::string name() const;
};

std::string_view name(Family family);
// Throws std::invalid_argument naming the part that is wrong.
HeadConfig parse_head_config(std::string_view name);

}  // namespace attest
