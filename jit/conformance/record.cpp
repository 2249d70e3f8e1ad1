// Makes, writes, reads and replays records of a device's outputs.
#include "jit/conformance/record.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

namespace attest::conformance {
namespace {

constexpr const char* kMagic = "attest conformance record 1";

// FNV-1a, 64 bits: against truncation and stray edits, not against malice.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL;
  return hash;
}

std::uint64_t operand_checksum(const Form& form, std::uint64_t seed, std::uint64_t threads) {
  const std::vector<std::uint64_t> slots = operands_of(form, seed, threads);
  return checksum({reinterpret_cast<const char*>(slots.data()), slots.size() * sizeof(std::uint64_t)});
}

// Bits, lowest first.
class BitWriter {
 public:
  void put(std::uint64_t value, int bits) {
    for (int i = 0; i < bits; ++i) {
      if (used_ % 8 == 0) bytes_.push_back('\0');
      if ((value >> i & 1) != 0) bytes_.back() = static_cast<char>(bytes_.back() | (1 << (used_ % 8)));
      ++used_;
    }
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::uint64_t used_ = 0;
};

std::uint64_t get_bits(std::string_view bytes, std::uint64_t at, int bits) {
  std::uint64_t value = 0;
  for (int i = 0; i < bits; ++i, ++at) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at / 8]) >> (at % 8) & 1) << i;
  }
  return value;
}

// Results at their width, operand by operand.
std::string packed(const Form& form, std::uint64_t threads, const std::vector<std::uint64_t>& slots) {
  BitWriter bits;
  for (std::size_t r = 0; r < form.results.size(); ++r)
    for (std::uint64_t thread = 0; thread < threads; ++thread)
      bits.put(slots.at(r * threads + thread), form.results[r].bits);
  return bits.bytes();
}

constexpr std::pair<Verdict, const char*> kVerdicts[] = {{Verdict::accepted, "accepted"},
                                                         {Verdict::evaluated, "evaluated"},
                                                         {Verdict::rejected, "rejected"},
                                                         {Verdict::failed, "failed"}};
using FormsByText = std::map<std::string_view, const Form*>;
const FormsByText& forms_by_text() {
  static const FormsByText table = [] {
    FormsByText forms;
    for (const Form& form : all_forms()) forms.emplace(form.text, &form);
    return forms;
  }();
  return table;
}

std::uint64_t result_bits(const Form& form) {
  std::uint64_t bits = 0;
  for (const ValueType& type : form.results) bits += static_cast<std::uint64_t>(type.bits);
  return bits;
}

const Form& find(const FormsByText& forms, const std::string& text, const std::string& path) {
  const auto found = forms.find(text);
  if (found == forms.end()) {
    throw RecordError(path + ": form '" + text + "' is not in the table of forms; record the device again");
  }
  return *found->second;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::string_view name(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)].second; }

Options record_options(std::uint64_t seed) {
  return {.seed = seed, .patterns = 256, .matrix_patterns = 2048, .exhaustive = false, .filter = ""};
}

Record make_record(Target& device, const Options& options, std::string driver, std::string date) {
  Record record{.device = device.name(),
                .driver = std::move(driver),
                .date = std::move(date),
                .ptx_version = "8.4",
                .seed = options.seed,
                .forms = {}};
  continue_record(record, device, options);
  return record;
}

void continue_record(Record& record, Target& device, const Options& options) {
  if (record.device != device.name() || record.seed != options.seed)
    throw RecordError("record: it is of " + record.device + " with seed " + std::to_string(record.seed) +
                      ", and cannot go on with " + device.name() + " and seed " +
                      std::to_string(options.seed));
  const std::vector<Form> forms = selected_forms(options);
  for (std::size_t i = 0; i < record.forms.size(); ++i)
    if (i >= forms.size() || record.forms[i].text != forms[i].text)
      throw RecordError("record: its form '" + record.forms[i].text + "' is not number " + std::to_string(i) +
                        " of those that are to be recorded; begin it anew");
  Evaluators evaluators;
  while (record.forms.size() < forms.size()) {
    const Form& form = forms[record.forms.size()];
    const std::uint64_t threads = options.threads(form);
    Outputs outputs = run_form(device, form, options.seed, threads);
    RecordedForm recorded;
    recorded.text = form.text;
    recorded.verdict = !outputs.loaded          ? Verdict::rejected
                       : !outputs.error.empty() ? Verdict::failed
                                                : Verdict::accepted;
    recorded.note = one_line(outputs.error);
    recorded.threads = threads;
    recorded.operands = operand_checksum(form, options.seed, threads);
    if (recorded.verdict == Verdict::accepted && form.evaluate) {
      const std::string bits = packed(form, threads, outputs.slots);
      if (bits == packed(form, threads, run_form(evaluators, form, options.seed, threads).slots)) {
        recorded.verdict = Verdict::evaluated;
        recorded.results = checksum(bits);
      }
    }
    if (recorded.verdict == Verdict::accepted) recorded.slots = std::move(outputs.slots);
    record.forms.push_back(std::move(recorded));
    if (record.forms.back().verdict == Verdict::failed) return;
  }
}

bool complete(const Record& record, const Options& options) {
  return record.forms.size() == selected_forms(options).size();
}

