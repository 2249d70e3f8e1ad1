// Joins the pickle's tensors to the archive's storages.
#include "golden/torch_file.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "golden/pickle.h"
#include "golden/zip_archive.h"

namespace attest::golden {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void refuse_old_format(const MappedFile& file) {
  const auto bytes = file.bytes();
  if (bytes.size() >= 2 && bytes[0] == std::byte{0x80} && bytes[1] <= std::byte{5}) {
    file.fail(
        "is in torch.save's format from before PyTorch 1.6; convert it with "
        "torch.save(torch.load(IN, map_location='cpu'), OUT)");
  }
}

// Everything torch.save writes lies in one folder of the archive; its name is whatever the file was called.
std::string find_folder(const ZipArchive& archive, const MappedFile& file) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::string folder;
  for (const auto& [name, entry] : archive.entries()) {
    if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
    if (!folder.empty())
      file.fail("has two data.pkl: in " + in_quotes(folder) + " and in " + in_quotes(name));
    folder = name.substr(0, name.size() - kPickle.size());
  }
  if (folder.empty()) file.fail("is a zip archive without FOLDER/data.pkl: not something torch.save wrote");
  return folder;
}

}  // namespace

std::vector<StoredTensor> read_torch_file(const std::shared_ptr<const MappedFile>& file) {
  refuse_old_format(*file);
  const ZipArchive archive(file);
  const std::string folder = find_folder(archive, *file);
  if (archive.entries().count(folder + "/constants.pkl") != 0) {
    file->fail("is a TorchScript program (it has constants.pkl); expected a state dict");
  }
  if (const auto order = archive.entries().find(folder + "/byteorder");
      order != archive.entries().end() && text_of(order->second.bytes) != "little") {
    file->fail("byteorder is " + in_quotes(text_of(order->second.bytes)) + ", expected 'little'");
  }
  archive.check_crc(folder + "/data.pkl");
  std::vector<PickledTensor> pickled =
      read_state_dict(archive.entry(folder + "/data.pkl").bytes, file->path());

  std::vector<StoredTensor> tensors;
  tensors.reserve(pickled.size());
  std::set<std::string> checked;
  for (PickledTensor& from : pickled) {
    const std::string entry_name = folder + "/data/" + from.storage;
    const auto storage = archive.entry(entry_name).bytes;
    const auto bytes_each = static_cast<uint64_t>(info(from.type).bits) / 8;
    uint64_t expected = 0;
    const bool wraps =
        __builtin_mul_overflow(static_cast<uint64_t>(from.storage_elements), bytes_each, &expected);
    if (wraps || expected != storage.size()) {
      file->fail("tensor " + in_quotes(from.name) + ": entry " + in_quotes(entry_name) + " holds " +
                 std::to_string(storage.size()) + " bytes, but the pickle says " +
                 std::to_string(from.storage_elements) + " elements of " + std::string(info(from.type).name));
    }
    if (checked.insert(from.storage).second) {
      archive.check_crc(entry_name);
      file->drop_pages(storage);
    }
    StoredTensor tensor;
    tensor.name = std::move(from.name);
    tensor.type = from.type;
    tensor.shape = std::move(from.shape);
    tensor.strides = std::move(from.strides);
    tensor.bytes = storage.subspan(static_cast<uint64_t>(from.offset) * bytes_each);
    tensor.file = file;
    uint64_t extent = tensor.elements() == 0
                          ? 0
                          : 1;  // elements from the first to the last, checked by the pickle's reader
    for (size_t axis = 0; extent != 0 && axis < tensor.shape.size(); ++axis) {
      extent += static_cast<uint64_t>((tensor.shape[axis] - 1) * tensor.strides[axis]);
    }
    tensor.bytes = tensor.bytes.first(extent * bytes_each);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace attest::golden
