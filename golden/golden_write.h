// Writes a golden directory from the reference: what a checkpoint computes, recorded for others to compare
// with.
#pragma once

#include <string>

#include "golden/released_model.h"

namespace attest::golden {

struct WriteOptions {
  std::string variant;       // settles an ambiguous checkpoint
  Index prefill_tokens = 0;  // of the generation path; 0: half of the tokens, at least one
  bool generation = true;    // record decode.*, too
};

// Runs `checkpoint` (a folder with config.json and weights) on input_ids [B, T] and writes
// golden.safetensors, with copies of config.json and the weight files, into `directory`, which is made if
// need be; when it is the checkpoint's own folder only golden.safetensors is written. Tensors are those of
// golden/data/README.md without shipped_fp32.*, which only released code can give; the caches are those of
// layer 0. golden.safetensors appears last and complete, or not at all. Throws CheckpointError for what
// cannot be read or written, std::invalid_argument for identifiers that do not fit.
void write_golden(const std::string& checkpoint, const Tensor<Index>& input_ids, const std::string& directory,
                  const WriteOptions& options = {});

// Token identifiers from a text file: one sequence a line, numbers separated by blanks or commas, all lines
// of one length; [B, T]. Throws CheckpointError naming the line.
Tensor<Index> read_tokens(const std::string& path);

}  // namespace attest::golden
