// Spoils the tensor maps of correct copies, one number at a time, so that the box reaches past the buffer:
// each must be reported.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "bulk_kernel.h"

namespace attest::vm {
namespace {

constexpr uint64_t kElement = 4;
constexpr uint32_t kBeyond = 4;  // elements that the box is longer than the tensor in each dimension

struct Copy {
  const char* name;
  const char* role;  // of the tensor, in the report
  bool writes;
  // `Nd` stands for the rank, `[map]` for the map with its coordinates, `bytes` for those of the box.
  const char* text;
};
const Copy kCopies[] = {
    {"load", "source", false,
     "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], bytes; cp.async.bulk.tensor.Nd.shared::cta.global"
     ".mbarrier::complete_tx::bytes [%s], [map], [%bar]; $spin: mbarrier.try_wait.parity.shared::cta.b64 "
     "%p8, [%bar], 0; @!%p8 bra $spin;"},
    {"store", "destination", true,
     "cp.async.bulk.tensor.Nd.global.shared::cta.bulk_group [map], [%s]; cp.async.bulk.commit_group; "
     "cp.async.bulk.wait_group 0;"},
    {"reduction", "destination", true,
     "cp.reduce.async.bulk.tensor.Nd.global.shared::cta.add.bulk_group [map], [%s]; "
     "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;"},
    {"prefetch", "prefetch", false, "cp.async.bulk.prefetch.tensor.Nd.L2.global [map];"},
};

// Where the first byte behind the tensor is, counted from its address.
uint64_t end_of(const TensorMap& map) {
  uint64_t end = map.dims[0] * kElement;
  for (size_t i = 1; i < map.rank(); ++i) end += (map.dims[i] - 1) * map.strides[i - 1];
  return end;
}

// A tensor of `rank` dimensions, padded between its rows and planes, that ends where its buffer ends.
TensorMap flush(size_t rank) {
  TensorMap map;
  map.type = TensorType::u32;
  map.dims = {8, 3, 2, 3};
  map.strides = {48, 160, 336};
  map.dims.resize(rank);
  map.strides.resize(rank - 1);
  for (const uint64_t length : map.dims) map.box.push_back(static_cast<uint32_t>(length) + kBeyond);
  map.element_strides.assign(rank, 1);
  map.address = kBulkWords * 4 - end_of(map);
  return map;
}

struct Mutant {
  std::string name;
  TensorMap map;
};
std::vector<Mutant> mutants_of(const TensorMap& map) {
  std::vector<Mutant> mutants;
  const auto add = [&](const std::string& name, const std::function<void(TensorMap&)>& change) {
    mutants.push_back({name, map});
    change(mutants.back().map);
  };
  for (size_t i = 0; i < map.rank(); ++i) {
    const std::string where = " along dimension " + std::to_string(i);
    add("one more" + where, [&](TensorMap& m) { ++m.dims[i]; });
    if (i) add("16 bytes further apart" + where, [&](TensorMap& m) { m.strides[i - 1] += 16; });
  }
  add("16 bytes late", [](TensorMap& m) { m.address += 16; });
  add("another type's size", [](TensorMap& m) { m.type = TensorType::u64; });
  return mutants;
}

BulkRan run(const Copy& copy, const TensorMap& map, const BulkShape& shape) {
  std::string text = copy.text, coordinates = "%map, {0";
  for (size_t i = 1; i < map.rank(); ++i) coordinates += ", 0";
  const auto replace = [&](const std::string& name, const std::string& with) {
    const size_t at = text.find(name);
    if (at != std::string::npos) text.replace(at, name.size(), with);
  };
  replace("bytes;", std::to_string(map.box_bytes()) + ";");
  replace("Nd", std::to_string(map.rank()) + "d");
  replace("[map]", "[" + coordinates + "}]");
  return run_bulk((copy.writes ? fill_tile(32768) : kMakeBarrier) + text, shape, {}, {}, map, copy.writes);
}

TEST(TensorMutations, ABoxThatReachesPastItsBufferIsReportedInEverySchedule) {
  size_t mutants = 0;
  for (const Copy& copy : kCopies) {
    for (size_t rank = 1; rank <= 4; ++rank) {  // shared memory has no room for a box of five dimensions
      const TensorMap map = flush(rank);
      const std::string what = std::string(copy.name) + " of rank " + std::to_string(rank) + ", ";
      for (const BulkShape& shape : kBulkSchedules) {
        const BulkRan clean = run(copy, map, shape);
        EXPECT_FALSE(clean.trap) << what << clean.trap->what();
      }
      for (const Mutant& mutant : mutants_of(map)) {
        ++mutants;
        for (const BulkShape& shape : kBulkSchedules) {
          const BulkRan ran = run(copy, mutant.map, shape);
          ASSERT_TRUE(ran.trap) << what << mutant.name << " is not reported";
          EXPECT_EQ(ran.trap->rule, Rule::out_of_bounds) << what << mutant.name << ran.trap->what();
          EXPECT_NE(ran.trap->message.find(copy.role), std::string::npos) << ran.trap->what();
          EXPECT_NE(ran.trap->message.find(copy.writes ? "'out'" : "'in'"), std::string::npos)
              << ran.trap->what();
        }
      }
    }
  }
  EXPECT_EQ(mutants, 4u * (3 + 5 + 7 + 9));
}

}  // namespace
}  // namespace attest::vm
