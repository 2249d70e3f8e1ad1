// Tests copies of boxes of tensors against a plain nested loop over elements.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "bulk_kernel.h"
#include "jit/vm/observer.h"
#include "jit/vm/payload.h"
#include "jit/vm/payload_table.h"

namespace attest::vm {
namespace {

// --- the model: element by element, with the swizzle as cute defines it ---

uint64_t cute_swizzle(Swizzle swizzle, uint64_t offset) {
  const int bits = swizzle == Swizzle::b128  ? 3
                   : swizzle == Swizzle::b64 ? 2
                   : swizzle == Swizzle::b32 ? 1
                                             : 0;
  const uint64_t source = ((uint64_t{1} << bits) - 1) << (4 + 3);
  return offset ^ ((offset & source) >> 3);
}

// Calls f(byte in shared memory, inside?, byte offset in global memory) for every element of the box.
template <class F>
void each_element(const TensorMap& map, const std::vector<int32_t>& at, F f) {
  const int64_t size = element_bytes(map.type);
  int64_t count[5] = {1, 1, 1, 1, 1}, step[5] = {1, 1, 1, 1, 1}, first[5] = {}, length[5] = {1, 1, 1, 1, 1},
          stride[5] = {size, 0, 0, 0, 0};
  for (size_t d = 0; d < map.rank(); ++d) {
    step[d] = d ? map.element_strides[d] : 1;
    count[d] = (map.box[d] + step[d] - 1) / step[d];
    first[d] = at[d];
    length[d] = static_cast<int64_t>(map.dims[d]);
    if (d) stride[d] = static_cast<int64_t>(map.strides[d - 1]);
  }
  uint64_t number = 0;
  for (int64_t e = 0; e < count[4]; ++e)
    for (int64_t d = 0; d < count[3]; ++d)
      for (int64_t c = 0; c < count[2]; ++c)
        for (int64_t b = 0; b < count[1]; ++b)
          for (int64_t a = 0; a < count[0]; ++a) {
            const int64_t place[5] = {first[0] + a, first[1] + b * step[1], first[2] + c * step[2],
                                      first[3] + d * step[3], first[4] + e * step[4]};
            bool inside = true;
            int64_t offset = 0;
            for (int i = 0; i < 5; ++i) {
              inside = inside && place[i] >= 0 && place[i] < length[i];
              offset += place[i] * stride[i];
            }
            f(cute_swizzle(map.swizzle, number++ * static_cast<uint64_t>(size)), inside, offset);
          }
}

// A random map that fits into the buffers, and coordinates around its borders.
struct Case {
  TensorMap map;
  std::vector<int32_t> at;
  std::string text;
};
Case random_case(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto upto = [&](uint64_t least, uint64_t most) { return least + random() % (most - least + 1); };
  constexpr TensorType kTypes[] = {TensorType::u8,  TensorType::f16, TensorType::bf16,
                                   TensorType::f32, TensorType::u32, TensorType::f64};
  for (;;) {
    Case made;
    TensorMap& map = made.map;
    map.type = kTypes[random() % 6];
    map.swizzle = static_cast<Swizzle>(random() % 4);
    map.fill = map.type != TensorType::u8 && map.type != TensorType::u32 && random() % 2 ? TensorFill::nan
                                                                                         : TensorFill::zeros;
    const size_t rank = upto(1, 5);
    const uint64_t size = element_bytes(map.type);
    uint64_t bytes = 0;
    for (size_t d = 0; d < rank; ++d) {
      map.dims.push_back(upto(1, d ? 6 : 150));
      if (d) map.strides.push_back((bytes + 15) / 16 * 16 + 16 * upto(0, 1));
      bytes = (d ? map.strides.back() : size) * map.dims.back();
      const uint64_t span =
          map.swizzle == Swizzle::none ? 160 : uint64_t{16} << static_cast<int>(map.swizzle);
      map.box.push_back(static_cast<uint32_t>(d ? upto(1, 5) : 16 / size * upto(1, span / 16)));
      map.element_strides.push_back(static_cast<uint32_t>(upto(1, 3)));
      made.at.push_back(static_cast<int32_t>(upto(0, map.dims[d] + map.box[d])) -
                        static_cast<int32_t>(map.box[d]) / 2);
    }
    // A swizzled box that is no multiple of the pattern may reach behind its own bytes: room is left for it.
    if (bytes > kBulkWords * 4 || map.box_bytes() > 16384 || !map.problems().empty()) continue;
    made.text = "seed " + std::to_string(seed) + " rank " + std::to_string(rank);
    return made;
  }
}

std::string coordinates(const std::vector<int32_t>& at) {
  std::string text = "{";
  for (size_t i = 0; i < at.size(); ++i) text += (i ? ", " : "") + std::to_string(at[i]);
  return text + "}";
}
std::string dimension(const TensorMap& map) { return std::to_string(map.rank()) + "d"; }

std::vector<uint32_t> noise(uint64_t seed) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<uint32_t> words(kBulkWords);
  for (uint32_t& word : words) word = static_cast<uint32_t>(random());
  return words;
}

TEST(TensorLoad, RandomBoxesAgreeWithANestedLoop) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Case made = random_case(seed);
    const std::vector<uint32_t> in = noise(seed);
    const auto* const memory = reinterpret_cast<const std::byte*>(in.data());
    // The tile is zeroed first, so that all of it can be read back.
    std::string body =
        "mov.u32 %r1, 0; $zero: add.u32 %r2, %s, %r1; st.shared.b32 [%r2], 0; add.u32 %r1, %r1, 4; "
        "setp.lt.u32 "
        "%p1, %r1, 16384; @%p1 bra $zero; " +
        kMakeBarrier + expect(static_cast<uint32_t>(made.map.box_bytes())) + "cp.async.bulk.tensor." +
        dimension(made.map) + ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%s], [%map, " +
        coordinates(made.at) + "], [%bar]; " + spin() + tile_to_out(16384);
    const BulkShape& shape = kBulkSchedules[seed % kBulkSchedules.size()];
    const BulkRan ran = run_bulk(body, shape, in, {}, made.map);
    ASSERT_FALSE(ran.trap) << made.text << ran.trap->what();
    std::vector<std::byte> want(16384);
    const uint64_t size = element_bytes(made.map.type);
    const uint64_t nan = size == 2 ? 0x7fff : size == 4 ? 0x7fffffff : 0x7fffffffffffffff;
    each_element(made.map, made.at, [&](uint64_t at, bool inside, int64_t from) {
      if (inside)
        std::memcpy(want.data() + at, memory + from, size);
      else if (made.map.fill == TensorFill::nan)
        std::memcpy(want.data() + at, &nan, size);
    });
    ASSERT_EQ(std::memcmp(want.data(), ran.out.data(), want.size()), 0) << made.text;
  }
}

