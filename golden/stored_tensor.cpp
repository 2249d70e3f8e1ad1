// Walks a strided view in runs of its innermost axis; each run is decoded by the element type's row.
#include "golden/stored_tensor.h"

#include <algorithm>
#include <stdexcept>

namespace attest::golden {
namespace {

bool is_integer(ElementType type) {
  switch (type) {
    case ElementType::u8:
    case ElementType::i8:
    case ElementType::i16:
    case ElementType::u16:
    case ElementType::i32:
    case ElementType::u32:
    case ElementType::i64:
    case ElementType::u64:
      return true;
    default:
      return false;
  }
}

}  // namespace

Index StoredTensor::elements() const { return element_count(shape); }

bool StoredTensor::contiguous() const {
  Index expected = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] == 0) return true;
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

void StoredTensor::read_doubles(Index first, std::span<double> out) const {
  const auto count = static_cast<Index>(out.size());
  const Index total = elements();
  if (first < 0 || count > total || first > total - count) {
    throw std::invalid_argument("tensor " + in_quotes(name) + ": elements [" + std::to_string(first) + ", " +
                                std::to_string(first + count) + ") of " + std::to_string(total));
  }
  const ElementTypeInfo& row = info(type);
  if (row.decode == nullptr) {
    file->fail("tensor " + in_quotes(name) + ": element type " + std::string(row.name) + " has no decoder");
  }
  const Index bytes_each = row.bits / 8;
  const bool whole = contiguous();
  const Index inner = whole ? total : shape.back();  // a tensor that is not contiguous has an axis
  const Index inner_stride = whole ? 1 : strides.back();

  for (Index done = 0; done < count;) {
    const Index element = first + done;
    const Index column = element % inner;
    Index offset = column * inner_stride;
    Index rest = element / inner;
    if (!whole) {
      for (size_t axis = shape.size() - 1; axis-- > 0;) {
        offset += rest % shape[axis] * strides[axis];
        rest /= shape[axis];
      }
    }
    const Index run = std::min(count - done, inner_stride == 1 ? inner - column : Index{1});
    const Index decoded = row.decode(bytes.data() + offset * bytes_each, run, out.data() + done);
    if (decoded != run) {
      file->fail("tensor " + in_quotes(name) + ": element " + std::to_string(element + decoded) +
                 " is an integer beyond 2^53, which a double cannot hold");
    }
    done += run;
  }
}

std::vector<double> StoredTensor::to_doubles() const {
  std::vector<double> values(static_cast<size_t>(elements()));
  read_doubles(0, values);
  return values;
}

std::vector<int64_t> StoredTensor::to_integers() const {
  if (!is_integer(type)) {
    file->fail("tensor " + in_quotes(name) + ": found element type " + std::string(info(type).name) +
               ", expected an integer type");
  }
  const std::vector<double> values = to_doubles();
  std::vector<int64_t> integers(values.size());
  std::transform(values.begin(), values.end(), integers.begin(),
                 [](double value) { return static_cast<int64_t>(value); });
  return integers;
}

}  // namespace attest::golden
