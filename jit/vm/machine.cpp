// Checks a launch, makes its blocks and hands them to the schedule, on one host thread or several.
#include "jit/vm/machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "jit/vm/arithmetic_mode.h"
#include "jit/vm/barrier.h"
#include "jit/vm/livelock.h"
#include "jit/vm/observer.h"
#include "jit/vm/program_data.h"
#include "jit/vm/scheduler.h"
#include "jit/vm/specials.h"
#include "jit/vm/warp.h"
#include "jit/vm/warpgroup.h"

namespace attest::vm {
namespace {

constexpr uint64_t kMaxThreads = 1024;
constexpr uint64_t kMaxSharedBytes = 227 * 1024;  // per block, CUDA programming guide, compute capability 9.0
constexpr uint64_t kMaxCluster = 16;
constexpr uint64_t kPatience = 64;  // passes before another cluster joins one that does not end
constexpr uint64_t kShuffledPatience = 4096;
constexpr size_t kShuffledTogether = 3;  // clusters that a shuffled schedule interleaves

std::string text(Dim3 dim) {
  return "(" + std::to_string(dim.x) + "," + std::to_string(dim.y) + "," + std::to_string(dim.z) + ")";
}

// Of a directive such as .reqntid, where axes may be left out.
Dim3 shape(const std::vector<uint32_t>& values) {
  const auto axis = [&](size_t i) { return i < values.size() ? values[i] : 1u; };
  return {axis(0), axis(1), axis(2)};
}

void check_launch(const EntryInfo& info, const LaunchOptions& options, uint64_t params) {
  const auto refuse = [&](const std::string& what) {
    throw std::invalid_argument("launch of '" + info.name + "': " + what);
  };
  if (params != info.parameter_bytes)
    refuse(std::to_string(params) + " parameter bytes, expected " + std::to_string(info.parameter_bytes));
  if (options.grid.count() == 0 || options.block.count() == 0)
    refuse("grid " + text(options.grid) + " of blocks " + text(options.block) + " is empty");
  if (options.block.count() > kMaxThreads || options.block.x > 1024 || options.block.y > 1024 ||
      options.block.z > 64)
    refuse("a block of " + text(options.block) + " threads, at most 1024 (64 in z) are possible");
  if (info.static_shared_bytes + options.dynamic_shared_bytes > kMaxSharedBytes)
    refuse(std::to_string(info.static_shared_bytes) + " static and " +
           std::to_string(options.dynamic_shared_bytes) + " dynamic bytes of shared memory, at most " +
           std::to_string(kMaxSharedBytes) + " are possible");
  if (!info.reqntid.empty() && shape(info.reqntid) != options.block)
    refuse("blocks of " + text(options.block) + ", .reqntid demands " + text(shape(info.reqntid)));
  if (!info.cluster.empty() && shape(info.cluster) != options.cluster)
    refuse("clusters of " + text(options.cluster) + ", .reqnctapercluster demands " +
           text(shape(info.cluster)));
  if (!info.maxntid.empty()) {
    const Dim3 most = shape(info.maxntid);
    if (options.block.count() > most.count())
      refuse("blocks of " + std::to_string(options.block.count()) + " threads, .maxntid allows " +
             std::to_string(most.count()));
  }
  const Dim3 cluster = options.cluster;
  if (cluster.count() == 0 || cluster.count() > kMaxCluster)
    refuse("a cluster of " + text(cluster) + " blocks, 1 to 16 are possible");
  if (options.grid.x % cluster.x || options.grid.y % cluster.y || options.grid.z % cluster.z)
    refuse("grid " + text(options.grid) + " is no multiple of cluster " + text(cluster));
  if (options.host_threads < 1)
    refuse("host_threads " + std::to_string(options.host_threads) + ", expected at least 1");
  if (options.arithmetic == Arithmetic::payload && (!options.payload || options.host_threads != 1))
    refuse(options.payload ? "payload arithmetic runs on one host thread: its table has no locks"
                           : "payload arithmetic needs LaunchOptions::payload, a table for its values");
}

// (Re)starts a block: registers poisoned with all ones, memory never written.
void start(Block& block, Launch& launch, Dim3 index, uint64_t linear, uint32_t rank) {
  const Code& code = *launch.code;
  const LaunchOptions& options = *launch.options;
  const auto threads = static_cast<uint32_t>(options.block.count());
  const uint32_t warps = (threads + kLanes - 1) / kLanes;
  const size_t frame_bytes = size_t{code.frame_bytes} * kLanes;
  const size_t warp_bytes = (code.file_bytes + frame_bytes + 63) / 64 * 64;
  if (block.warps.empty()) {
    block.arena = std::make_unique_for_overwrite<std::byte[]>(warp_bytes * warps + 64);
    block.frame_flags = std::make_unique<uint8_t[]>(frame_bytes * warps);
    block.shared_bytes = options.dynamic_shared_bytes
                             ? code.dynamic_shared_offset + options.dynamic_shared_bytes
                             : code.static_shared_bytes;
    block.shared = std::make_unique_for_overwrite<std::byte[]>(block.shared_bytes + 64);
    block.shared_initialised = std::make_unique<uint8_t[]>(block.shared_bytes);
    block.warps.resize(warps);
  }
  std::memset(block.shared.get(), 0xAB, block.shared_bytes);
  std::memset(block.shared_initialised.get(), 0, block.shared_bytes);
  std::memset(block.frame_flags.get(), 0, frame_bytes * warps);
  block.index = index;
  block.linear = linear;
  block.rank = rank;
  block.launch = &launch;
  block.barriers.fill(Barrier{});
  block.copies.reset();
  block.bulk.reset();
  block.mbarriers.reset();
  block.spinning.reset();
  block.random = options.seed * 0x9E3779B97F4A7C15u ^ (linear + 1) * 0xD1B54A32D192ED03u;
  block.ticks = 0;
  block.cluster_phase = 0;
  auto base = reinterpret_cast<uintptr_t>(block.arena.get());
  std::byte* arena = block.arena.get() + ((64 - base % 64) % 64);
  block.warpgroups = make_warpgroups(code, warps);
  for (uint32_t i = 0; i < warps; ++i) {
    Warp& warp = block.warps[i];
    warp = Warp{};
    if (block.warpgroups) warp.warpgroup = &(*block.warpgroups)[i / kWarpsTogether];
    warp.registers = arena + i * warp_bytes;
    warp.frame = warp.registers + code.file_bytes;
    warp.frame_initialised = block.frame_flags.get() + i * frame_bytes;
    std::copy(launch.constants.begin(), launch.constants.end(), warp.registers);  // there may be none
    std::memset(warp.registers + launch.constants.size(), 0xFF, code.file_bytes - launch.constants.size());
    std::memset(warp.frame, 0xAB, frame_bytes);
    const uint32_t lanes = std::min(threads - i * kLanes, kLanes);
    warp.existing = warp.living = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    warp.index = i;
    warp.block = &block;
    warp.launch = &launch;
    warp.lane_pc.fill(code.functions[0].entry_pc);
    fill_specials(warp);
  }
  for (Observer* observer : launch.observers) observer->block_begin(index, linear);
}

void start(Cluster& cluster, Launch& launch, uint64_t number) {
  const Dim3 shape = launch.options->cluster;
  const Dim3 grid = launch.options->grid;
  const Dim3 clusters{grid.x / shape.x, grid.y / shape.y, grid.z / shape.z};
  const Dim3 at{static_cast<uint32_t>(number % clusters.x) * shape.x,
                static_cast<uint32_t>(number / clusters.x % clusters.y) * shape.y,
                static_cast<uint32_t>(number / clusters.x / clusters.y) * shape.z};
  const auto count = static_cast<uint32_t>(shape.count());
  if (cluster.blocks.empty()) {
    for (uint32_t i = 0; i < count; ++i) {
      cluster.blocks.push_back(std::make_unique<Block>());
      cluster.by_rank.push_back(cluster.blocks.back().get());
    }
  }
  cluster.number = number;
  cluster.passes = 0;
  for (uint32_t rank = 0; rank < count; ++rank) {
    const Dim3 index{at.x + rank % shape.x, at.y + rank / shape.x % shape.y, at.z + rank / shape.x / shape.y};
    const uint64_t linear = index.x + uint64_t{grid.x} * (index.y + uint64_t{grid.y} * index.z);
    cluster.blocks[rank]->cluster = &cluster.by_rank;
    cluster.blocks[rank]->cluster_number = number;
    start(*cluster.blocks[rank], launch, index, linear, rank);
  }
}

// One host thread of several: clusters one after another; several at once when shuffled, or when one seems to
// wait for others.
void work(Launch& launch, std::atomic<uint64_t>& next, uint64_t clusters, Stillness& all, size_t thread) {
  std::vector<std::unique_ptr<Cluster>> resident, spare;
  const Schedule schedule = launch.options->schedule;
  const size_t wanted = schedule == Schedule::shuffled ? kShuffledTogether : 1;
  const auto admit = [&] {
    const uint64_t number = next.fetch_add(1, std::memory_order_relaxed);
    if (number >= clusters) return false;
    std::unique_ptr<Cluster> cluster;
    if (!spare.empty()) {
      cluster = std::move(spare.back());
      spare.pop_back();
    } else {
      cluster = std::make_unique<Cluster>();
    }
    start(*cluster, launch, number);
    resident.push_back(std::move(cluster));
    return true;
  };
  uint64_t random = launch.options->seed ^ 0x5851F42D4C957F2Du;
  const uint64_t step = schedule == Schedule::shuffled ? kShuffledPatience : kPatience;
  uint64_t patience = step;
  uint64_t turns = 0;
  LivelockWatch watch(all, thread, schedule);
  for (;;) {
    while (resident.size() < wanted && admit()) {
    }
    if (resident.empty()) return all.ended(thread);
    if (launch.cancelled.load(std::memory_order_relaxed)) return;
    const Schedule order = watch.order();
    const uint64_t turn = order == Schedule::shuffled ? next_random(random) : turns;
    const auto i = static_cast<size_t>(turn % resident.size());
    ++turns;
    Cluster& cluster = *resident[i];
    const bool living = advance(cluster, order);
    if (!living) {
      for (const std::unique_ptr<Block>& block : cluster.blocks)
        for (Observer* observer : launch.observers) observer->block_end(block->index, block->linear);
      spare.push_back(std::move(resident[i]));
      resident.erase(resident.begin() + static_cast<std::ptrdiff_t>(i));
      patience = step;
      watch.disturb();
    } else if (cluster.passes >= patience) {
      patience += step;
      if (admit()) watch.disturb();
    }
    const bool complete = next.load(std::memory_order_relaxed) >= clusters;
    if (living && complete && turns % resident.size() == 0) watch.round(resident);
  }
}

}  // namespace

struct Machine::State {
  struct Module {
    std::shared_ptr<const ProgramData> program;
    std::vector<uint64_t> addresses;  // of each module variable; 0 for shared ones
  };
  Memory memory;
  std::map<const ProgramData*, Module> modules;