TEST(TensorStore, RandomBoxesAgreeWithANestedLoop) {
  for (uint64_t seed = 1000; seed < 1200; ++seed) {
    const Case made = random_case(seed);
    const std::vector<uint32_t> before = noise(seed);
    // The tile holds the words of the input.
    std::string body =
        "mov.u32 %r1, 0; $fill: add.u32 %r2, %s, %r1; cvt.u64.u32 %rd1, %r1; add.u64 %rd1, %rd1, %in; "
        "ld.global.b32 %r3, [%rd1]; st.shared.b32 [%r2], %r3; add.u32 %r1, %r1, 4; setp.lt.u32 %p1, %r1, "
        "16384; "
        "@%p1 bra $fill; fence.proxy.async.shared::cta; cp.async.bulk.tensor." +
        dimension(made.map) + ".global.shared::cta.bulk_group [%map, " + coordinates(made.at) +
        "], [%s]; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
    const std::vector<uint32_t> in = noise(seed + 1);
    const BulkRan ran =
        run_bulk(body, kBulkSchedules[seed % kBulkSchedules.size()], in, before, made.map, true);
    ASSERT_FALSE(ran.trap) << made.text << ran.trap->what();
    std::vector<uint32_t> want = before;
    auto* const memory = reinterpret_cast<std::byte*>(want.data());
    const auto* const tile = reinterpret_cast<const std::byte*>(in.data());
    each_element(made.map, made.at, [&](uint64_t at, bool inside, int64_t to) {
      if (inside) std::memcpy(memory + to, tile + at, element_bytes(made.map.type));
    });
    ASSERT_EQ(want, ran.out) << made.text;
  }
}

