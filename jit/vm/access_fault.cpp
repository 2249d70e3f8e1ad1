// Texts only; the rules stand where the spaces are (access_global.cpp, access_shared.cpp,
// access_private.cpp).
#include "jit/vm/access_fault.h"

namespace attest::vm {
namespace {

const char* verb(Touch touch) {
  return touch == Touch::load ? "read" : touch == Touch::store ? "write" : "atomic access";
}
std::string size_text(uint32_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

std::string hex(uint64_t value) {
  std::string text;
  for (; value; value >>= 4) text.insert(text.begin(), "0123456789abcdef"[value & 15]);
  return "0x" + (text.empty() ? "0" : text);
}

}  // namespace

void AccessFault::fail(Rule rule, uint32_t lanes, const std::string& what) const {
  trap(warp_, instruction_, rule, lanes,
       std::string(verb(touch_)) + " of " + size_text(bytes_) + " at " + what);
}

std::string buffer_place(const Buffer& buffer, uint64_t address) {
  const auto offset = static_cast<int64_t>(address - buffer.address);
  return "buffer '" + buffer.name + "' offset " + std::to_string(offset);
}

std::string window_text(uint64_t address) {
  switch (address / kWindowBytes) {
    case 0:
      return address < 4096 ? "a null pointer (" + hex(address) + ")"
                            : hex(address) + ", which is no generic address";
    case 1:
      return "shared memory";
    case 2:
      return "local memory";
    case 3:
      return "parameter memory";
    case 4:
      return "the address of a function";
    default:
      return hex(address) + ", which belongs to no buffer";
  }
}

}  // namespace attest::vm
