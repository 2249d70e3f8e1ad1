// Three passes over the model: exact arithmetic, the generation path where it is recorded, float32 bounds
// where float32 is.
#include "golden/golden_check.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "golden/float32_bounds.h"
#include "golden/golden_file.h"
#include "golden/released_model.h"

namespace attest::golden {
namespace {

constexpr double kFloat64Tolerance = 1e-12;  // of the tensor's largest magnitude

const std::vector<std::string>& axes_of(size_t rank) {
  static const std::map<size_t, std::vector<std::string>> kAxes{
      {3, {"batch", "token", "element"}},
      {4, {"batch", "token", "head", "element"}},
      {5, {"batch", "token", "head", "rank", "element"}}};
  return kAxes.at(rank);
}

double largest(const Tensor<double>& x) {
  double most = 0;
  for (const double value : x.elements()) most = std::max(most, std::fabs(value));
  return most;
}

class Check {
 public:
  Check(const std::string& directory, const GoldenOptions& options)
      : directory_(directory),
        options_(options),
        checkpoint_(Checkpoint::open(directory)),
        model_(recognise((std::filesystem::path(directory) / "config.json").string(), checkpoint_,
                         {options.variant, options.attention_only})),
        golden_(directory, model_),
        weights_(checkpoint_, model_) {}

  GoldenReport run() {
    if (model_.attention_only) {
      attention_layers();
      return std::move(report_);
    }
    const bool float32 = golden_.has_any(kFloat32Prefix);
    std::map<std::string, Tensor<double>> exact;  // what float32 results are compared with
    run_model(model_.config, weights_, golden_.input_ids(),
              [&](const std::string& name, const Tensor<double>& value) {
                float64_row(name, value);
                if (float32 && golden_.has(kFloat32Prefix + name)) exact[name] = value;
              });
    if (golden_.prefill_tokens() > 0) generation();
    if (float32) float32_rows(exact);
    return std::move(report_);
  }

 private:
  void attention_layers() {
    for (Index layer = 0; layer < model_.config.layers; ++layer) {
      const std::string name = "layers." + std::to_string(layer) + ".attn.";
      float64_row(name + "output",
                  run_attention(model_.config, weights_, layer, golden_.values(name + "input")));
    }
  }

  void generation() {
    const ModelHook hook = [&](const std::string& name, const Tensor<double>& value) {
      if (golden_.has(name)) float64_row(name, value);
    };
    const Tensor<double> logits =
        generate_model(model_.config, weights_, golden_.input_ids(), golden_.prefill_tokens(), hook);
    float64_row("decode.logits", logits);
  }

  // Here the reference's value is the truth and the released run is judged.
  void float32_rows(const std::map<std::string, Tensor<double>>& exact) {
    const Float32Bounds float32 = float32_bounds(model_.config, weights_, golden_.input_ids());
    for (const auto& [name, value] : exact) {
      const std::string tensor = kFloat32Prefix + name;
      if (float32.unknown.empty()) {
        add_row(tensor, golden_.values(tensor), value,
                {.bounds = float32.bounds.at(name).elements(),
                 .source = "float32 rounding, golden/float32_bounds.h"});
        continue;
      }
      GoldenRow row;
      row.golden = directory_;
      row.variant = model_.config.attention.variant_name();
      row.tensor = tensor;
      row.status = Verdict::inconclusive;
      row.text = tensor + ": no float32 bound: " + float32.unknown;
      finish_row(std::move(row));
    }
  }

  void float64_row(const std::string& name, const Tensor<double>& value) {
    const Tensor<double> want = golden_.values(name);
    add_row(
        name, value, want,
        {.absolute = kFloat64Tolerance * largest(want), .source = "1e-12 of the tensor's largest magnitude"});
  }

  void add_row(const std::string& name, const Tensor<double>& got, const Tensor<double>& want,
               const Tolerance& tolerance) {
    const Comparison comparison =
        compare(name, got.elements(), want.elements(), want.shape(), axes_of(want.shape().size()), tolerance);
    GoldenRow row;
    row.golden = directory_;
    row.variant = model_.config.attention.variant_name();
    row.tensor = name;
    row.status = comparison.verdict;
    row.max_abs_error = comparison.max_abs_error;
    const double magnitude = largest(want);
    row.max_rel_error = magnitude > 0 ? comparison.max_abs_error / magnitude : comparison.max_abs_error;
    row.bound = comparison.bound;
    row.worst_error_over_bound = comparison.worst_ratio;
    row.text = comparison.text;
    finish_row(std::move(row));
  }

  void finish_row(GoldenRow row) {
    if (options_.on_row) options_.on_row(row);
    report_.rows.push_back(std::move(row));
  }

  std::string directory_;
  const GoldenOptions& options_;
  Checkpoint checkpoint_;
  ReleasedModel model_;
  GoldenFile golden_;
  CheckpointWeights weights_;
  GoldenReport report_;
};

}  // namespace

bool GoldenReport::passed() const {
  return !rows.empty() && std::all_of(rows.begin(), rows.end(),
                                      [](const GoldenRow& row) { return row.status == Verdict::passed; });
}

GoldenReport check(const std::string& directory, const GoldenOptions& options) {
  return Check(directory, options).run();
}

}  // namespace attest::golden
