// Dense row-major tensors of a few axes: a view is span, shape and strides in elements; Tensor owns its
// elements.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace attest {

using Index = std::int64_t;

// "[2, 3, 64]"
inline std::string shape_text(std::span<const Index> shape) {
  std::string text = "[";
  for (Index size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

// Number of elements; throws std::invalid_argument when an axis is negative or the product leaves 63 bits.
inline Index element_count(std::span<const Index> shape) {
  Index count = 1;
  for (Index size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) {
      throw std::invalid_argument("tensor shape " + shape_text(shape) +
                                  ": not a countable number of elements");
    }
  }
  return count;
}

template <class T>
struct TensorView {
  std::span<T> elements;
  std::vector<Index> shape;
  std::vector<Index> strides;  // in elements, one an axis

  // Element at an index of as many coordinates as there are axes; every coordinate is checked.
  template <class... I>
  T& operator()(I... index) const {
    const std::array<Index, sizeof...(I)> at{static_cast<Index>(index)...};
    if (at.size() != shape.size())
      throw std::invalid_argument("tensor " + shape_text(shape) + " indexed by " + shape_text(at));
    Index offset = 0;
    for (std::size_t axis = 0; axis < at.size(); ++axis) {
      if (at[axis] < 0 || at[axis] >= shape[axis]) {
        throw std::invalid_argument("tensor " + shape_text(shape) + " indexed by " + shape_text(at));
      }
      offset += at[axis] * strides[axis];
    }
    return elements[static_cast<std::size_t>(offset)];
  }
};

inline std::vector<Index> row_major_strides(std::span<const Index> shape) {
  std::vector<Index> strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

// Owning, row-major, zero-initialised.
template <class T>
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(std::vector<Index> shape)
      : shape_(std::move(shape)),
        strides_(row_major_strides(shape_)),
        elements_(static_cast<std::size_t>(element_count(shape_))) {}
  Tensor(std::initializer_list<Index> shape) : Tensor(std::vector<Index>(shape)) {}

  const std::vector<Index>& shape() const { return shape_; }
  Index size(std::size_t axis) const { return shape_.at(axis); }
  Index count() const { return static_cast<Index>(elements_.size()); }
  T* data() { return elements_.data(); }
  const T* data() const { return elements_.data(); }
  std::span<T> elements() { return elements_; }
  std::span<const T> elements() const { return elements_; }
  TensorView<T> view() { return {elements_, shape_, strides_}; }
  TensorView<const T> view() const { return {elements_, shape_, strides_}; }

  // Checked element access, one coordinate an axis.
  template <class... I>
  T& operator()(I... index) {
    return elements_[offset(static_cast<Index>(index)...)];
  }
  template <class... I>
  const T& operator()(I... index) const {
    return elements_[offset(static_cast<Index>(index)...)];
  }

 private:
  template <class... I>
  std::size_t offset(I... index) const {
    const std::array<Index, sizeof...(I)> at{index...};
    bool inside = at.size() == shape_.size();
    Index sum = 0;
    for (std::size_t axis = 0; inside && axis < at.size(); ++axis) {
      inside = at[axis] >= 0 && at[axis] < shape_[axis];
      sum += at[axis] * strides_[axis];
    }
    if (!inside)
      throw std::invalid_argument("tensor " + shape_text(shape_) + " indexed by " + shape_text(at));
    return static_cast<std::size_t>(sum);
  }

  std::vector<Index> shape_;
  std::vector<Index> strides_;
  std::vector<T> elements_;
};

}  // namespace attest
