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
    {"naive-grouped", "naive", "decode_grouped.cuh", Family::grouped,
     "one lane a token, tiles of 32 tokens in f32"},
    {"naive-latent", "naive", "decode_latent.cuh", Family::latent,
     "one lane a token, tiles of 32 tokens in f32; the latent is key and value"},
    {"fast-grouped", "fast", "decode_mma.cuh", Family::grouped,
     "tensor cores (mma.sync), asynchronous copies in two stages; 16-bit storage"},
    {"fast-latent", "fast", "decode_mma.cuh", Family::latent,
     "tensor cores (mma.sync), asynchronous copies in two stages; 16-bit storage"},
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

void refuse_unsupported(const HeadConfig& heads, std::string_view kind) {
  if (const auto problems = heads.problems(); !problems.empty()) {
    throw std::invalid_argument(heads.name() + ": " + problems.front());
  }
  const auto of_kind = [&](const KernelInfo& kernel) { return kernel.kind == kind; };
  if (std::none_of(std::begin(kKernels), std::end(kKernels), of_kind)) {
    throw std::invalid_argument("no kernels are called '" + std::string(kind) + "'; there are: naive, fast");
  }
  const auto serves = [&](const KernelInfo& kernel) {
    return kernel.kind == kind && kernel.family == heads.family;
  };
  if (std::none_of(std::begin(kKernels), std::end(kKernels), serves)) {
    throw std::invalid_argument(heads.name() + ": no " + std::string(kind) + " kernel decodes the " +
                                std::string(name(heads.family)) + " family");
  }
  element_type(heads.storage);
  if (kind != "fast") return;
  if (info(heads.storage).bytes != 2) {
    throw std::invalid_argument(heads.name() + ": the fast kernel reads 16-bit storage");
  }
  for (const int width : {heads.key_dim, heads.rope_dim, heads.value_dim}) {
    const int unit = heads.value_dim > 256 && width == heads.value_dim ? 32 : 16;
    if (width % unit != 0 || width > 512) {
      throw std::invalid_argument(heads.name() + ": the fast kernel takes widths that are multiples of " +
                                  std::to_string(unit) + " up to 512, not " + std::to_string(width));
    }
  }
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

namespace {

BlockShape naive_shape(const HeadConfig& heads) {
  constexpr int kWarps = 4;
  const int rows = heads.rows_per_kv_head();
  const int rows_per_warp = std::min(4, (rows + kWarps - 1) / kWarps);
  BlockShape shape;
  shape.threads = 32 * kWarps;
  shape.tile_tokens = 32;
  shape.warp_tile_tokens = 32;
  shape.rows_per_block = kWarps * rows_per_warp;
  const int key = heads.key_dim + heads.rope_dim;
  const int value = heads.family == Family::grouped ? heads.value_dim : 0;  // a latent is its own value
  shape.shared_bytes = 4 * (shape.rows_per_block * key + shape.tile_tokens * ((key | 1) + value));
  return shape;
}

BlockShape fast_shape(const HeadConfig& heads) {
  const int rows = heads.rows_per_kv_head();
  const int row_warps = rows > 32 ? 4 : rows > 16 ? 2 : 1;
  const int column_warps = heads.value_dim > 256 ? 2 : 1;
  const int width = heads.key_dim + heads.rope_dim;
  BlockShape shape;
  shape.tensor_core = true;
  shape.merge_threads = 128;
  shape.parts_per_unit = 4 / row_warps;
  shape.threads = 32 * row_warps * shape.parts_per_unit * column_warps;
  shape.rows_per_block = 16 * row_warps;
  shape.tile_tokens = width > 320 && shape.parts_per_unit <= 2 ? 32 : 64;
  shape.warp_tile_tokens = shape.tile_tokens / shape.parts_per_unit;
  const int value_row = heads.family == Family::grouped ? heads.value_dim + 8 : 0;
  constexpr int kStages = 2;
  shape.shared_bytes =
      2 * (shape.rows_per_block * (width + 8) + kStages * shape.tile_tokens * (width + 8 + value_row));
  return shape;
}

}  // namespace

BlockShape block_shape(const HeadConfig& heads, std::string_view kind) {
  refuse_unsupported(heads, kind);
  BlockShape shape = kind == "fast" ? fast_shape(heads) : naive_shape(heads);
  shape.row_tiles = (heads.rows_per_kv_head() + shape.rows_per_block - 1) / shape.rows_per_block;
  return shape;
}

KernelSpec decode_kernel(const HeadConfig& heads, const KernelSource& source, std::string architecture,
                         std::string_view kind) {
  const BlockShape shape = block_shape(heads, kind);
  const bool grouped = heads.family == Family::grouped, fast = kind == "fast";
  const std::string name = fast ? "decode_mma" : grouped ? "decode_grouped" : "decode_latent";
  const std::string shape_name = fast      ? "attest::DecodeMmaShape"
                                 : grouped ? "attest::DecodeGroupedShape"
                                           : "attest::DecodeLatentShape";
  std::string numbers = std::to_string(heads.key_dim);  // template arguments behind the element type
  if (fast || !grouped) numbers += ", " + std::to_string(heads.rope_dim);
  if (fast || grouped) numbers += ", " + std::to_string(heads.value_dim);
  numbers += ", " + std::to_string(heads.rows_per_kv_head()) + ">";
  if (fast) numbers = (grouped ? "false, " : "true, ") + numbers;
  std::string unit = "#include \"" + name + ".cuh\"\n" + same_layout();
  const std::string device_shape = shape_name + "<" + numbers;
  unit += same_number(device_shape, "kThreads", shape.threads);
  unit += same_number(device_shape, "kTileTokens", shape.tile_tokens);
  unit += same_number(device_shape, "kRowsPerBlock", shape.rows_per_block);
  unit += same_number(device_shape, "kRowTiles", shape.row_tiles);
  unit += same_number(device_shape, "kSharedBytes", shape.shared_bytes);
  if (fast) unit += same_number(device_shape, "kTokenWarps", shape.parts_per_unit);
  return make_spec(
      "attest::" + name + "<attest::" + std::string(element_type(heads.storage)) + ", " + numbers,
      std::move(unit), source, std::move(architecture));
}

KernelSpec merge_kernel(const HeadConfig& heads, const KernelSource& source, std::string architecture,
                        std::string_view kind) {
  const BlockShape shape = block_shape(heads, kind);
  const std::string name = kind == "fast" ? "merge_wide" : "merge_splits";
  std::string unit = "#include \"" + name + ".cuh\"\n" + same_layout();
  if (kind == "fast") unit += same_number("attest::MergeWideShape", "kThreads", shape.merge_threads);
  return make_spec("attest::" + name + "<" + std::to_string(heads.value_dim) + ">", std::move(unit), source,
                   std::move(architecture));
}

}  // namespace attest
