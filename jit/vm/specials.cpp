// One row per name; values come from the launch, the block and the lane.
#include "jit/vm/specials.h"

#include <algorithm>
#include <iterator>

#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

constexpr SpecialName kNames[] = {
    {"%tid.x", Special::tid_x},
    {"%tid.y", Special::tid_y},
    {"%tid.z", Special::tid_z},
    {"%ntid.x", Special::ntid_x},
    {"%ntid.y", Special::ntid_y},
    {"%ntid.z", Special::ntid_z},
    {"%ctaid.x", Special::ctaid_x},
    {"%ctaid.y", Special::ctaid_y},
    {"%ctaid.z", Special::ctaid_z},
    {"%nctaid.x", Special::nctaid_x},
    {"%nctaid.y", Special::nctaid_y},
    {"%nctaid.z", Special::nctaid_z},
    {"%laneid", Special::laneid},
    {"%warpid", Special::warpid},
    {"%nwarpid", Special::nwarpid},
    {"%smid", Special::smid},
    {"%nsmid", Special::nsmid},
    {"%gridid", Special::gridid},
    {"%lanemask_eq", Special::lanemask_eq},
    {"%lanemask_le", Special::lanemask_le},
    {"%lanemask_lt", Special::lanemask_lt},
    {"%lanemask_ge", Special::lanemask_ge},
    {"%lanemask_gt", Special::lanemask_gt},
    {"%clusterid.x", Special::clusterid_x},
    {"%clusterid.y", Special::clusterid_y},
    {"%clusterid.z", Special::clusterid_z},
    {"%nclusterid.x", Special::nclusterid_x},
    {"%nclusterid.y", Special::nclusterid_y},
    {"%nclusterid.z", Special::nclusterid_z},
    {"%cluster_ctaid.x", Special::cluster_ctaid_x},
    {"%cluster_ctaid.y", Special::cluster_ctaid_y},
    {"%cluster_ctaid.z", Special::cluster_ctaid_z},
    {"%cluster_nctaid.x", Special::cluster_nctaid_x},
    {"%cluster_nctaid.y", Special::cluster_nctaid_y},
    {"%cluster_nctaid.z", Special::cluster_nctaid_z},
    {"%cluster_ctarank", Special::cluster_ctarank},
    {"%cluster_nctarank", Special::cluster_nctarank},
    {"%is_explicit_cluster", Special::is_explicit_cluster},
    {"%dynamic_smem_size", Special::dynamic_smem_size},
    {"%total_smem_size", Special::total_smem_size},
    {"%aggr_smem_size", Special::aggr_smem_size},
    {"%clock", Special::clock, false, true},
    {"%clock_hi", Special::clock_hi, false, true},
    {"%clock64", Special::clock64, true, true},
    {"%globaltimer", Special::globaltimer, true, true},
    {"%globaltimer_lo", Special::globaltimer_lo, false, true},
    {"%globaltimer_hi", Special::globaltimer_hi, false, true},
};

uint32_t part(Dim3 dim, int axis) { return axis == 0 ? dim.x : axis == 1 ? dim.y : dim.z; }
int axis(Special special, Special x) { return static_cast<int>(special) - static_cast<int>(x); }

uint32_t value(const Warp& warp, Special special, uint32_t lane) {
  const LaunchOptions& options = *warp.launch->options;
  const Dim3 block = options.block;
  const Dim3 at = warp.block->index;
  const Dim3 cluster = options.cluster;
  const uint32_t thread = warp.index * kLanes + lane;
  switch (special) {
    case Special::tid_x:
      return thread % block.x;
    case Special::tid_y:
      return thread / block.x % block.y;
    case Special::tid_z:
      return thread / block.x / block.y;
    case Special::ntid_x:
    case Special::ntid_y:
    case Special::ntid_z:
      return part(block, axis(special, Special::ntid_x));
    case Special::ctaid_x:
    case Special::ctaid_y:
    case Special::ctaid_z:
      return part(at, axis(special, Special::ctaid_x));
    case Special::nctaid_x:
    case Special::nctaid_y:
    case Special::nctaid_z:
      return part(options.grid, axis(special, Special::nctaid_x));
    case Special::laneid:
      return lane;
    case Special::warpid:
      return warp.index;
    case Special::nwarpid:
      return static_cast<uint32_t>(warp.block->warps.size());
    case Special::smid:
      return 0;
    case Special::nsmid:
      return 1;
    case Special::gridid:
      return 1;
    case Special::lanemask_eq:
      return 1u << lane;
    case Special::lanemask_lt:
      return (1u << lane) - 1;
    case Special::lanemask_le:
      return (1u << lane) | ((1u << lane) - 1);
    case Special::lanemask_ge:
      return ~((1u << lane) - 1);
    case Special::lanemask_gt:
      return ~((1u << lane) | ((1u << lane) - 1));
    case Special::clusterid_x:
    case Special::clusterid_y:
    case Special::clusterid_z: {
      const int a = axis(special, Special::clusterid_x);
      return part(at, a) / part(cluster, a);
    }
    case Special::nclusterid_x:
    case Special::nclusterid_y:
    case Special::nclusterid_z: {
      const int a = axis(special, Special::nclusterid_x);
      return part(options.grid, a) / part(cluster, a);
    }
    case Special::cluster_ctaid_x:
    case Special::cluster_ctaid_y:
    case Special::cluster_ctaid_z: {
      const int a = axis(special, Special::cluster_ctaid_x);
      return part(at, a) % part(cluster, a);
    }
    case Special::cluster_nctaid_x:
    case Special::cluster_nctaid_y:
    case Special::cluster_nctaid_z:
      return part(cluster, axis(special, Special::cluster_nctaid_x));
    case Special::cluster_ctarank:
      return warp.block->rank;
    case Special::cluster_nctarank:
      return static_cast<uint32_t>(cluster.count());
    case Special::is_explicit_cluster:
      return cluster.count() > 1;
    case Special::dynamic_smem_size:
      return static_cast<uint32_t>(options.dynamic_shared_bytes);
    case Special::total_smem_size:
    case Special::aggr_smem_size:
      return static_cast<uint32_t>(warp.block->shared_bytes);
    default:
      return static_cast<uint32_t>(clock_value(warp, special));
  }
}

}  // namespace

const SpecialName* find_special(std::string_view name) {
  const auto found = std::find_if(std::begin(kNames), std::end(kNames),
                                  [&](const SpecialName& each) { return each.name == name; });
  return found == std::end(kNames) ? nullptr : found;
}

uint64_t clock_value(const Warp& warp, Special special) {
  const uint64_t ticks = warp.launch->warp_instructions.load(std::memory_order_relaxed) + warp.block->ticks;
  switch (special) {
    case Special::clock_hi:
    case Special::globaltimer_hi:
      return ticks >> 32;
    case Special::clock:
    case Special::globaltimer_lo:
      return ticks & 0xFFFFFFFFu;
    default:
      return ticks;
  }
}

void fill_specials(Warp& warp) {
  for (const SpecialUse& use : warp.launch->code->specials) {
    if (use.special == Special::is_explicit_cluster) {
      warp.predicate(use.row) = value(warp, use.special, 0) ? kAllLanes : 0;
    } else if (use.wide) {
      for (uint32_t lane = 0; lane < kLanes; ++lane)
        warp.row<uint64_t>(use.row)[lane] = value(warp, use.special, lane);
    } else {
      for (uint32_t lane = 0; lane < kLanes; ++lane)
        warp.row<uint32_t>(use.row)[lane] = value(warp, use.special, lane);
    }
  }
}

}  // namespace attest::vm
