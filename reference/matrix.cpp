// Matrix products.
#include "reference/matrix.h"

namespace attest {

Matrix product(const MatrixRef& a, const MatrixRef& b) { return a * b; }
Matrix product_transposed(const MatrixRef& a, const MatrixRef& b) { return a * b.transpose(); }

}  // namespace attest
