// Matrix products. Large ones are shared among threads here, by columns of the result, and not by Eigen: its
// threads wait by spinning, and its templates would have to be compiled with OpenMP in every source.
#include "reference/matrix.h"

#include <thread>

namespace attest {
namespace {

// Multiplications that are worth a thread: some milliseconds.
constexpr Index kWorkOfAThread = Index{1} << 23;

// Calls part(first column, columns) for parts of the result, on several threads when there is enough to do.
// Every element is computed by one call, so the number of threads does not change what it is a sum of.
template <class Part>
void by_columns(Index work, Index columns, Part part) {
  const Index cores = std::max<Index>(1, static_cast<Index>(std::thread::hardware_concurrency()));
  const Index parts =
      std::clamp<Index>(work / kWorkOfAThread, 1, std::min(cores, std::max<Index>(columns, 1)));
  std::vector<std::jthread> threads;
  for (Index i = 1; i < parts; ++i) {
    const Index first = columns * i / parts, end = columns * (i + 1) / parts;
    threads.emplace_back([=] { part(first, end - first); });
  }
  part(0, columns / parts);
}

}  // namespace

Matrix product(const MatrixRef& a, const MatrixRef& b) {
  Matrix c(a.rows(), b.cols());
  by_columns(a.rows() * a.cols() * b.cols(), b.cols(), [&](Index first, Index columns) {
    c.middleCols(first, columns).noalias() = a * b.middleCols(first, columns);
  });
  return c;
}

Matrix product_transposed(const MatrixRef& a, const MatrixRef& b) {
  Matrix c(a.rows(), b.rows());
  by_columns(a.rows() * a.cols() * b.rows(), b.rows(), [&](Index first, Index columns) {
    c.middleCols(first, columns).noalias() = a * b.middleRows(first, columns).transpose();
  });
  return c;
}

}  // namespace attest