  Module& module(const Program& program);
  void prepare(const LaunchRequest& request, LaunchOptions& options, Launch& launch);
};

Machine::Machine() : state_(std::make_unique<State>()) {}
Machine::~Machine() = default;
Memory& Machine::memory() { return state_->memory; }
const Memory& Machine::memory() const { return state_->memory; }

// Allocates and initialises the module's variables on first use.
Machine::State::Module& Machine::State::module(const Program& program) {
  const auto found = modules.find(&program.data());
  if (found != modules.end()) return found->second;
  Module made{program.shared_data(), {}};
  const ProgramData& data = program.data();
  for (const syntax::Variable& variable : data.variables) {
    const bool stored = variable.space == Space::global || variable.space == Space::constant;
    made.addresses.push_back(stored ? memory.allocate(variable.bytes(), variable.name) : 0);
  }
  for (size_t i = 0; i < data.variables.size(); ++i) {
    const syntax::Variable& variable = data.variables[i];
    if (!made.addresses[i]) continue;
    std::vector<std::byte> bytes(variable.bytes());  // what has no initial value is zero
    for (size_t k = 0; k < variable.initial.size(); ++k) {
      const syntax::Initial& initial = variable.initial[k];
      uint64_t value = initial.bits;
      if (initial.f64 && variable.element_bytes == 4)
        value = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(value)));
      if (!initial.symbol.empty()) {
        const auto name = data.names.find(initial.symbol);
        const uint64_t address =
            name != data.names.end()
                ? made.addresses[name->second]
                : kFunctionWindow + 16 * uint64_t{data.functions.find(initial.symbol)->second};
        value = address + initial.bits;
        if (initial.mask != ~uint64_t{0})
          value = (value & initial.mask) >> std::countr_zero(initial.mask | uint64_t{1} << 63);
      }
      std::memcpy(bytes.data() + k * variable.element_bytes, &value, variable.element_bytes);
    }
    memory.write(made.addresses[i], bytes);
    if (variable.space == Space::constant) {
      memory.find(made.addresses[i])->constant = true;
      memory.find(made.addresses[i])->access = Access::read;
    }
  }
  return modules.emplace(&data, std::move(made)).first->second;
}

