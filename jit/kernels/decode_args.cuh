// The arguments of the decode and merge kernels: plain data, included by the host program too, so that both
// sides agree.
#pragma once

namespace attest {

// One piece of work: the tokens [begin, end) of one sequence, whose result is partial result number `part`.
// May be empty.
struct WorkUnit {
  int sequence;
  int part;
  int begin;
  int end;
};

// Which keys a query sees; see MaskSpec. The query's position and all token numbers count from the sequence's
// first cached token, padding included.
struct MaskArgs {
  long long window;       // tokens seen, the query's own counted; 0: all
  long long sink_tokens;  // first tokens after the padding, seen in spite of the window
  int causal;
};

// A paged cache: element e of head h of token t of sequence b lies at
//   base + page_table[b][t / page_tokens] * page_stride + (t % page_tokens) * token_stride + h * head_stride
//   + e.
// Strides count elements. Keys and values have their own: their layouts need not be the same.
struct PagedArgs {
  const void* base;
  long long page_stride;
  long long token_stride;
  long long head_stride;
};

// Symbols of the shapes: B sequences, T query tokens, R rows a token (query heads times branches), H query
// heads.
struct DecodeArgs {
  const void* queries;       // [B, T, R, key_dim] elements; latent: the absorbed queries
  const void* rope_queries;  // [B, T, H, rope_dim] elements; latent only
  PagedArgs keys;            // heads of key_dim elements: keys, or the latents that are keys and values
  PagedArgs values;          // heads of value_dim elements; grouped only
  PagedArgs rope_keys;       // one head of rope_dim elements; latent only
  const int* page_table;     // [B, pages_per_sequence] page numbers
  long long pages_per_sequence;
  const int* cached_tokens;  // [B] the query tokens included
  const int* left_padding;   // [B]
  const WorkUnit* units;     // [gridDim.x / blocks a unit]
  float* partial_outputs;    // [parts, T, R, value_dim] each normalised; not written for a part without a
                             // visible key
  float* partial_lse;        // [parts, T, R] base-2 log of the sum of 2^exponents; -infinity: the part has no
                             // visible key
  int page_tokens;
  int query_tokens;  // T: the last T cached tokens are queries
  int query_heads;   // H
  int kv_heads;
  float cap_scale;       // softmax scale / softcap, or 0 when there is no softcap
  float exponent_scale;  // log2(e) * (softcap, or the softmax scale when there is none): exponents are base 2
  MaskArgs mask;
};

// Merges the parts [first_part[b], first_part[b + 1]) of each sequence.
struct MergeArgs {
  const float* partial_outputs;  // [parts, T, R, value_dim]
  const float* partial_lse;      // [parts, T, R] base 2
  const int* first_part;         // [B + 1]
  float* outputs;                // [B, T, R, value_dim]; zeros for a row that sees nothing
  float* lse;                    // [B, T, R] natural log; -infinity for a row that sees nothing
  int rows;                      // T * R
};

}  // namespace attest
