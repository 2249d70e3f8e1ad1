// Runs forms on targets and compares their outputs, element by element.
#include "jit/conformance/conformance.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "jit/conformance/kernel_text.h"
#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

constexpr std::uint64_t kAllHalves = 65536;

bool one_half_operand(const Form& form) {
  return form.operands.size() == 1 && form.operands[0].bits == 16 && form.operands[0].elements == 1;
}

std::string hex(std::uint64_t value, int bits) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%0*llx", std::max(1, bits / 4), static_cast<unsigned long long>(value));
  return text;
}

// "thread 17: operands 0x.. 0x.. expected 0x.. got 0x.. (result 0 element 1)"
std::string example(const Form& form, std::uint64_t seed, std::uint64_t threads, std::uint64_t thread,
                    std::size_t result, int element, std::uint64_t expected, std::uint64_t actual) {
  const std::vector<std::uint64_t> operands = operands_of(form, seed, threads);
  std::string text = "thread " + std::to_string(thread) + ", operands";
  for (std::size_t i = 0; i < form.operands.size(); ++i) {
    text += " " + hex(operands[i * threads + thread], form.operands[i].bits);
  }
  text += ": expected " + hex(expected, form.results[result].bits) + ", got " +
          hex(actual, form.results[result].bits);
  if (form.results.size() > 1) text += " in result " + std::to_string(result);
  if (form.results[result].elements > 1) text += " element " + std::to_string(element);
  return text;
}

}  // namespace

std::uint64_t Options::threads(const Form& form) const {
  if (form.blocks > 0) return std::uint64_t{form.blocks} * kBlockThreads;
  if (form.text.starts_with("mma.")) return matrix_patterns;
  if (form.text.starts_with("wgmma.")) return std::max<std::uint64_t>(matrix_patterns / 4, kBlockThreads);
  return exhaustive && one_half_operand(form) ? std::max(patterns, kBlockThreads + kAllHalves) : patterns;
}

std::string_view name(Status status) {
  switch (status) {
    case Status::agrees:
      return "agrees";
    case Status::differs:
      return "differs";
    case Status::rejected:
      return "rejected by the device";
    case Status::refused:
      return "refused by the virtual machine";
    case Status::failed:
      return "failed";
  }
  throw std::logic_error("conformance: no such status");
}

std::uint64_t Report::count(Status status) const {
  return static_cast<std::uint64_t>(std::count_if(
      forms.begin(), forms.end(), [&](const FormResult& form) { return form.status == status; }));
}

std::vector<Form> selected_forms(const Options& options) {
  std::vector<Form> forms = all_forms();
  for (const Form& form : forms) {
    if (form.text == options.filter) return {form};
  }
  std::erase_if(forms, [&](const Form& form) { return form.text.find(options.filter) == std::string::npos; });
  return forms;
}

std::vector<std::uint64_t> operands_of(const Form& form, std::uint64_t seed, std::uint64_t threads) {
  std::vector<std::uint64_t> slots(form.operands.size() * threads);
  for (std::size_t i = 0; i < form.operands.size(); ++i) {
    for (std::uint64_t thread = 0; thread < threads; ++thread) {
      // Beyond the first block, a form of one 16-bit operand meets every bit pattern once (40503 is odd).
      const bool enumerated = one_half_operand(form) && thread >= kBlockThreads;
      slots[i * threads + thread] = enumerated ? ((thread - kBlockThreads) * 40503) % kAllHalves
                                               : pattern(form.operands[i], seed, i, thread);
    }
  }
  return slots;
}

std::vector<std::uint64_t> Evaluators::run(const Form& form, std::uint64_t threads,
                                           const std::vector<std::uint64_t>& operands) {
  if (!form.evaluate) throw Refused("no evaluator knows what " + form.text + " gives");
  std::vector<std::uint64_t> slots(form.results.size() * threads), results(form.results.size());
  for (std::uint64_t thread = 0; thread < threads; ++thread) {
    form.evaluate({operands, threads, thread}, results.data());
    for (std::size_t i = 0; i < results.size(); ++i)
      slots[i * threads + thread] = low_bits(results[i], form.results[i].bits);
  }
  return slots;
}

