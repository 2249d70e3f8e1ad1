// Replaces operator new and delete by malloc and free with a count of the bytes that are live.
#include "allocation_peak.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

// GCC says it by a macro, clang by a feature.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATTEST_HAS_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ATTEST_HAS_ASAN
#endif

#if defined(ATTEST_HAS_ASAN)

namespace attest::golden {
bool allocation_is_counted() { return false; }
void reset_allocation_peak() {}
std::size_t allocation_peak() { return 0; }
}  // namespace attest::golden

#else

namespace {

std::atomic<std::size_t> live{0}, peak{0}, base{0};

void* counted_allocate(std::size_t bytes) {
  void* pointer = std::malloc(bytes);
  if (pointer == nullptr) throw std::bad_alloc();
  const std::size_t now = live += ::malloc_usable_size(pointer);
  std::size_t before = peak;
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
  return pointer;
}

void counted_free(void* pointer) {
  if (pointer != nullptr) live -= ::malloc_usable_size(pointer);
  std::free(pointer);
}

}  // namespace

void* operator new(std::size_t bytes) { return counted_allocate(bytes); }
void* operator new[](std::size_t bytes) { return counted_allocate(bytes); }
void operator delete(void* pointer) noexcept { counted_free(pointer); }
void operator delete[](void* pointer) noexcept { counted_free(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { counted_free(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { counted_free(pointer); }

namespace attest::golden {
bool allocation_is_counted() { return true; }
void reset_allocation_peak() {
  base = live.load();
  peak = live.load();
}
std::size_t allocation_peak() { return peak - base; }
}  // namespace attest::golden

#endif
