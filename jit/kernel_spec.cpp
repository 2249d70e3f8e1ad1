// Names kernel instantiations, generates their units and hashes what they depend on.
#include "jit/kernel_spec.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <stdexcept>

#include "jit/hash.h"
#include "jit/kernels/decode_args.cuh"

namespace attest {
namespace {

constexpr KernelInfo kKernels[] = {
    {"naive-grouped", "decode_grouped.cuh", Family::grouped, "one lane a token, shared tiles of 32 tokens"},
    {"naive-latent", "decode_latent.cuh", Family::latent,
     "one lane a token, shared tiles of 32 tokens; the latent is key and value"},
};

// One row a storage format that kernels read.
struct ElementType {
  Format format;
  std::string_view type;  // in element.cuh
};
constexpr ElementType kElementTypes[] = {{Format::bf16, "Bf16"}, {Format::f16, "F16"}, {Format::f32, "F32"}};

std::string_view element_type(Format format) {
  std::string names;
  for (const ElementType& row : kElementTypes) {
    if (row.format == format) return row.type;
    names += " " + std::string(name(row.format));
  }
  throw std::invalid_argument("kernels store" + names + ", not " + std::string(name(format)));
}

void refuse_unsupported(const HeadConfig& heads) {
  if (const auto problems = heads.problems(); !problems.empty()) {
    throw std::invalid_argument(heads.name() + ": " + problems.front());
  }
  const auto serves = [&](const KernelInfo& kernel) { return kernel.family == heads.family; };
  if (std::none_of(std::begin(kKernels), std::end(kKernels), serves)) {
    throw std::invalid_argument(heads.name() + ": no kernel decodes the " + std::string(name(heads.family)) +
                                " family");
  }
  element_type(heads.storage);
}

// Host and device compile the same argument structs, unless the device code is somebody's edited copy.
std::string same_layout() {
  const struct {
    const char* type;
    std::size_t bytes;
  } types[] = {{"WorkUnit", sizeof(WorkUnit)},
               {"MaskArgs", sizeof(MaskArgs)},
               {"PagedArgs", sizeof(PagedArgs)},
               {"DecodeArgs", sizeof(DecodeArgs)},
               {"MergeArgs", sizeof(MergeArgs)}};
  std::string text;
  for (const auto& [type, bytes] : types) {
    text += std::string("static_assert(sizeof(attest::") + type + ") == " + std::to_string(bytes) + ", \"" +
            type + ": host and kernel differ\");\n";
  }
  return text;
}

std::string same_number(const std::string& shape, std::string_view constant, int value) {
  return "static_assert(" + shape + "::" + std::string(constant) + " == " + std::to_string(value) + ", \"" +
         std::string(constant) + ": host and kernel differ\");\n";
}

// What a C++ file name, a folder and a test id can hold: "attest::decode_grouped<attest::Bf16, 128>" ->
// "decode_grouped-Bf16-128".
std::string readable(std::string entry) {
  for (std::size_t at; (at = entry.find("attest::")) != std::string::npos;) entry.erase(at, 8);
  std::string result;
  for (const char c : entry) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') {
      result += c;
    } else if (!result.empty() && result.back() != '-') {
      result += '-';
    }
  }
  while (!result.empty() && result.back() == '-') result.pop_back();
  return result;
}

KernelSpec make_spec(std::string entry, std::string unit, const KernelSource& source,
                     std::string architecture) {
  // Contraction is off: a fused multiply-add must be one that the source asked for.
  return {.name = readable(entry),
          .entry = std::move(entry),
          .unit = std::move(unit),
          .options = {"--std=c++17", "--fmad=false"},
          .architecture = std::move(architecture),
          .source = source};
}

}  // namespace

std::span<const KernelInfo> kernels() { return kKernels; }

std::vector<std::string> KernelSpec::all_options() const {
  std::vector<std::string> all = {"--gpu-architecture=" + architecture};
  all.insert(all.end(), options.begin(), options.end());
  return all;
}

std::string KernelSpec::key(std::string_view nvrtc_version) const {
  const std::vector<std::string> option_texts = all_options();
  std::vector<std::string_view> texts = {"attest kernel 1", nvrtc_version, entry, unit};
  texts.insert(texts.end(), option_texts.begin(), option_texts.end());
  for (const KernelFile& file : source.files()) {
    texts.push_back(file.name);
    texts.push_back(file.text);
  }
  return hash_texts(texts);
}

BlockShape block_shape(const HeadConfig& heads) {
  refuse_unsupported(heads);
  constexpr int kWarps = 4;
  const int rows = heads.rows_per_kv_head();
  const int rows_per_warp = std::min(4, (rows + kWarps - 1) / kWarps);
  BlockShape shape{.threads = 32 * kWarps, .tile_tokens = 32, .rows_per_block = kWarps * rows_per_warp};
  shape.row_tiles = (rows + shape.rows_per_block - 1) / shape.rows_per_block;
  const int key = heads.key_dim + heads.rope_dim;
  const int value = heads.family == Family::grouped ? heads.value_dim : 0;  // a latent is its own value
  shape.shared_bytes = 4 * (shape.rows_per_block * key + shape.tile_tokens * ((key | 1) + value));
  return shape;
}

KernelSpec decode_kernel(const HeadConfig& heads, const KernelSource& source, std::string architecture) {
  const BlockShape shape = block_shape(heads);
  const bool grouped = heads.family == Family::grouped;
  const std::string name = grouped ? "decode_grouped" : "decode_latent";
  const std::string numbers = std::to_string(heads.key_dim) + ", " +
                              std::to_string(grouped ? heads.value_dim : heads.rope_dim) + ", " +
                              std::to_string(heads.rows_per_kv_head()) + ">";
  const std::string device_shape =
      std::string("attest::") + (grouped ? "DecodeGroupedShape<" : "DecodeLatentShape<") + numbers;
  return make_spec(
      "attest::" + name + "<attest::" + std::string(element_type(heads.storage)) + ", " + numbers,
      "#include \"" + name + ".cuh\"\n" + same_layout() +
          same_number(device_shape, "kThreads", shape.threads) +
          same_number(device_shape, "kTileTokens", shape.tile_tokens) +
          same_number(device_shape, "kRowsPerBlock", shape.rows_per_block) +
          same_number(device_shape, "kRowTiles", shape.row_tiles) +
          same_number(device_shape, "kSharedBytes", shape.shared_bytes),
      source, std::move(architecture));
}

KernelSpec merge_kernel(const HeadConfig& heads, const KernelSource& source, std::string architecture) {
  refuse_unsupported(heads);
  return make_spec("attest::merge_splits<" + std::to_string(heads.value_dim) + ">",
                   "#include \"merge_splits.cuh\"\n" + same_layout(), source, std::move(architecture));
}

}  // namespace attest
