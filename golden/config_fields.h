// The fields of a config.json, read with the checks that make a wrong one a sentence.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "golden/json.h"
#include "reference/tensor.h"

namespace attest::golden {

// Names are given as a list because releases call the same thing differently (n_head, num_attention_heads);
// the first that is present and not null counts. Every error is a CheckpointError that names the file and the
// field.
class ConfigFields {
 public:
  using Names = std::initializer_list<std::string_view>;

  explicit ConfigFields(const std::string& path);  // reads the file
  ConfigFields(std::string path, JsonValue root);  // root: an object
  // The object under `name` as fields of their own; empty when it is absent or null.
  ConfigFields section(std::string_view name) const;

  const std::string& path() const { return path_; }
  bool has(Names names) const { return find(names) != nullptr; }
  Index count(Names names) const;  // 1 to 2^31 - 1; missing is an error
  Index count_or(Names names, Index otherwise) const;
  double number(Names names) const;
  double number_or(Names names, double otherwise) const;
  bool flag_or(Names names, bool otherwise) const;
  std::string text_or(Names names, const std::string& otherwise) const;
  std::vector<double> numbers(Names names) const;  // an array of numbers
  [[noreturn]] void fail(const std::string& problem) const { throw CheckpointError(path_, problem); }

 private:
  const JsonValue* find(Names names) const;
  const JsonValue& require(Names names) const;

  std::string path_;
  JsonValue root_;
};

}  // namespace attest::golden
