// Looks fields up by any of their names and checks kind and range.
#include "golden/config_fields.h"

#include <limits>

#include "golden/mapped_file.h"

namespace attest::golden {
namespace {

JsonValue read_object(const std::string& path) {
  const auto file = MappedFile::open(path);
  AllocationBudget budget(path);
  JsonValue root =
      parse_json({reinterpret_cast<const char*>(file->bytes().data()), file->size()}, path, budget);
  if (root.object() == nullptr) file->fail("found " + std::string(root.kind()) + ", expected an object");
  return root;
}

std::string any_of(ConfigFields::Names names) {
  std::string text;
  for (const std::string_view name : names)
    text += (text.empty() ? "\"" : " or \"") + std::string(name) + "\"";
  return text;
}

}  // namespace

ConfigFields::ConfigFields(const std::string& path) : path_(path), root_(read_object(path)) {}
ConfigFields::ConfigFields(std::string path, JsonValue root)
    : path_(std::move(path)), root_(std::move(root)) {}

ConfigFields ConfigFields::section(std::string_view name) const {
  const JsonValue* found = find({name});
  if (found == nullptr) return {path_, JsonValue{JsonObject{}}};
  if (found->object() == nullptr) {
    fail("\"" + std::string(name) + "\" is " + std::string(found->kind()) + ", expected an object");
  }
  return {path_, *found};
}

const JsonValue* ConfigFields::find(Names names) const {
  for (const std::string_view name : names) {
    const JsonValue* found = root_.find(name);
    if (found != nullptr && !found->null()) return found;
  }
  return nullptr;
}

const JsonValue& ConfigFields::require(Names names) const {
  const JsonValue* found = find(names);
  if (found == nullptr) fail(any_of(names) + " is missing");
  return *found;
}

Index ConfigFields::count(Names names) const {
  const JsonValue& value = require(names);
  constexpr Index kMost = std::numeric_limits<int>::max();
  const JsonNumber* number = value.number();
  if (number == nullptr || !number->integer || *number->integer < 1 || *number->integer > kMost) {
    fail(any_of(names) + " must be a whole number from 1 to " + std::to_string(kMost));
  }
  return *number->integer;
}

Index ConfigFields::count_or(Names names, Index otherwise) const {
  return has(names) ? count(names) : otherwise;
}

double ConfigFields::number(Names names) const {
  const JsonValue& value = require(names);
  if (value.number() == nullptr)
    fail(any_of(names) + " is " + std::string(value.kind()) + ", expected a number");
  return value.number()->value;
}

double ConfigFields::number_or(Names names, double otherwise) const {
  return has(names) ? number(names) : otherwise;
}

bool ConfigFields::flag_or(Names names, bool otherwise) const {
  const JsonValue* value = find(names);
  if (value == nullptr) return otherwise;
  if (value->boolean() == nullptr)
    fail(any_of(names) + " is " + std::string(value->kind()) + ", expected true or false");
  return *value->boolean();
}

std::string ConfigFields::text_or(Names names, const std::string& otherwise) const {
  const JsonValue* value = find(names);
  if (value == nullptr) return otherwise;
  if (value->string() == nullptr)
    fail(any_of(names) + " is " + std::string(value->kind()) + ", expected a string");
  return *value->string();
}

std::vector<double> ConfigFields::numbers(Names names) const {
  const JsonValue& value = require(names);
  if (value.array() == nullptr)
    fail(any_of(names) + " is " + std::string(value.kind()) + ", expected an array of numbers");
  std::vector<double> result;
  for (const JsonValue& item : *value.array()) {
    if (item.number() == nullptr)
      fail(any_of(names) + " holds " + std::string(item.kind()) + ", expected numbers");
    result.push_back(item.number()->value);
  }
  return result;
}

}  // namespace attest::golden
