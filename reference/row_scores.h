// The scores of one row of a decode call: which keys it sees, and what softmax makes of them.
#pragma once

#include <vector>

#include "reference/decode_call.h"

namespace attest {

// Sum of a[i] * b[i] in eight interleaved partial sums, so that it runs in vector registers.
double dot_product(const double* a, const double* b, Index count);

// Walks the rows of a call; read() fills the public fields for one row and reuses their memory.
class RowScores {
 public:
  // The inputs must outlive the walk and have no problems().
  explicit RowScores(const DecodeInputs& inputs) : inputs_(inputs) {}

  // Row `row` of query token `query` of sequence `batch`.
  void read(Index batch, Index query, Index row);

  std::vector<Index> keys;     // tokens that the row sees, ascending
  std::vector<double> scaled;  // [keys] scale * <query, key>
  std::vector<double> scores;  // [keys] the same after the soft-cap
  double maximum = 0;          // of scores; -infinity when there are none

  // The row's operands. A latent call has a second piece, the rotated part; its values are its keys.
  const double* query_row() const { return query_row_; }
  const double* rope_query_row() const { return rope_query_row_; }  // null in a grouped call
  const double* key_row(Index token) const;
  const double* rope_key_row(Index token) const;
  const double* value_row(Index token) const;
  Index tokens() const { return cache_->keys.size(0); }

 private:
  void see(Index query);

  const DecodeInputs& inputs_;
  const SequenceCache* cache_ = nullptr;
  const double* query_row_ = nullptr;
  const double* rope_query_row_ = nullptr;
  Index kv_head_ = 0;
  Index seen_batch_ = -1, seen_query_ = -1;  // whose keys are listed
};

}  // namespace attest
