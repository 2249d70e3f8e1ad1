// Collects the rows of all form files.
#include "jit/vm/forms.h"

#include <stdexcept>
#include <utility>

namespace attest::vm {

const FormTable& FormTable::instance() {
  static const FormTable table = [] {
    FormTable all;
    add_integer_forms(all);
    add_logic_forms(all);
    add_float_forms(all);
    add_half_forms(all);
    add_compare_forms(all);
    add_convert_forms(all);
    add_convert_float_forms(all);
    add_move_forms(all);
    add_memory_forms(all);
    add_atomic_forms(all);
    add_control_forms(all);
    add_warp_forms(all);
    add_barrier_forms(all);
    add_matrix_forms(all);
    add_async_forms(all);
    add_cluster_forms(all);
    add_wgmma_forms(all);
    add_mbarrier_forms(all);
    add_bulk_forms(all);
    add_bulk_tensor_forms(all);
    add_fence_forms(all);
    return all;
  }();
  return table;
}

int FormTable::find(std::string_view name) const {
  const auto found = numbers_.find(std::string(name));
  return found == numbers_.end() ? -1 : found->second;
}

void FormTable::add(Form form) {
  if (!numbers_.emplace(form.name, static_cast<int>(rows_.size())).second)
    throw std::logic_error("form '" + form.name + "' has two rows");
  rows_.push_back(std::move(form));
}

}  // namespace attest::vm
