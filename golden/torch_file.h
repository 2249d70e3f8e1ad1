// Reads what torch.save wrote of a state dict (PyTorch 1.6 and later: a zip with data.pkl and one entry a
// storage), in place.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "golden/stored_tensor.h"

namespace attest::golden {

// The tensors of the state dict in its order, strided views included, storages shared where the file shares
// them. Throws CheckpointError as zip_archive.h and pickle.h say, and when data.pkl or a storage's entry is
// missing or has another size than its storage, when a CRC is wrong (every storage is read once for that),
// when the archive is a TorchScript program, big-endian, or in the format from before 1.6.
std::vector<StoredTensor> read_torch_file(const std::shared_ptr<const MappedFile>& file);

}  // namespace attest::golden