uint64_t Machine::symbol(const Program& program, std::string_view name) {
  const auto found = program.data().names.find(name);
  const uint64_t address =
      found == program.data().names.end() ? 0 : state_->module(program).addresses[found->second];
  if (!address) throw std::invalid_argument("no global variable '" + std::string(name) + "' in this module");
  return address;
}

// Checks the request and fills `options` (with the kernel's own cluster shape) and `launch`.
void Machine::State::prepare(const LaunchRequest& request, LaunchOptions& options, Launch& launch) {
  const EntryInfo& info = request.program.entry(request.entry);
  options = request.options;
  if (!info.cluster.empty() && options.cluster == Dim3{}) {
    options.cluster = shape(info.cluster);
  }
  check_launch(info, options, request.params.size());
  const Module& variables = module(request.program);
  launch.code = &request.program.data().code.find(request.entry)->second;
  if (const Replacements* forms = replacements(options.arithmetic)) {
    launch.in_mode = with_replacements(*launch.code, *forms);
    launch.code = &launch.in_mode;
  }
  launch.options = &options;
  launch.memory = &memory;
  launch.params = request.params;
  launch.entry = std::string(request.entry);
  launch.observers = request.observers;
  for (const Observer* observer : request.observers)
    launch.watched = launch.watched || observer->watches_instructions();
  launch.constants = launch.code->constants;
  for (const Relocation& relocation : launch.code->relocations) {
    const uint64_t address =
        variables.addresses[relocation.variable] + static_cast<uint64_t>(relocation.addend);
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      std::memcpy(launch.constants.data() + relocation.row + lane * 8, &address, 8);
  }
}