TensorMap words(std::vector<uint64_t> dims, std::vector<uint64_t> strides, std::vector<uint32_t> box) {
  TensorMap map;
  map.type = TensorType::u32;
  map.dims = std::move(dims);
  map.strides = std::move(strides);
  map.element_strides.assign(box.size(), 1);
  map.box = std::move(box);
  return map;
}

TEST(TensorReduce, AddsOnlyInsideTheTensor) {
  // A 4 x 2 box at (6, 1) of an 8 x 2 tensor: two words are inside.
  const std::string body =
      fill_tile(32) +
      "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%map, {6, 1}], "
      "[%s]; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran =
        run_bulk(body, shape, {}, std::vector<uint32_t>(64, 100), words({8, 2}, {32}, {4, 2}), true);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    std::vector<uint32_t> want(64, 100);
    want[14] += 5000;
    want[15] += 5001;
    want.resize(kBulkWords);
    EXPECT_EQ(ran.out, want);
  }
}

TEST(TensorReduce, OtherOperationsAndTypes) {
  const auto first = [](const std::string& operation, TensorType type, uint32_t before, uint32_t with) {
    TensorMap map = words({4}, {}, {4});
    map.type = type;
    map.box[0] = 16 / element_bytes(type);
    map.dims[0] = map.box[0];
    const std::string value = std::to_string(with);
    return run_bulk(
        "st.shared.v4.b32 [%s], {" + value + ", " + value + ", " + value + ", " + value +
            "}; cp.reduce.async.bulk.tensor.1d.global.shared::cta." + operation +
            ".bulk_group [%map, {0}], [%s]; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;",
        {}, {}, {before, before, before, before}, map, true);
  };
  EXPECT_EQ(first("max", TensorType::s32, 0xffffffff, 1).out[0], 1u);
  EXPECT_EQ(first("max", TensorType::u32, 0xffffffff, 1).out[3], 0xffffffffu);
  EXPECT_EQ(first("xor", TensorType::u32, 12, 10).out[2], 6u);
  EXPECT_EQ(first("add", TensorType::f32, 0x3f800000, 0x40000000).out[1], 0x40400000u);   // 1 + 2
  EXPECT_EQ(first("add", TensorType::bf16, 0x3f803f80, 0x40003f80).out[1], 0x40404000u);  // 1 + 2, 1 + 1
  EXPECT_EQ(first("add", TensorType::s64, 0xffffffff, 1).out[1], 1u);  // 2^32 - 1 + (2^32 - 1) 2^32 + ...
  ASSERT_TRUE(first("xor", TensorType::f32, 1, 1).trap);               // floats have no bits to combine
  const BulkRan none = first("inc", TensorType::f32, 1, 1);
  ASSERT_TRUE(none.trap);
  EXPECT_NE(none.trap->message.find("no .inc of elements of type f32"), std::string::npos);
}

TEST(TensorReduce, OfFloatsHasNoMeaningInPayloadArithmetic) {
  PayloadTable table;
  const auto add = [&](TensorType type) {
    TensorMap map = words({4}, {}, {4});
    map.type = type;
    return run_bulk(
        "st.shared.v4.b32 [%s], {1, 1, 1, 1}; "
        "cp.reduce.async.bulk.tensor.1d.global.shared::cta.add.bulk_group [%map, {0}], [%s]; "
        "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;",
        {.payload = &table}, {}, {1, 1, 1, 1}, map, true);
  };
  EXPECT_EQ(add(TensorType::u32).out[3], 2u);
  EXPECT_THROW(add(TensorType::f32), CannotCheck);
}

