// Tells in lines of text what a checkpoint or a golden directory holds, without reading the numbers.
#pragma once

#include <string>
#include <vector>

namespace attest::golden {

// `path`: a folder or a weights file. One line a weight file, one for family and variant where a config.json
// settles them (or the reason why it does not), then one a tensor: name, type, shape, bytes, "strided" where
// it is a view. Throws CheckpointError when the weights cannot be read.
std::vector<std::string> inspect(const std::string& path);

}  // namespace attest::golden