Report replay(const Record& record, Target& actual) {
  const FormsByText& table = forms_by_text();
  Evaluators evaluators;
  Report report{.expected_name = record.device, .actual_name = actual.name(), .forms = {}};
  for (const RecordedForm& recorded : record.forms) {
    const Form& form = find(table, recorded.text, "record");
    const std::uint64_t threads = recorded.threads;
    if (operand_checksum(form, record.seed, threads) != recorded.operands)
      throw RecordError("record: the operands of '" + form.text +
                        "' are drawn otherwise now; record the device again");
    Outputs expected{
        .loaded = recorded.verdict != Verdict::rejected, .error = recorded.note, .slots = recorded.slots};
    if (recorded.verdict == Verdict::evaluated) {
      expected = run_form(evaluators, form, record.seed, threads);
      if (!expected.error.empty() || checksum(packed(form, threads, expected.slots)) != recorded.results)
        throw RecordError("record: " + record.device + " gave what the evaluator of '" + form.text +
                          "' said, which says something else now; record the device again");
    }
    report.forms.push_back(
        compare(form, record.seed, threads, expected, run_form(actual, form, record.seed, threads)));
  }
  return report;
}

void write_record(const Record& record, const std::string& path) {
  const FormsByText& table = forms_by_text();
  std::string text = std::string(kMagic) + "\n";
  text += "device " + one_line(record.device) + "\ndriver " + one_line(record.driver) + "\ndate " +
          one_line(record.date) + "\nptx " + record.ptx_version + "\nseed " + std::to_string(record.seed) +
          "\nforms " + std::to_string(record.forms.size()) + "\n";
  for (const RecordedForm& recorded : record.forms) {
    const Form& form = find(table, recorded.text, path);
    text += recorded.text + " " + std::string(name(recorded.verdict)) + " " +
            std::to_string(recorded.threads) + " " + std::to_string(recorded.operands) + " " +
            (recorded.verdict == Verdict::evaluated ? std::to_string(recorded.results) : recorded.note) +
            "\n";
    if (recorded.verdict == Verdict::accepted) text += packed(form, recorded.threads, recorded.slots);
  }
  text += "\nchecksum " + std::to_string(checksum(text)) + "\n";
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file)
    throw RecordError(path + ": the record of " + std::to_string(text.size()) +
                      " bytes could not be written");
}

Record read_record(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw RecordError(path + ": there is no such record, or it cannot be read");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string ending = "\nchecksum ";
  const std::size_t end = text.rfind(ending);
  if (end == std::string::npos ||
      text.substr(end + ending.size()) != std::to_string(checksum({text.data(), end})) + "\n") {
    throw RecordError(path + ": the checksum does not match, the file is cut short or was edited");
  }
  std::size_t at = 0;
  const auto line = [&] {
    const std::size_t stop = text.find('\n', at);
    if (stop == std::string::npos || stop > end) {
      throw RecordError(path + ": the record ends at byte " + std::to_string(at) +
                        " where a line was expected");
    }
    const std::string out = text.substr(at, stop - at);
    at = stop + 1;
    return out;
  };
  const auto field = [&](const std::string& key) {
    const std::string out = line();
    if (!out.starts_with(key + " "))
      throw RecordError(path + ": '" + out + "' where '" + key + "' was expected");
    return out.substr(key.size() + 1);
  };
  if (line() != kMagic)
    throw RecordError(path + ": not a conformance record, its first line is not '" + std::string(kMagic) +
                      "'");
  Record record;
  record.device = field("device");
  record.driver = field("driver");
  record.date = field("date");
  record.ptx_version = field("ptx");
  record.seed = std::stoull(field("seed"));
  const std::uint64_t count = std::stoull(field("forms"));
  const FormsByText& table = forms_by_text();
  for (std::uint64_t i = 0; i < count; ++i) {
    RecordedForm recorded;
    std::string verdict;
    std::istringstream words(line());
    words >> recorded.text >> verdict >> recorded.threads >> recorded.operands;
    const auto* named = std::ranges::find(kVerdicts, verdict, [](const auto& row) { return row.second; });
    if (named == std::end(kVerdicts))
      throw RecordError(path + ": form '" + recorded.text + "' has the verdict '" + verdict +
                        "', expected accepted, evaluated, rejected or failed");
    recorded.verdict = named->first;
    if (recorded.verdict == Verdict::evaluated)
      words >> recorded.results;
    else
      std::getline(words >> std::ws, recorded.note);
    const Form& form = find(table, recorded.text, path);
    if (recorded.verdict == Verdict::accepted) {
      const std::uint64_t bytes = (result_bits(form) * recorded.threads + 7) / 8;
      if (recorded.threads == 0 || recorded.threads > (1u << 24) || at + bytes > end) {
        throw RecordError(path + ": form '" + recorded.text + "' claims " + std::to_string(recorded.threads) +
                          " threads, more than the file holds");
      }
      const std::string_view packed(text.data() + at, bytes);
      std::uint64_t bit = 0;
      for (const ValueType& type : form.results) {
        for (std::uint64_t thread = 0; thread < recorded.threads;
             ++thread, bit += static_cast<std::uint64_t>(type.bits)) {
          recorded.slots.push_back(get_bits(packed, bit, type.bits));
        }
      }
      at += bytes;
    }
    record.forms.push_back(std::move(recorded));
  }
  return record;
}

}  // namespace attest::conformance