namespace {

// All blocks have ended: what asynchronous operations have left to do is done, and the observers hear of it.
void end(const Launch& launch, const LaunchEvent& event) {
  for (const std::function<void()>& rest : launch.at_end) rest();
  for (Observer* observer : launch.observers) observer->launch_end(event);
}

}  // namespace

LaunchStatistics Machine::launch(const Program& program, std::string_view entry, const LaunchOptions& asked,
                                 std::span<const std::byte> params, std::span<Observer* const> observers) {
  LaunchOptions options;
  Launch launch;
  state_->prepare({program, entry, asked, params, observers}, options, launch);
  const LaunchEvent event{entry, options, state_->memory};
  for (Observer* observer : observers) observer->launch_begin(event);
  const uint64_t clusters = options.grid.count() / options.cluster.count();
  std::atomic<uint64_t> next{0};
  const uint64_t threads = std::min<uint64_t>(static_cast<uint64_t>(options.host_threads), clusters);
  Stillness all(std::max<uint64_t>(threads, 1));
  if (threads <= 1) {
    work(launch, next, clusters, all, 0);
  } else {
    std::mutex mutex;
    std::exception_ptr first;
    std::vector<std::thread> pool;
    for (size_t i = 0; i < threads; ++i) {
      pool.emplace_back([&, i] {
        try {
          work(launch, next, clusters, all, i);
        } catch (...) {  // handed to the caller below: the first one wins
          launch.cancelled = true;
          const std::lock_guard lock(mutex);
          if (!first) first = std::current_exception();
        }
      });
    }
    for (std::thread& thread : pool) thread.join();
    if (first) std::rethrow_exception(first);
  }
  end(launch, event);
  return {launch.lane_instructions.load(), launch.warp_instructions.load()};
}

void Machine::launch_dependent(const LaunchRequest& primary, const LaunchRequest& secondary) {
  LaunchOptions options;
  Launch launch;
  state_->prepare(secondary, options, launch);
  launch.prerequisites_met = false;
  const LaunchEvent event{secondary.entry, options, state_->memory};
  for (Observer* observer : secondary.observers) observer->launch_begin(event);
  std::vector<std::unique_ptr<Cluster>> clusters(options.grid.count() / options.cluster.count());
  for (uint64_t i = 0; i < clusters.size(); ++i)
    start(*(clusters[i] = std::make_unique<Cluster>()), launch, i);
  const auto as_far_as_possible = [&] {
    Stillness alone(1);
    LivelockWatch watch(alone, 0, options.schedule);
    for (bool any = true; any;) {
      any = false;
      for (const std::unique_ptr<Cluster>& cluster : clusters) any = advance(*cluster, watch.order()) || any;
      if (any) watch.round(clusters);
    }
  };
  as_far_as_possible();
  this->launch(primary.program, primary.entry, primary.options, primary.params, primary.observers);
  launch.prerequisites_met = true;
  for (const std::unique_ptr<Cluster>& cluster : clusters)
    for (const std::unique_ptr<Block>& block : cluster->blocks) release_dependency(*block);
  as_far_as_possible();
  for (const std::unique_ptr<Cluster>& cluster : clusters)
    for (const std::unique_ptr<Block>& block : cluster->blocks)
      for (Observer* observer : secondary.observers) observer->block_end(block->index, block->linear);
  end(launch, event);
}

Site site_of(const Warp& warp, const Instruction& instruction) {
  return {warp.block->index, warp.block->linear, warp.index,     warp.mask,
          instruction.line,  instruction.form,   instruction.pc, warp.launch->code->texts[instruction.pc]};
}

void trap(const Warp& warp, const Instruction& instruction, Rule rule, uint32_t lanes,
          const std::string& what) {
  std::vector<uint32_t> list;
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    if (lanes >> lane & 1) list.push_back(lane);
  throw Trap(rule, instruction.line, warp.launch->code->texts[instruction.pc], warp.block->index, warp.index,
             std::move(list), what);
}

}  // namespace attest::vm