TEST(TensorLoad, MulticastReachesBothBlocks) {
  const std::string body =
      kMakeBarrier + expect(32) +
      "mul.lo.u32 %r20, %rank, 4; cvt.u64.u32 %rd10, %r20; add.u64 %rd10, %rd10, %out; "
      "st.release.gpu.global.b32 [%rd10+4096], 1; setp.ne.u32 %p2, %rank, 0; @%p2 bra $wait; $flag: "
      "ld.acquire.gpu.global.b32 %r21, [%out+4100]; setp.eq.u32 %p6, %r21, 0; @%p6 bra $flag; mov.b16 %h1, "
      "3; "
      "cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%s], "
      "[%map, {4}], [%bar], %h1; $wait: " +
      spin() + "mul.lo.u32 %r22, %rank, 32; cvt.u64.u32 %rd9, %r22; add.u64 %out, %out, %rd9; " +
      tile_to_out(32);
  for (BulkShape shape : kBulkSchedules) {
    shape.cluster = 2;
    const BulkRan ran = run_bulk(body, shape, {}, {}, words({100}, {}, {8}));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(ran.out[i], 1004 + i % 8);
  }
}

TEST(TensorLoad, AMapInGlobalMemoryWorksToo) {
  // The kernel copies its parameter to the output and uses it there.
  std::string body;
  for (int i = 0; i < 16; ++i)
    body += "ld.param.b64 %rd1, [p_map+" + std::to_string(8 * i) + "]; st.global.b64 [%out+" +
            std::to_string(1024 + 8 * i) + "], %rd1; ";
  body +=
      "fence.proxy.tensormap::generic.release.gpu; add.u64 %rd2, %out, 1024; "
      "fence.proxy.tensormap::generic.acquire.gpu [%rd2], 128; prefetch.tensormap [%rd2]; " +
      kMakeBarrier + expect(16) +
      "cp.async.bulk.tensor.1d.shared::cta.global.tile.mbarrier::complete_tx::bytes [%s], [%rd2, {8}], "
      "[%bar]; " +
      spin() + tile_to_out(16);
  const BulkRan ran = run_bulk(body, {}, {}, {}, words({64}, {}, {4}));
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.out[0], 1008u);
  EXPECT_EQ(ran.out[3], 1011u);
}

