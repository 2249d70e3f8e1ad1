// A kernel after decoding: a flat array of instructions whose operands are rows of the warp's register file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "jit/vm/syntax.h"

namespace attest::vm {

inline constexpr uint32_t kLanes = 32;
inline constexpr uint32_t kAllLanes = ~uint32_t{0};
inline constexpr uint32_t kNoRow = ~uint32_t{0};

// Windows of the generic address space; global memory begins at 2^40 (memory.h).
inline constexpr uint64_t kSharedWindow = uint64_t{1} << 32;  // + (block rank in the cluster << 24) + offset
inline constexpr uint64_t kLocalWindow = uint64_t{2} << 32;
inline constexpr uint64_t kParamWindow = uint64_t{3} << 32;
inline constexpr uint64_t kFunctionWindow = uint64_t{4} << 32;  // + 16 * function number
inline constexpr uint64_t kWindowBytes = uint64_t{1} << 32;
inline constexpr uint64_t kSharedRankShift = 24;

struct Warp;
struct Instruction;
// Does one instruction for the lanes of warp.mask.
using Handler = void (*)(Warp&, const Instruction&);

enum class Order : uint8_t { weak, volatile_, relaxed, acquire, release, acq_rel, seq_cst };
enum class Scope : uint8_t { none, cta, cluster, gpu, sys };

// How an instruction's memory access was spelled; for observers.
struct MemoryQualifiers {
  Space space = Space::generic;
  Order order = Order::weak;
  Scope scope = Scope::none;
  bool non_coherent = false;    // ld.global.nc
  bool shared_cluster = false;  // .shared::cluster
  bool mbarrier_init = false;   // mbarrier.init, or a fence that orders nothing else
  bool call_parameter = false;  // .param of a device function: copied whole, padding included
};

// Rows are byte offsets into the register file: a predicate's row is one uint32_t (a bit per lane), a row of
// 16- or 32-bit registers 32 uint32_t (16-bit values in the low half; the rest is noise), a row of 64-bit
// registers 32 uint64_t.
struct Instruction {
  Handler run = nullptr;
  Handler evaluate = nullptr;  // of a warp-wide instruction: what happens once all lanes are there
  uint32_t r[6] = {kNoRow, kNoRow, kNoRow, kNoRow, kNoRow, kNoRow};
  uint32_t guard = kNoRow;
  bool guard_negated = false;
  bool wide_address = true;  // the address register is a 64-bit one
  uint8_t count = 1;         // elements of a vector access
  uint8_t variant = 0;       // meaning belongs to the form
  int64_t immediate = 0;     // address offset; else meaning belongs to the form
  uint32_t list = 0;         // first of the instruction's entries in Code::lists, or the target of a branch
  uint32_t widths =
      0;  // 2 bits per entry of r: 0 none, 1 predicate, 2 32-bit, 3 64-bit; bit 16 + i: a destination
  uint32_t form = 0;  // number in the form table
  int line = 0;
  uint32_t pc = 0;  // its own place
  MemoryQualifiers memory;
};

// A special register that is the same for the whole life of a block (or, for the clocks, read when asked).
enum class Special : uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  lanemask_eq,
  lanemask_le,
  lanemask_lt,
  lanemask_ge,
  lanemask_gt,
  clusterid_x,
  clusterid_y,
  clusterid_z,
  nclusterid_x,
  nclusterid_y,
  nclusterid_z,
  cluster_ctaid_x,
  cluster_ctaid_y,
  cluster_ctaid_z,
  cluster_nctaid_x,
  cluster_nctaid_y,
  cluster_nctaid_z,
  cluster_ctarank,
  cluster_nctarank,
  is_explicit_cluster,
  dynamic_smem_size,
  total_smem_size,
  aggr_smem_size,
  reserved_smem_begin,
  reserved_smem_end,
  reserved_smem_cap,
  clock,
  clock_hi,
  clock64,
  globaltimer,
  globaltimer_lo,
  globaltimer_hi,
};

struct SpecialUse {
  Special special;
  uint32_t row;
  bool wide;
};

// A row of the constant part that holds the address of a module variable, known only at launch.
struct Relocation {
  uint32_t row;
  uint32_t variable;  // index into Module variables
  int64_t addend;
};

// Where a piece of a call's arguments or results lives: per-lane frame bytes or a register row.
struct Place {
  bool in_register = false;
  bool wide = false;
  bool predicate = false;
  uint32_t at = 0;  // frame offset or row
  uint32_t bytes = 0;
};

struct FunctionCode {
  std::string name;
  uint32_t number = 0;  // in the module
  uint32_t entry_pc = 0;
  uint32_t return_row = kNoRow;  // per lane: the pc to return to, kNoRow while not active
  std::vector<Place> parameters;
  std::vector<Place> results;
  std::vector<Place> rows;                  // registers that a recursive call must save
  uint32_t frame_begin = 0, frame_end = 0;  // frame bytes that belong to it, results left out
};

// A call site: arguments and result places in the caller.
struct CallSite {
  int function = -1;  // index into Code::functions; -1 = indirect
  std::vector<Place> arguments;
  std::vector<Place> results;
};

// Registers that some wgmma of the kernel accumulates into or takes A from, and which instructions name them
// (register_hazards.h). Empty without wgmma.
struct WatchedRegisters {
  std::vector<std::string> names;
  std::vector<uint32_t> first;  // of each instruction: its first entry in `named`; one more at the end
  std::vector<uint32_t> named;  // index into names; of a wgmma D's registers, then A's
};

struct Code {
  std::vector<Instruction> instructions;
  std::vector<std::string> texts;  // of each instruction
  std::vector<uint32_t> lists;
  std::vector<std::byte> constants;  // the first bytes of every warp's register file
  uint32_t file_bytes = 0;           // of the register file
  uint32_t scratch_row = 0;          // kScratchRows rows of 256 bytes
  uint32_t callee_row = kNoRow;      // per lane: function (index into functions) that returned last
  std::vector<Relocation> relocations;
  std::vector<SpecialUse> specials;
  std::vector<FunctionCode> functions;  // [0] is the entry
  std::vector<CallSite> calls;
  WatchedRegisters hazards;
  uint64_t static_shared_bytes = 0;
  uint64_t dynamic_shared_offset = 0;
  uint32_t frame_bytes = 0;  // per lane: .local variables and call parameters
};
inline constexpr uint32_t kScratchRows = 8;

}  // namespace attest::vm
