// Layout by names, variant by fields and shapes, then every tensor against the model's own list.
#include "golden/released_model.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

namespace attest::golden {
namespace {

constexpr std::string_view kEmbedding = "transformer.wte.weight", kHead = "lm_head.weight";

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

bool fits_names(const ReleasedLayout& layout, const Checkpoint& checkpoint) {
  const auto has = [&](std::string_view suffix) {
    return checkpoint.contains(std::string(layout.layer_zero) + std::string(suffix));
  };
  const std::vector<std::string> names = checkpoint.names();
  return std::any_of(names.begin(), names.end(),
                     [&](const auto& name) { return name.starts_with(layout.layer_zero); }) &&
         std::all_of(layout.with.begin(), layout.with.end(), has) &&
         std::none_of(layout.without.begin(), layout.without.end(), has);
}

const ReleasedLayout& find_layout(const ConfigFields& fields, const Checkpoint& checkpoint, bool settled) {
  std::vector<const ReleasedLayout*> fitting;
  std::vector<std::string> known, fitting_names;
  for (const ReleasedLayout& layout : released_layouts()) {
    known.emplace_back(layout.name);
    if (!fits_names(layout, checkpoint)) continue;
    fitting.push_back(&layout);
    fitting_names.emplace_back(layout.name);
  }
  if (fitting.empty()) {
    throw CheckpointError(checkpoint.path(),
                          "its tensor names are those of none of the families " + joined(known));
  }
  if (fitting.size() > 1) fields.fail("tensor names fit several families: " + joined(fitting_names));
  const ReleasedLayout& layout = *fitting.front();
  const std::string type = fields.text_or({"model_type"}, "");
  const auto& types = layout.model_types;
  if (!types.empty() && !settled && std::find(types.begin(), types.end(), type) == types.end()) {
    std::string expected;
    for (const std::string_view t : types) expected += (expected.empty() ? "" : " or ") + std::string(t);
    fields.fail("\"model_type\" " + in_quotes(type) +
                " is not read as such, but its tensor names are those of " + expected + "; --variant " +
                layout.candidates(fields).front() + " reads it so");
  }
  return layout;
}

// A layer's attention tensors, by their names in the model ("q_a_proj.weight").
std::map<std::string, const StoredTensor*> attention_tensors(const ReleasedLayout& layout,
                                                             const Checkpoint& checkpoint,
                                                             const AttentionConfig& config) {
  std::map<std::string, const StoredTensor*> found;
  for (const WeightShape& shape : weight_shapes(config)) {
    const std::string stored = layout.stored_name("transformer.h.0.attn." + shape.name);
    if (checkpoint.contains(stored)) found.emplace(shape.name, &checkpoint.tensor(stored));
  }
  return found;
}

size_t stored_attention_count(const ReleasedLayout& layout, const Checkpoint& checkpoint) {
  const std::vector<std::string> names = checkpoint.names();
  return static_cast<size_t>(std::count_if(names.begin(), names.end(), [&](const std::string& name) {
    return name.starts_with(layout.layer_zero) && !name.ends_with(".W_UK") && !name.ends_with(".W_UV") &&
           !name.ends_with("rotary_emb.inv_freq");
  }));
}

struct Fit {
  std::string variant;
  AttentionConfig config;
  bool shapes = true;
};

// The variants whose tensors layer 0 has, all of them and no others.
std::vector<Fit> fitting_variants(const ReleasedLayout& layout, const ConfigFields& fields,
                                  const Checkpoint& checkpoint) {
  std::vector<Fit> fits;
  const size_t stored = stored_attention_count(layout, checkpoint);
  for (const std::string& variant : layout.candidates(fields)) {
    Fit fit{variant, {}, true};
    try {
      fit.config = layout.attention(variant, fields);
    } catch (const CheckpointError&) {
      continue;  // config.json lacks a field of this variant, or its sizes do not divide for it
    }
    if (!fit.config.problems().empty()) continue;
    const std::vector<WeightShape> shapes = weight_shapes(fit.config);
    const auto tensors = attention_tensors(layout, checkpoint, fit.config);
    if (tensors.size() != shapes.size() || stored != shapes.size()) continue;
    fit.shapes = std::all_of(shapes.begin(), shapes.end(), [&](const WeightShape& shape) {
      return tensors.at(shape.name)->shape == shape.shape;
    });
    fits.push_back(std::move(fit));
  }
  return fits;
}

// "mlra_4_gated" -> "mlra-4-gated". The released gqa file with one KV head is what is called mqa here.
std::string named_variant(const ConfigFields& fields) {
  std::string name = fields.text_or({"attention_variant"}, "");
  std::replace(name.begin(), name.end(), '_', '-');
  if (name == "gqa" && fields.count({"n_head", "num_attention_heads"}) == fields.count({"group_size"}))
    return "mqa";
  return name;
}

// Of a variant that the user or config.json names: the tensors must be that variant's.
AttentionConfig named_attention(const ReleasedLayout& layout, const ConfigFields& fields,
                                const Checkpoint& checkpoint, const std::string& variant) {
  if (std::find(layout.variants.begin(), layout.variants.end(), variant) == layout.variants.end()) {
    fields.fail("variant " + in_quotes(variant) + " is not one that " + std::string(layout.name) +
                " checkpoints hold; expected one of " +
                joined({layout.variants.begin(), layout.variants.end()}));
  }
  AttentionConfig config = layout.attention(variant, fields);
  const std::vector<std::string> problems = config.problems();
  if (!problems.empty()) fields.fail(problems.front());
  const auto tensors = attention_tensors(layout, checkpoint, config);
  for (const WeightShape& shape : weight_shapes(config)) {
    if (tensors.count(shape.name) != 0) continue;
    std::vector<std::string> fitting;
    for (const Fit& fit : fitting_variants(layout, fields, checkpoint)) fitting.push_back(fit.variant);
    fields.fail("variant " + in_quotes(variant) + " needs tensor " +
                in_quotes(layout.stored_name("transformer.h.0.attn." + shape.name)) +
                ", which is missing; the tensors fit " + (fitting.empty() ? "no variant" : joined(fitting)));
  }
  return config;
}

AttentionConfig find_attention(const ReleasedLayout& layout, const ConfigFields& fields,
                               const Checkpoint& checkpoint, const std::string& asked) {
  const std::string named = asked.empty() ? named_variant(fields) : asked;
  if (!named.empty()) return named_attention(layout, fields, checkpoint, named);
  const std::vector<std::string> candidates = layout.candidates(fields);
  if (candidates.size() == 1) return named_attention(layout, fields, checkpoint, candidates.front());
  std::vector<Fit> fits = fitting_variants(layout, fields, checkpoint);
  if (fits.size() > 1 && std::any_of(fits.begin(), fits.end(), [](const Fit& fit) { return fit.shapes; })) {
    std::erase_if(fits, [](const Fit& fit) { return !fit.shapes; });
  }
  if (fits.empty()) {
    fields.fail("no attention variant has the tensors that layer 0 has and the fields of this file; tried " +
                joined(candidates));
  }
  if (fits.size() > 1) {
    std::vector<std::string> names;
    for (const Fit& fit : fits) names.push_back(fit.variant);
    fields.fail("the tensors fit several variants, " + joined(names) + "; choose one with --variant");
  }
  return fits.front().config;
}

// The embedding and the head are one matrix in released MLRA models, saved under either name or both.
bool is_tied(const ReleasedLayout& layout, const ConfigFields& fields, const Checkpoint& checkpoint) {
  const std::string embedding = layout.stored_name(std::string(kEmbedding)), head(kHead);
  if (!checkpoint.contains(embedding) || !checkpoint.contains(head)) {
    return layout.name == "mlra" || fields.flag_or({"tie_word_embeddings"}, false);
  }
  const StoredTensor &a = checkpoint.tensor(embedding), &b = checkpoint.tensor(head);
  const bool equal = a.type == b.type && a.shape == b.shape && a.strides == b.strides &&
                     a.bytes.size() == b.bytes.size() &&
                     std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  a.drop_pages();
  b.drop_pages();
  if (!equal && layout.name == "mlra") {
    checkpoint.tensor(head).file->fail("tensor " + in_quotes(head) + " differs from " + in_quotes(embedding) +
                                       ", but the released models tie them");
  }
  return equal;
}

bool may_be_ignored(const ReleasedModel& model, const std::string& name) {
  // Tables and absorbed weights that some releases save although the model computes them, and
  // multi-token-prediction layers.
  if (name.ends_with("rotary_emb.inv_freq") || name.ends_with(".W_UK") || name.ends_with(".W_UV"))
    return true;
  if (model.layout->name != "deepseek" || !name.starts_with(model.layout->layer_prefix)) return false;
  const std::string digits = name.substr(model.layout->layer_prefix.size(), 9);
  return std::strtol(digits.c_str(), nullptr, 10) >= model.config.layers;
}

void check_tensors(const ReleasedModel& model, const Checkpoint& checkpoint) {
  std::set<std::string> expected;
  const auto check = [&](const std::string& name, const std::vector<Index>& shape) {
    std::string stored = model.layout->stored_name(name);
    if (name == kEmbedding && model.config.tied_head) {  // under either name, or both
      expected.insert(stored);
      expected.insert(std::string(kHead));
      if (!checkpoint.contains(stored)) stored = kHead;
    }
    checkpoint.tensor(stored, shape);
    expected.insert(stored);
  };
  if (model.attention_only) {
    for (Index layer = 0; layer < model.config.layers; ++layer) {
      for (const WeightShape& shape : weight_shapes(model.config.attention)) {
        check("transformer.h." + std::to_string(layer) + ".attn." + shape.name, shape.shape);
      }
    }
    return;
  }
  for (const WeightShape& shape : model.config.weight_shapes()) check(shape.name, shape.shape);
  for (const std::string& name : checkpoint.names()) {
    if (expected.count(name) == 0 && !may_be_ignored(model, name)) {
      checkpoint.tensor(name).file->fail("tensor " + in_quotes(name) + " is none of those of a " +
                                         model.config.attention.variant_name() + " model of " +
                                         std::to_string(model.config.layers) + " layers");
    }
  }
}

void refuse_uncomputed(const ConfigFields& fields, Index layers, bool attention_only) {
  if (fields.has({"quantization_config"}))
    fields.fail("\"quantization_config\" is set; quantised weights are not read");
  const Index experts = fields.count_or({"n_routed_experts", "num_local_experts", "num_experts"}, 0);
  const bool all_dense = fields.has({"first_k_dense_replace"}) &&
                         fields.number({"first_k_dense_replace"}) >= static_cast<double>(layers);
  if (experts > 0 && !all_dense && !attention_only) {
    fields.fail("layers with " + std::to_string(experts) +
                " experts are not computed; check the attention alone with --layers attention");
  }
}

}  // namespace

ReleasedModel recognise(const std::string& config_path, const Checkpoint& checkpoint,
                        const RecogniseOptions& options) {
  const ConfigFields fields(config_path);
  ReleasedModel model;
  model.attention_only = options.attention_only;
  model.layout = &find_layout(fields, checkpoint, !options.variant.empty());
  model.config.layers = fields.count({"n_layer", "num_hidden_layers"});
  if (model.config.layers > static_cast<Index>(checkpoint.names().size())) {
    fields.fail("states " + std::to_string(model.config.layers) + " layers, but the checkpoint holds only " +
                std::to_string(checkpoint.names().size()) + " tensors");
  }
  refuse_uncomputed(fields, model.config.layers, options.attention_only);
  model.config.attention = find_attention(*model.layout, fields, checkpoint, options.variant);
  model.config.vocabulary = fields.count({"vocab_size"});
  model.config.feed_forward = options.attention_only ? fields.count_or({"intermediate_size"}, 1)
                                                     : fields.count({"intermediate_size"});
  model.config.norm_epsilon = fields.number_or({"rms_norm_eps"}, 1e-6);
  model.config.tied_head = is_tied(*model.layout, fields, checkpoint);
  const std::vector<std::string> problems = model.config.problems();
  if (!problems.empty()) fields.fail(problems.front());
  check_tensors(model, checkpoint);
  return model;
}

const StoredTensor& CheckpointWeights::find(const std::string& name) const {
  const std::string stored = model_.layout->stored_name(name);
  const bool tied = model_.config.tied_head && (name == kEmbedding || name == kHead);
  if (!tied || checkpoint_.contains(stored)) return checkpoint_.tensor(stored);
  return checkpoint_.tensor(name == kHead ? model_.layout->stored_name(std::string(kEmbedding))
                                          : std::string(kHead));
}

Tensor<double> CheckpointWeights::tensor(const std::string& name) {
  const StoredTensor& stored = find(name);
  Tensor<double> values(stored.shape);
  stored.read_doubles(0, values.elements());
  stored.drop_pages();
  return values;
}

Tensor<double> CheckpointWeights::rows(const std::string& name, std::span<const Index> rows) {
  const StoredTensor& stored = find(name);
  if (stored.shape.size() != 2) {
    throw std::invalid_argument("rows of tensor " + in_quotes(name) + " of shape " +
                                shape_text(stored.shape));
  }
  const Index width = stored.shape[1];
  Tensor<double> values({static_cast<Index>(rows.size()), width});
  for (size_t i = 0; i < rows.size(); ++i) {
    stored.read_doubles(rows[i] * width, values.elements().subspan(i * static_cast<size_t>(width),
                                                                   static_cast<size_t>(width)));
  }
  return values;
}

}  // namespace attest::golden