TEST(TensorCopies, Misuse) {
  const auto rule = [](const std::string& body, const TensorMap& map, const std::string& part) {
    const BulkRan ran = run_bulk(kMakeBarrier + expect(16) + body, {}, {}, {}, map);
    if (!ran.trap) return std::optional<Rule>();
    EXPECT_NE(std::string(ran.trap->what()).find(part), std::string::npos) << ran.trap->what();
    return std::optional(ran.trap->rule);
  };
  const auto load = [](const std::string& rank, const std::string& operands) {
    return "cp.async.bulk.tensor." + rank + ".shared::cluster.global.mbarrier::complete_tx::bytes " +
           operands + ";";
  };
  const TensorMap line = words({64}, {}, {4});
  EXPECT_EQ(rule(load("1d", "[%s+16], [%map, {0}], [%bar]"), line, "not aligned to 128"), Rule::misaligned);
  EXPECT_EQ(rule(load("2d", "[%s], [%map, {0, 0}], [%bar]"), line, "rank 1 for a copy of 2"),
            Rule::asynchronous);
  EXPECT_EQ(rule(load("1d", "[%s], [%in, {0}], [%bar]"), line, "no tensor map"), Rule::asynchronous);
  EXPECT_EQ(
      rule("add.u64 %rd1, %map, 8; " + load("1d", "[%s], [%rd1, {0}], [%bar]"), line, "parameter offset"),
      Rule::out_of_bounds);
  EXPECT_EQ(rule("add.u64 %rd1, %in, 8; " + load("1d", "[%s], [%rd1, {0}], [%bar]"), line, "aligned to 64"),
            Rule::misaligned);
  EXPECT_EQ(rule(load("1d", "[%s+32896], [%map, {0}], [%bar]"), line, "destination"), Rule::out_of_bounds);
  // The tensor reaches behind its buffer: only who asks for that part is wrong.
  const TensorMap long_line = words({kBulkWords + 4}, {}, {4});
  EXPECT_EQ(rule(load("1d", "[%s], [%map, {0}], [%bar]") + spin(), long_line, ""), std::nullopt);
  EXPECT_EQ(
      rule(load("1d", "[%s], [%map, {" + std::to_string(kBulkWords) + "}], [%bar]"), long_line, "source"),
      Rule::out_of_bounds);
  // So far away that the address does not fit into 64 bits.
  TensorMap far = words({4, uint64_t{1} << 32}, {(uint64_t{1} << 40) - 16}, {4, 1});
  EXPECT_EQ(rule(load("2d", "[%s], [%map, {0, 2147483647}], [%bar]"), far, "source"), Rule::out_of_bounds);
  // Stores: what is stored must have been written, and the input is read-only.
  const std::string store = "cp.async.bulk.tensor.1d.global.shared::cta.bulk_group [%map, {62}], [%s];";
  EXPECT_EQ(rule("st.shared.b32 [%s], 1; " + store, line, "never written"), Rule::uninitialised);
  EXPECT_EQ(rule("st.shared.b64 [%s], 1; " + store, line, "read-only"), Rule::permission);
  EXPECT_EQ(rule("cp.async.bulk.prefetch.tensor.1d.L2.global [%map, {" + std::to_string(kBulkWords) + "}];",
                 long_line, "prefetch"),
            Rule::out_of_bounds);
  EXPECT_EQ(rule("cp.async.bulk.prefetch.tensor.1d.L2.global.tile [%map, {0}];", line, ""), std::nullopt);
  EXPECT_EQ(rule("prefetch.tensormap [%in];", line, "no tensor map"), Rule::asynchronous);
}

TEST(TensorLoad, MayNotBeReadBeforeItsWaitAndCountsTheWholeBox) {
  const TensorMap map = words({6}, {}, {8});
  const std::string copy =
      "cp.async.bulk.tensor.1d.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%map, {2}], [%bar]; ";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan early =
        run_bulk(kMakeBarrier + expect(32) + copy + "ld.shared.b32 %r1, [%s+28];", shape, {}, {}, map);
    ASSERT_TRUE(early.trap);
    EXPECT_EQ(early.trap->rule, Rule::uninitialised);
    // Four of the eight words are outside, and still count.
    EXPECT_FALSE(run_bulk(kMakeBarrier + expect(32) + copy + spin(), shape, {}, {}, map).trap);
    const BulkRan inside = run_bulk(kMakeBarrier + expect(16) + copy + spin(), shape, {}, {}, map);
    ASSERT_TRUE(inside.trap);
  }
}

TEST(TensorEvents, NameTheBytesThatMove) {
  struct Ranges : Observer {
    std::vector<std::string> heard;
    void async_access(const AsyncAccessEvent& event) override {
      heard.push_back(std::string(event.space == Space::global ? "global " : "shared ") +
                      std::to_string(event.address & 0xffffff) + "+" + std::to_string(event.bytes));
    }
  } ranges;
  Observer* const observers[] = {&ranges};
  // Two rows of 16 bytes inside, one outside; 96 bytes swizzled into 0..95: they are one range.
  TensorMap map = words({8, 2}, {64}, {8, 3});
  map.swizzle = Swizzle::b32;
  const BulkRan ran =
      run_bulk(kMakeBarrier + expect(96) +
                   "cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%s], "
                   "[%map, {4, 0}], [%bar]; " +
                   spin(),
               {}, {}, {}, map, false, observers);
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ranges.heard, (std::vector<std::string>{"global 16+16", "global 80+16", "shared 0+96"}));
}

}  // namespace
}  // namespace attest::vm
