// The sentence with which a call refuses its arguments.
#pragma once

#include <stdexcept>
#include <string>

namespace attest {

// what() of the std::invalid_argument that `call` throws; "(accepted)" if it throws none.
template <class Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "(accepted)";
}

}  // namespace attest
