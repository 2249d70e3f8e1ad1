// What a kernel may do wrong with a barrier word traps here.
#include "jit/vm/mbarrier.h"

#include <string>

#include "jit/vm/warp.h"

namespace attest::vm {

BarrierWord living(Warp& warp, const Instruction& instruction, const std::byte* place, uint32_t lane) {
  const BarrierWord word = BarrierWord::read(place);
  if (!word.valid)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         "there is no mbarrier at this address: it was not initialised, or was overwritten");
  return word;
}

void drop(Warp& warp, const Instruction& instruction, BarrierWord& word, uint32_t arrivals, uint32_t lane) {
  if (arrivals == 0 || arrivals > word.pending)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         std::to_string(arrivals) + " arrivals on an mbarrier that awaits " + std::to_string(word.pending) +
             " more in this phase");
  word.pending -= arrivals;
}

void add_bytes(Warp& warp, const Instruction& instruction, BarrierWord& word, int64_t bytes, uint32_t lane) {
  const int64_t sum = word.bytes + bytes;
  if (sum < -((1 << 20) - 1) || sum > (1 << 20) - 1)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         "the mbarrier's byte count leaves its range: " + std::to_string(sum));
  word.bytes = static_cast<int32_t>(sum);
}

}  // namespace attest::vm
