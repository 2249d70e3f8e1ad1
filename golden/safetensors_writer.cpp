// Buffered writes to `path.tmp.PID`, fsync, rename; any failed call removes the temporary file and says which
// call failed.
#include "golden/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "golden/checkpoint_error.h"
#include "golden/json.h"

namespace attest::golden {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

uint64_t bytes_of(const TensorHeader& tensor) {
  const auto count = static_cast<uint64_t>(element_count(tensor.shape));
  uint64_t bits = 0;
  if (__builtin_mul_overflow(count, static_cast<uint64_t>(info(tensor.type).bits), &bits) || bits % 8 != 0) {
    throw std::invalid_argument("tensor " + in_quotes(tensor.name) + ": " + shape_text(tensor.shape) +
                                " of " + std::string(info(tensor.type).name) +
                                " is not a countable number of bytes");
  }
  return bits / 8;
}

std::string header_json(const std::vector<TensorHeader>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) text += json_quoted(key) + ":" + json_quoted(value) + ",";
    text.back() = '}';
    text += ",";
  }
  uint64_t offset = 0;
  for (const TensorHeader& tensor : tensors) {
    const uint64_t end = offset + bytes_of(tensor);
    text +=
        json_quoted(tensor.name) + ":{\"dtype\":\"" + std::string(info(tensor.type).name) + "\",\"shape\":[";
    for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      text += (axis > 0 ? "," : "") + std::to_string(tensor.shape[axis]);
    }
    text += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]},";
    offset = end;
  }
  if (text.back() == ',') text.pop_back();
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data is aligned to 8 bytes
  return text;
}

template <typename T>
TensorData make_data(std::string name, ElementType type, std::vector<Index> shape,
                     std::span<const T> values) {
  if (static_cast<size_t>(element_count(shape)) != values.size()) {
    throw std::invalid_argument("tensor " + in_quotes(name) + ": " + std::to_string(values.size()) +
                                " values for shape " + shape_text(shape));
  }
  const auto bytes = std::as_bytes(values);
  return {{std::move(name), type, std::move(shape)}, {bytes.begin(), bytes.end()}};
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string path, std::vector<TensorHeader> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)),
      temporary_(path_ + ".tmp." + std::to_string(::getpid())),
      tensors_(std::move(tensors)) {
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorHeader& a, const TensorHeader& b) {
    const int bits_a = info(a.type).bits, bits_b = info(b.type).bits;
    return bits_a != bits_b ? bits_a > bits_b : a.name < b.name;
  });
  std::vector<std::string> names;
  for (const TensorHeader& tensor : tensors_) {
    names.push_back(tensor.name);
    expected_bytes_ += bytes_of(tensor);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw std::invalid_argument("two tensors are called " + in_quotes(*twice));
  if (std::binary_search(names.begin(), names.end(), "__metadata__")) {
    throw std::invalid_argument("a tensor cannot be called '__metadata__'");
  }

  const std::string header = header_json(tensors_, metadata);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("create");
  buffer_.reserve(kBufferBytes);
  const uint64_t length = header.size();
  put(std::as_bytes(std::span(&length, 1)));
  put(std::as_bytes(std::span(header)));
}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void SafetensorsWriter::fail(const std::string& action) {
  const int error = errno;
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
    descriptor_ = -1;
  }
  throw CheckpointError(path_,
                        "cannot " + action + ": " + std::strerror(error) + "; nothing was left behind");
}

void SafetensorsWriter::put(std::span<const std::byte> bytes) {
  const auto drain = [&](std::span<const std::byte> rest) {
    while (!rest.empty()) {
      const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("write");
      rest = rest.subspan(static_cast<size_t>(count));
    }
  };
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    drain(buffer_);
    buffer_.clear();
  }
  if (bytes.size() > kBufferBytes) {
    drain(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  if (bytes.empty()) drain(std::exchange(buffer_, {}));
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) throw std::invalid_argument(path_ + ": write after finish or failure");
  if (bytes.empty()) return;
  if (bytes.size() > expected_bytes_ - written_bytes_) {
    throw std::invalid_argument(path_ + ": more data than the " + std::to_string(expected_bytes_) +
                                " bytes that the header describes");
  }
  put(bytes);
  written_bytes_ += bytes.size();
}

void SafetensorsWriter::finish() {
  if (descriptor_ < 0) throw std::invalid_argument(path_ + ": finish after finish or failure");
  if (written_bytes_ != expected_bytes_) {
    throw std::invalid_argument(path_ + ": " + std::to_string(written_bytes_) + " of " +
                                std::to_string(expected_bytes_) + " data bytes were written");
  }
  put({});
  if (::fsync(descriptor_) != 0) fail("flush");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename into place");
  ::close(descriptor_);
  descriptor_ = -1;
}

void write_safetensors(const std::string& path, const std::vector<TensorData>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorHeader> headers;
  std::map<std::string, const TensorData*> by_name;
  for (const TensorData& tensor : tensors) {
    if (bytes_of(tensor.header) != tensor.bytes.size()) {
      throw std::invalid_argument("tensor " + in_quotes(tensor.header.name) + ": " +
                                  std::to_string(tensor.bytes.size()) + " bytes for shape " +
                                  shape_text(tensor.header.shape));
    }
    headers.push_back(tensor.header);
    by_name[tensor.header.name] = &tensor;
  }
  SafetensorsWriter writer(path, std::move(headers), metadata);
  for (const TensorHeader& header : writer.order()) writer.write(by_name.at(header.name)->bytes);
  writer.finish();
}

TensorData tensor_data(std::string name, std::vector<Index> shape, std::span<const double> values) {
  return make_data(std::move(name), ElementType::f64, std::move(shape), values);
}
TensorData tensor_data(std::string name, std::vector<Index> shape, std::span<const float> values) {
  return make_data(std::move(name), ElementType::f32, std::move(shape), values);
}
TensorData tensor_data(std::string name, std::vector<Index> shape, std::span<const int64_t> values) {
  return make_data(std::move(name), ElementType::i64, std::move(shape), values);
}

}  // namespace attest::golden
