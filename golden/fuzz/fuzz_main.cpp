// The entry point that libFuzzer calls; ATTEST_FUZZ_TARGET names the function of targets.h to run.
#include <cstddef>
#include <cstdint>

#include "golden/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attest::golden::ATTEST_FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  return 0;
}
