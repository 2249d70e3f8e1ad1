// Rows are dealt to threads as they become free; a row's cases depend on the seed and on its two names alone.
#include "properties/verify.h"

#include <rapidcheck/Random.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "properties/generators.h"
#include "properties/law.h"
#include "reference/random.h"
#include "reference/words.h"

namespace attest {
namespace {

struct Pair {
  const Law* law;
  std::string variant;
};

std::uint64_t seed_of(std::uint64_t seed, std::string_view law, std::string_view variant) {
  std::uint64_t word = mix(seed);
  for (std::string_view text : {law, variant}) {
    for (char letter : text) word = mix(word ^ static_cast<unsigned char>(letter));
    word = mix(word);
  }
  return word;
}

AttentionConfig config_named(const std::string& variant) {
  AttentionConfig config;
  set_variant(config, variant);
  return config;
}

// The pairs that mean something: the law speaks of the variant, has a subject here, and, for a gated or
// no-scale form, is about layers.
std::vector<Pair> pairs_of(const VerifyOptions& options) {
  std::vector<std::string> variant_list = options.variants.empty() ? variant_names() : options.variants;
  std::vector<std::string> law_list = options.laws;
  if (law_list.empty()) {
    for (const Law& law : laws()) law_list.emplace_back(law.name);
  }
  std::vector<Pair> pairs;
  for (const std::string& variant : variant_list) {
    const AttentionConfig config = config_named(variant);
    for (const std::string& law_name : law_list) {
      const Law& law = find_law(law_name);
      const bool has_subject = law.subjects.reference || (law.subjects.kernel && options.kernel);
      const bool plain = !config.gated && !config.unscaled;
      if (has_subject && law.applies(info(config.variant)) && (plain || law.layer_level))
        pairs.push_back({&law, variant});
    }
  }
  if (pairs.empty()) {
    throw std::invalid_argument("verify: none of the laws " + words::join(law_list, ", ") +
                                " says anything of " + words::join(variant_list, ", ") +
                                (options.kernel ? "" : " without a kernel"));
  }
  return pairs;
}

// Time that all rows together may still spend on shrinking.
class ShrinkBudget {
 public:
  explicit ShrinkBudget(double seconds) : left_(seconds) {}
  double left() {
    const std::lock_guard lock(mutex_);
    return left_;
  }
  void spend(double seconds) {
    const std::lock_guard lock(mutex_);
    left_ -= seconds;
  }

 private:
  std::mutex mutex_;
  double left_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void show(VerifyRow& row, const Pair& pair, const std::string& device, const Problem& problem,
          const LawOutcome& outcome) {
  row.repro = repro_line({std::string(pair.law->name), device, problem});
  row.text = outcome.text;
  row.head_config = outcome.head_config;
}

// One more case into the row.
void add(VerifyRow& row, const LawOutcome& outcome) {
  if (!outcome.skipped.empty()) {
    ++row.skipped_cases;
    if (row.text.empty()) row.text = outcome.skipped;
    return;
  }
  ++row.cases;
  if (row.head_config.empty() || outcome.worst_error_over_bound > row.worst_error_over_bound) {
    row.head_config = outcome.head_config;
  }
  row.worst_error_over_bound = std::max(row.worst_error_over_bound, outcome.worst_error_over_bound);
}

void conclude(VerifyRow& row) {
  if (row.status == RowStatus::failed) return;
  if (row.cases == 0) {
    row.status = RowStatus::skipped;
  } else if (row.mistrusted_cases == row.cases) {
    row.status = RowStatus::mistrusted;
  } else {
    row.text.clear();
    row.repro.clear();
  }
}

class Run {
 public:
  Run(const VerifyOptions& options, const ProgressCallback& progress)
      : options_(options), progress_(progress), pairs_(pairs_of(options)), budget_(options.shrink_seconds) {
    state_.rows_total = static_cast<int>(pairs_.size());
    state_.cases_total = static_cast<Index>(pairs_.size()) * options.cases;
    report_.rows.resize(pairs_.size());
  }

  VerifyReport run() {
    const unsigned machine = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t jobs =
        std::min(options_.jobs > 0 ? static_cast<std::size_t>(options_.jobs) : machine, pairs_.size());
    std::vector<std::thread> threads;
    for (std::size_t job = 1; job < jobs; ++job) threads.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
    return std::move(report_);
  }

 private:
  void work() {
    try {
      const std::unique_ptr<KernelUnderTest> kernel = options_.kernel ? options_.kernel() : nullptr;
      const std::string device = kernel ? kernel->device() : "reference";
      {
        const std::lock_guard lock(mutex_);
        report_.device = device;
      }
      for (std::size_t at = next_++; at < pairs_.size() && !stopped_; at = next_++) {
        check_pair(at, {.kernel = kernel.get()}, device);
      }
    } catch (...) {  // handed to the caller's thread, which throws it again
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stopped_ = true;
    }
  }

  void check_pair(std::size_t at, const LawContext& context, const std::string& device) {
    const Pair& pair = pairs_[at];
    const auto start = std::chrono::steady_clock::now();
    VerifyRow row{.law = std::string(pair.law->name), .variant = pair.variant};
    rc::Random random(seed_of(options_.seed, pair.law->name, pair.variant));
    const rc::Gen<Problem> problems = problems_of(pair.variant);
    // Cases of which the law says nothing are drawn again, for a while.
    for (int draw = 0; row.cases < options_.cases && draw < 4 * options_.cases && !stopped_; ++draw) {
      const int size = 25 + 75 * (row.cases + 1) / options_.cases;
      const Problem problem = pair.law->narrow(problems(random.split(), size).value());
      const LawOutcome outcome = check_law(*pair.law, context, problem);
      add(row, outcome);
      if (!outcome.skipped.empty()) continue;
      tick();
      if (outcome.verdict == Verdict::failed) {
        row.status = RowStatus::failed;
        show_smallest(row, pair, context, device, problem, outcome);
        break;
      }
      if (outcome.verdict != Verdict::passed && ++row.mistrusted_cases == 1)
        show(row, pair, device, problem, outcome);
    }
    conclude(row);
    row.seconds = seconds_since(start);
    finish(at, std::move(row));
  }

