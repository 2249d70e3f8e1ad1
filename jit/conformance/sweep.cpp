// The families of swept forms, and what they share.
#include "jit/conformance/sweep.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "jit/vm/program.h"

namespace attest::conformance {
namespace {

struct Family {
  Sweep (*sweep)(const std::string&);
  bool alone;  // no thread sees another, so that there may be any number of them
};
constexpr Family kFamilies[] = {
    {sweep_comparison, true},   {sweep_integer, true},    {sweep_conversion, true},
    {sweep_memory, false},      {sweep_address, false},   {sweep_matrix_move, false},
    {sweep_copy, false},        {sweep_mbarrier, false},  {sweep_barrier, false},
    {sweep_hint, false},        {sweep_bulk_copy, false}, {sweep_bulk_reduction, false},
    {sweep_async_store, false}, {sweep_tensor, false},    {sweep_wgmma, false}};

}  // namespace

Sweep sweep_of(const std::string& row) {
  for (const Family& family : kFamilies) {
    Sweep sweep = family.sweep(row);
    if (family.alone) sweep.blocks = 0;
    if (!sweep.body.empty()) return sweep;
  }
  return {};
}

std::vector<Sweep> sweep_variants() {
  std::vector<Sweep> sweeps = tensor_variants();
  for (Sweep& sweep : wgmma_variants()) sweeps.push_back(std::move(sweep));
  return sweeps;
}

Form form_of(const Sweep& sweep) {
  Form form;
  form.text = sweep.covers;
  for (const std::string& type : parts_of(sweep.results, ',')) form.results.push_back(parse_value_type(type));
  for (const std::string& type : parts_of(sweep.operands, ','))
    form.operands.push_back(parse_value_type(type));
  // The payload of a double's NaN is nobody's promise.
  form.agreement.any_nan = contains(sweep.results, "f64");
  form.body = sweep.body;
  form.evaluate = sweep.evaluate;
  form.blocks = sweep.blocks;
  form.map = sweep.map;
  return form;
}

std::vector<Form> swept_forms() {
  std::vector<Form> forms;
  for (const vm::FormInfo& row : vm::supported_forms()) {
    const Sweep sweep = sweep_of(row.text);
    if (!sweep.body.empty()) forms.push_back(form_of(sweep));
  }
  for (const Sweep& sweep : sweep_variants()) forms.push_back(form_of(sweep));
  return forms;
}

std::vector<std::string> parts_of(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

std::string registers(char letter, size_t first, size_t count) {
  std::string text;
  for (size_t i = first; i < first + count; ++i)
    text += (i == first ? "%" : ", %") + std::string(1, letter) + std::to_string(i);
  return count == 1 ? text : "{" + text + "}";
}

int bits_of(std::string_view type) {
  if (type == "pred") return 1;
  if (type == "tf32") return 32;
  const size_t digit = type.find_first_of("0123456789");
  const int bits = std::atoi(std::string(type.substr(digit)).c_str());
  return type.find("x2") != std::string_view::npos ? 2 * bits : bits;
}

long double value_of(std::string_view type, uint64_t bits) {
  const int width = bits_of(type);
  bits = low_bits(bits, width);
  if (type[0] == 's') return static_cast<long double>(signed_bits(bits, width));
  if (type[0] == 'u' || type == "b16" || type == "b32" || type == "b64")
    return static_cast<long double>(bits);
  const int exponent_bits = type == "f16" ? 5 : type == "f64" ? 11 : 8;
  const int fraction_bits = width - 1 - exponent_bits;
  const auto field = static_cast<int>(low_bits(bits >> fraction_bits, exponent_bits));
  const uint64_t fraction = low_bits(bits, fraction_bits);
  const int top = (1 << exponent_bits) - 1, bias = top / 2;
  const long double sign = bits >> (width - 1) ? -1.0L : 1.0L;
  if (field == top)
    return fraction ? std::numeric_limits<long double>::quiet_NaN()
                    : sign * std::numeric_limits<long double>::infinity();
  const uint64_t significand = field ? fraction | uint64_t{1} << fraction_bits : fraction;
  return sign * std::ldexp(static_cast<long double>(significand), std::max(field, 1) - bias - fraction_bits);
}

std::string repeated(const std::string& what, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += (i ? "," : "") + what;
  return text;
}

std::string asked_until(const std::string& statement) {
  return "{ .reg .b32 %tries; .reg .pred %again; mov.b32 %tries, 0; $ask: " + statement +
         " @%p bra $over; add.u32 %tries, %tries, 1; setp.lt.u32 %again, %tries, 1000000; @%again bra $ask; "
         "$over: } ";
}

}  // namespace attest::conformance
