// A strict JSON reader that sees what others overlook: duplicate keys, trailing text, bad UTF-8; every error
// has a byte offset.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "golden/allocation_budget.h"

namespace attest::golden {

struct JsonValue;
using JsonArray = std::vector<JsonValue>;
struct JsonMember;
using JsonObject = std::vector<JsonMember>;  // in the file's order, keys distinct

struct JsonNumber {
  double value = 0;
  std::optional<int64_t> integer;  // set when written without fraction or exponent and within 64 bits
};

struct JsonValue {
  std::variant<std::monostate, bool, JsonNumber, std::string, JsonArray, JsonObject> value;

  const JsonObject* object() const { return std::get_if<JsonObject>(&value); }
  const JsonArray* array() const { return std::get_if<JsonArray>(&value); }
  const std::string* string() const { return std::get_if<std::string>(&value); }
  const JsonNumber* number() const { return std::get_if<JsonNumber>(&value); }
  const bool* boolean() const { return std::get_if<bool>(&value); }
  bool null() const { return std::holds_alternative<std::monostate>(value); }
  std::string_view kind() const;  // "an object", "a string", ... for error sentences

  // The member called `key` of an object; null when this is no object or has no such member.
  const JsonValue* find(std::string_view key) const;
};

struct JsonMember {
  std::string key;
  JsonValue value;
};

// Parses `text` whole (RFC 8259, no extensions, at most 64 levels deep). Throws CheckpointError naming
// `path`, the byte offset from the start of the file (`text` begins at `base_offset`) and what was expected;
// charges what it allocates.
JsonValue parse_json(std::string_view text, const std::string& path, AllocationBudget& budget,
                     uint64_t base_offset = 0);

// `text` as a JSON string literal, quotes included.
std::string json_quoted(std::string_view text);

}  // namespace attest::golden