Outputs run_form(Target& target, const Form& form, std::uint64_t seed, std::uint64_t threads) {
  Outputs outputs{.loaded = true, .error = "", .slots = {}};
  try {
    outputs.slots = target.run(form, threads, operands_of(form, seed, threads));
  } catch (const Refused& error) {
    outputs.loaded = false;
    outputs.error = error.what();
  } catch (const std::exception& error) {
    outputs.error = error.what();
  }
  return outputs;
}

void run_forms(Target& target, const std::vector<Form>& forms, const Options& options,
               const std::function<void(std::size_t, Outputs)>& done) {
  for (std::size_t i = 0; i < forms.size(); ++i)
    done(i, run_form(target, forms[i], options.seed, options.threads(forms[i])));
}

FormResult compare(const Form& form, std::uint64_t seed, std::uint64_t threads, const Outputs& expected,
                   const Outputs& actual) {
  FormResult result;
  result.form = form.text;
  if (!expected.loaded || !actual.loaded) {
    result.status = expected.loaded ? Status::refused : Status::rejected;
    result.example = expected.loaded ? actual.error : expected.error;
    return result;
  }
  if (!expected.error.empty() || !actual.error.empty()) {
    result.status = Status::failed;
    result.example = expected.error.empty() ? "actual: " + actual.error : "expected: " + expected.error;
    return result;
  }
  if (expected.slots.size() != form.results.size() * threads ||
      actual.slots.size() != expected.slots.size()) {
    throw std::invalid_argument("conformance: " + form.text + ": " + std::to_string(expected.slots.size()) +
                                " and " + std::to_string(actual.slots.size()) + " result slots where " +
                                std::to_string(form.results.size() * threads) + " were expected");
  }
  for (std::size_t r = 0; r < form.results.size(); ++r) {
    const ValueType& type = form.results[r];
    const int bits = type.bits / type.elements;
    for (std::uint64_t thread = 0; thread < threads; ++thread) {
      for (int element = 0; element < type.elements; ++element) {
        const std::uint64_t want = low_bits(expected.slots[r * threads + thread] >> (element * bits), bits);
        const std::uint64_t got = low_bits(actual.slots[r * threads + thread] >> (element * bits), bits);
        ++result.results;
        if (want == got) continue;
        if (type.element != Element::bits && (form.agreement.any_nan || form.agreement.approximate())) {
          const double a = element_value(type.element, want), b = element_value(type.element, got);
          if (std::isnan(a) && std::isnan(b)) {
            ++result.nan_payloads;
            continue;
          }
          const double error = std::abs(a - b);
          const double scale = std::max(std::abs(a), std::abs(b));
          if (form.agreement.approximate() && std::isfinite(scale) &&
              error <= form.agreement.relative * scale + form.agreement.absolute) {
            ++result.approximate;
            if (scale > 0) result.worst_relative = std::max(result.worst_relative, error / scale);
            continue;
          }
        }
        if (result.differences++ == 0) {
          result.example = example(form, seed, threads, thread, r, element,
                                   expected.slots[r * threads + thread], actual.slots[r * threads + thread]);
        }
      }
    }
  }
  if (result.differences > 0) result.status = Status::differs;
  return result;
}

Report run_conformance(Target& expected, Target& actual, const Options& options) {
  const std::vector<Form> forms = selected_forms(options);
  Report report{.expected_name = expected.name(), .actual_name = actual.name(), .forms = {}};
  std::vector<Outputs> outputs(forms.size());
  run_forms(expected, forms, options, [&](std::size_t i, Outputs out) { outputs[i] = std::move(out); });
  run_forms(actual, forms, options, [&](std::size_t i, Outputs out) {
    report.forms.push_back(compare(forms[i], options.seed, options.threads(forms[i]), outputs[i], out));
    outputs[i] = {};
  });
  return report;
}

}  // namespace attest::conformance
