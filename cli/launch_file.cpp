// JSON to a launch; every error names the place in the file.
#include "cli/launch_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/text_file.h"

namespace attest::cli {
namespace {

using nlohmann::json;

// A value and where it stands.
struct Place {
  const json& value;
  std::string name;  // "params[2].fill"

  [[noreturn]] void refuse(const std::string& expected) const {
    std::string found = value.dump();
    if (found.size() > 60) found = found.substr(0, 57) + "...";
    throw std::invalid_argument(fmt::format("{}: found {}, expected {}", name, found, expected));
  }
  Place at(const std::string& key) const { return {value.at(key), name.empty() ? key : name + "." + key}; }
  Place at(std::size_t index) const { return {value.at(index), fmt::format("{}[{}]", name, index)}; }
  bool has(const std::string& key) const { return value.contains(key); }

  void is_object_of(std::initializer_list<const char*> known,
                    std::initializer_list<const char*> required) const {
    if (!value.is_object()) refuse("an object");
    for (const auto& [key, ignored] : value.items()) {
      bool found = false;
      std::string names;
      for (const char* name_of_known : known) {
        found = found || key == name_of_known;
        names += (names.empty() ? "" : ", ") + std::string(name_of_known);
      }
      if (!found)
        throw std::invalid_argument(fmt::format("{}: unknown key '{}', expected {}", name, key, names));
    }
    for (const char* key : required) {
      if (!has(key)) throw std::invalid_argument(fmt::format("{}: key '{}' is missing", name, key));
    }
  }
  std::uint64_t whole(std::uint64_t most) const {
    if (!value.is_number_integer() || (value.is_number_integer() && !value.is_number_unsigned()) ||
        value.get<std::uint64_t>() > most) {
      refuse(fmt::format("a whole number from 0 to {}", most));
    }
    return value.get<std::uint64_t>();
  }
  std::string text() const {
    if (!value.is_string()) refuse("a string");
    return value.get<std::string>();
  }
  // Numbers, and "nan", "inf", "-inf", which JSON cannot write as numbers.
  Number number() const {
    if (value.is_number_unsigned()) return static_cast<Number>(value.get<std::uint64_t>());
    if (value.is_number_integer()) return static_cast<Number>(value.get<std::int64_t>());
    if (value.is_number_float()) return value.get<double>();
    if (value == "nan") return std::numeric_limits<Number>::quiet_NaN();
    if (value == "inf") return std::numeric_limits<Number>::infinity();
    if (value == "-inf") return -std::numeric_limits<Number>::infinity();
    refuse("a number, \"nan\", \"inf\" or \"-inf\"");
  }
};

vm::Dim3 dimensions(const Place& place) {
  if (!place.value.is_array() || place.value.empty() || place.value.size() > 3) place.refuse("[x, y, z]");
  vm::Dim3 result;
  std::uint32_t* const axes[] = {&result.x, &result.y, &result.z};
  for (std::size_t i = 0; i < place.value.size(); ++i) {
    const std::uint64_t size = place.at(i).whole(std::numeric_limits<std::int32_t>::max());
    if (size == 0) place.refuse("sizes of at least 1");
    *axes[i] = static_cast<std::uint32_t>(size);
  }
  return result;
}

std::vector<std::byte> encode_all(const Place& place, const ElementCodec& codec, Index elements) {
  if (!place.value.is_array() || static_cast<Index>(place.value.size()) != elements) {
    place.refuse(fmt::format("an array of {} values", elements));
  }
  std::vector<std::byte> bytes(place.value.size() * codec.bytes);
  for (std::size_t i = 0; i < place.value.size(); ++i) {
    try {
      codec.encode(place.at(i).number(), std::span(bytes).subspan(i * codec.bytes));
    } catch (const std::invalid_argument& error) {
      place.at(i).refuse(error.what());
    }
  }
  return bytes;
}

std::vector<std::byte> read_elements(const Place& place, const std::filesystem::path& folder,
                                     const ElementCodec& codec, Index elements) {
  const std::string text = read_file(folder / place.text());
  if (text.size() != static_cast<std::size_t>(elements) * codec.bytes) {
    place.refuse(fmt::format("a file of {} bytes, its size is {}",
                             static_cast<std::size_t>(elements) * codec.bytes, text.size()));
  }
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

void fill(BufferParameter& buffer, const Place& place, const std::filesystem::path& folder) {
  const char* const expected =
      R"("zeros", "uninitialised", {"values": [...]}, {"random": seed} or {"file": "x.bin"})";
  const auto bytes = static_cast<std::size_t>(buffer.elements()) * buffer.codec->bytes;
  if (place.value == "uninitialised") {
    buffer.initialised = false;
  } else if (place.value == "zeros") {
    buffer.contents.resize(bytes);
  } else if (place.value.is_object() && place.value.size() == 1 && place.has("values")) {
    buffer.contents = encode_all(place.at("values"), *buffer.codec, buffer.elements());
  } else if (place.value.is_object() && place.value.size() == 1 && place.has("file")) {
    buffer.contents = read_elements(place.at("file"), folder, *buffer.codec, buffer.elements());
  } else if (place.value.is_object() && place.value.size() == 1 && place.has("random")) {
    const std::uint64_t seed = place.at("random").whole(std::numeric_limits<std::uint64_t>::max());
    buffer.contents.resize(bytes);
    for (std::size_t i = 0; i * buffer.codec->bytes < bytes; ++i) {
      buffer.codec->random(seed, i, std::span(buffer.contents).subspan(i * buffer.codec->bytes));
    }
  } else {
    place.refuse(expected);
  }
}

BufferParameter buffer_parameter(const Place& place, const std::filesystem::path& folder) {
  constexpr Index kMostBytes = Index{1} << 36;
  place.is_object_of({"dtype", "shape", "fill", "access"}, {"dtype", "shape"});
  BufferParameter buffer;
  try {
    buffer.codec = &element_codec(place.at("dtype").text());
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(place.at("dtype").name + ": " + error.what());
  }
  const Place shape = place.at("shape");
  if (!shape.value.is_array()) shape.refuse("an array of sizes");
  for (std::size_t i = 0; i < shape.value.size(); ++i) {
    buffer.shape.push_back(static_cast<Index>(shape.at(i).whole(static_cast<std::uint64_t>(kMostBytes))));
  }
  Index bytes = 0;
  if (__builtin_mul_overflow(buffer.elements(), static_cast<Index>(buffer.codec->bytes), &bytes) ||
      bytes > kMostBytes) {
    shape.refuse("at most 64 GiB");
  }
  const std::string access = place.has("access") ? place.at("access").text() : "rw";
  if (access != "r" && access != "w" && access != "rw") place.at("access").refuse(R"("r", "w" or "rw")");
  buffer.access = access == "r"   ? vm::Access::read
                  : access == "w" ? vm::Access::write
                                  : vm::Access::read_write;
  if (place.has("fill")) {
    fill(buffer, place.at("fill"), folder);
  } else {
    buffer.initialised = false;
  }
  return buffer;
}

ScalarParameter scalar_parameter(const Place& place) {
  place.is_object_of({"scalar", "value"}, {"value"});
  ScalarParameter scalar{place.at("scalar").text(), {}};
  try {
    const ElementCodec& codec = element_codec(scalar.type);
    scalar.contents.resize(codec.bytes);
    codec.encode(place.at("value").number(), scalar.contents);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(place.name + ": " + error.what());
  }
  return scalar;
}

template <class T>
std::vector<T> wholes(const Place& place) {
  if (!place.value.is_array()) place.refuse("an array of whole numbers");
  std::vector<T> numbers;
  for (std::size_t i = 0; i < place.value.size(); ++i)
    numbers.push_back(static_cast<T>(place.at(i).whole(std::numeric_limits<T>::max())));
  return numbers;
}

// `read` turns the text at `place` into a value, or says what is possible.
template <class Read>
auto named(const Place& place, Read read) {
  try {
    return read(place.text());
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(place.name + ": " + error.what());
  }
}

TensorMapParameter tensor_map_parameter(const Place& place) {
  place.is_object_of({"param", "dtype", "dims", "strides", "box", "element_strides", "swizzle", "fill"},
                     {"param", "dtype", "dims", "strides", "box"});
  TensorMapParameter parameter;
  parameter.buffer = static_cast<std::size_t>(place.at("param").whole(1 << 20));
  vm::TensorMap& map = parameter.map;
  map.type = named(place.at("dtype"), vm::tensor_type);
  map.dims = wholes<std::uint64_t>(place.at("dims"));
  map.strides = wholes<std::uint64_t>(place.at("strides"));
  map.box = wholes<std::uint32_t>(place.at("box"));
  map.element_strides.assign(map.dims.size(), 1);
  if (place.has("element_strides")) map.element_strides = wholes<std::uint32_t>(place.at("element_strides"));
  if (place.has("swizzle")) map.swizzle = named(place.at("swizzle"), vm::tensor_swizzle);
  if (place.has("fill")) map.fill = named(place.at("fill"), vm::tensor_fill);
  const std::vector<std::string> problems = map.problems();
  if (!problems.empty()) throw std::invalid_argument(place.name + ": " + problems.front());
  return parameter;
}

Expectation expectation(const Place& place, const LaunchFile& launch, const std::filesystem::path& folder) {
  place.is_object_of({"param", "values", "file", "tolerance"}, {"param"});
  Expectation result;
  result.parameter = static_cast<std::size_t>(place.at("param").whole(1 << 20));
  const BufferParameter* buffer = result.parameter < launch.parameters.size()
                                      ? std::get_if<BufferParameter>(&launch.parameters[result.parameter])
                                      : nullptr;
  if (buffer == nullptr) place.at("param").refuse("the number of a buffer parameter");
  if (place.has("values") == place.has("file")) place.refuse("either 'values' or 'file'");
  if (place.has("tolerance")) result.tolerance = place.at("tolerance").number();
  if (!(result.tolerance >= 0)) place.at("tolerance").refuse("a number that is not negative");
  if (place.has("values")) {
    const Place values = place.at("values");
    if (!values.value.is_array() || static_cast<Index>(values.value.size()) != buffer->elements()) {
      values.refuse(fmt::format("an array of {} values", buffer->elements()));
    }
    for (std::size_t i = 0; i < values.value.size(); ++i) result.values.push_back(values.at(i).number());
  } else {
    const auto bytes = read_elements(place.at("file"), folder, *buffer->codec, buffer->elements());
    for (std::size_t i = 0; i < bytes.size(); i += buffer->codec->bytes) {
      result.values.push_back(buffer->codec->decode(std::span(bytes).subspan(i)));
    }
  }
  return result;
}

LaunchFile parse(const json& root, const std::filesystem::path& folder) {
  const Place top{root, ""};
  top.is_object_of({"entry", "grid", "block", "cluster", "dynamic_shared", "params", "expect"},
                   {"grid", "block"});
  LaunchFile launch;
  if (top.has("entry")) launch.entry = top.at("entry").text();
  launch.options.grid = dimensions(top.at("grid"));
  launch.options.block = dimensions(top.at("block"));
  if (top.has("cluster")) launch.options.cluster = dimensions(top.at("cluster"));
  if (top.has("dynamic_shared"))
    launch.options.dynamic_shared_bytes = top.at("dynamic_shared").whole(1U << 30);
  for (std::size_t i = 0; top.has("params") && i < root["params"].size(); ++i) {
    const Place place = top.at("params").at(i);
    if (place.has("buffer")) {
      place.is_object_of({"buffer"}, {});
      launch.parameters.emplace_back(buffer_parameter(place.at("buffer"), folder));
    } else if (place.has("scalar")) {
      launch.parameters.emplace_back(scalar_parameter(place));
    } else if (place.has("tensor_map")) {
      place.is_object_of({"tensor_map"}, {});
      launch.parameters.emplace_back(tensor_map_parameter(place.at("tensor_map")));
    } else {
      place.refuse(R"({"buffer": ...}, {"scalar": ..., "value": ...} or {"tensor_map": ...})");
    }
  }
  for (std::size_t i = 0; i < launch.parameters.size(); ++i) {
    const auto* map = std::get_if<TensorMapParameter>(&launch.parameters[i]);
    if (map != nullptr && (map->buffer >= launch.parameters.size() ||
                           !std::holds_alternative<BufferParameter>(launch.parameters[map->buffer])))
      top.at("params").at(i).at("tensor_map").at("param").refuse("the number of a buffer parameter");
  }
  for (std::size_t i = 0; top.has("expect") && i < root["expect"].size(); ++i) {
    launch.expectations.push_back(expectation(top.at("expect").at(i), launch, folder));
  }
  return launch;
}

}  // namespace

LaunchFile read_launch_file(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    return parse(json::parse(text), path.parent_path());
  } catch (const json::exception& error) {
    throw std::invalid_argument(path.string() + ": " + error.what());
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(path.string() + ": " + error.what());
  }
}

}  // namespace attest::cli