  void show_smallest(VerifyRow& row, const Pair& pair, const LawContext& context, const std::string& device,
                     const Problem& problem, const LawOutcome& outcome) {
    const auto start = std::chrono::steady_clock::now();
    ShrinkLimits limits = options_.shrink;
    limits.seconds = std::min(limits.seconds, budget_.left());
    LawOutcome smallest = outcome;
    const auto fails = [&](const Problem& candidate) {
      LawOutcome found = check_law(*pair.law, context, candidate);
      if (found.verdict != Verdict::failed) return false;
      smallest = std::move(found);
      return true;
    };
    const Problem least = minimise(problem, pair.law->narrow, fails, limits).problem;
    budget_.spend(seconds_since(start));
    show(row, pair, device, least, smallest);
    row.worst_error_over_bound = std::max(row.worst_error_over_bound, smallest.worst_error_over_bound);
  }

  void tick() {
    const std::lock_guard lock(mutex_);
    ++state_.cases_done;
    state_.row = nullptr;
    if (progress_) progress_(state_);
  }

  void finish(std::size_t at, VerifyRow row) {
    const std::lock_guard lock(mutex_);
    state_.cases_total -= options_.cases - row.cases;  // a failing row ends early
    ++state_.rows_done;
    report_.rows[at] = std::move(row);
    state_.row = &report_.rows[at];
    if (progress_) progress_(state_);
  }

  const VerifyOptions& options_;
  const ProgressCallback& progress_;
  std::vector<Pair> pairs_;
  ShrinkBudget budget_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  VerifyProgress state_;
  VerifyReport report_;
  std::exception_ptr error_;
};

VerifyReport verify_one(const VerifyOptions& options, const ProgressCallback& progress) {
  const ReproLine repro = parse_repro_line(options.repro);
  const Law& law = find_law(repro.law);
  const std::string variant = repro.problem.attention.variant_name();
  const std::vector<std::string> found = repro.problem.problems();
  if (!found.empty()) throw std::invalid_argument("repro line: " + words::join(found, "; "));
  if (!law.applies(info(repro.problem.attention.variant))) {
    throw std::invalid_argument("repro line: law " + repro.law + " says nothing of " + variant);
  }
  if (!law.subjects.reference && !options.kernel) {
    throw std::invalid_argument("repro line: law " + repro.law + " is about kernels, and there is none");
  }
  const auto start = std::chrono::steady_clock::now();
  const std::unique_ptr<KernelUnderTest> kernel = options.kernel ? options.kernel() : nullptr;
  VerifyReport report{.device = kernel ? kernel->device() : "reference", .rows = {}};
  VerifyRow row{.law = repro.law, .variant = variant};
  const Problem problem = law.narrow(repro.problem);
  const LawOutcome outcome = check_law(law, {.kernel = kernel.get()}, problem);
  add(row, outcome);
  if (outcome.verdict == Verdict::failed) row.status = RowStatus::failed;
  if (outcome.verdict == Verdict::mistrusted || outcome.verdict == Verdict::inconclusive)
    row.mistrusted_cases = 1;
  if (outcome.skipped.empty() && outcome.verdict != Verdict::passed) {
    show(row, {&law, variant}, report.device, problem, outcome);
  }
  conclude(row);
  row.seconds = seconds_since(start);
  report.rows.push_back(std::move(row));
  if (progress)
    progress({.rows_done = 1, .rows_total = 1, .cases_done = 1, .cases_total = 1, .row = &report.rows[0]});
  return report;
}

}  // namespace

std::string_view name(RowStatus status) {
  constexpr std::string_view kNames[] = {"passed", "failed", "skipped", "mistrusted"};
  return kNames[static_cast<std::size_t>(status)];
}

int VerifyReport::count(RowStatus status) const {
  return static_cast<int>(
      std::count_if(rows.begin(), rows.end(), [&](const VerifyRow& row) { return row.status == status; }));
}

Index VerifyReport::cases() const {
  Index total = 0;
  for (const VerifyRow& row : rows) total += row.cases;
  return total;
}

VerifyReport verify(const VerifyOptions& options, const ProgressCallback& progress) {
  if (options.cases < 1)
    throw std::invalid_argument("cases " + std::to_string(options.cases) + ": expected 1 or more");
  if (!options.repro.empty()) return verify_one(options, progress);
  return Run(options, progress).run();
}

std::string repro_line(const ReproLine& repro) {
  return "law=" + repro.law + " device=" + repro.device + " " + repro.problem.repro();
}

ReproLine parse_repro_line(std::string_view line) {
  ReproLine repro;
  std::string rest;
  bool has_device = false;
  for (std::string_view word : words::split_blanks(line)) {
    const bool law = word.starts_with("law="), device = word.starts_with("device=");
    if (!law && !device) {
      rest += std::string(word) + " ";
      continue;
    }
    if ((law && !repro.law.empty()) || (device && has_device)) {
      throw std::invalid_argument("repro line: '" + std::string(word) + "': given twice");
    }
    (law ? repro.law : repro.device) = word.substr(word.find('=') + 1);
    has_device = has_device || device;
  }
  if (repro.law.empty())
    throw std::invalid_argument("repro line: expected law=NAME among its words, found none");
  find_law(repro.law);
  repro.problem = parse_problem(rest);
  return repro;
}

}  // namespace attest
