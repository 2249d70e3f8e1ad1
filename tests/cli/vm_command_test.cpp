// attest vm run: clean runs, mismatches, traps, and what it cannot check.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/run_attest.h"

namespace attest {
namespace {

using nlohmann::json;

// y[i] = x[i] + c for i < n; one thread an element.
constexpr const char* kAdd = R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry add(.param .u64 x, .param .u64 y, .param .f32 c, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<4>;
  .reg .f32 %f<4>;
  .reg .b64 %rd<6>;
  mov.u32 %r1, %tid.x;
  ld.param.u32 %r2, [n];
  setp.ge.u32 %p1, %r1, %r2;
  @%p1 bra done;
  ld.param.u64 %rd1, [x];
  ld.param.u64 %rd2, [y];
  ld.param.f32 %f1, [c];
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd4, %rd1, %rd3;
  add.s64 %rd5, %rd2, %rd3;
  ld.global.f32 %f2, [%rd4];
  add.f32 %f3, %f2, %f1;
  st.global.f32 [%rd5], %f3;
done:
  ret;
}
)";

std::string launch(int n, const std::string& x_fill, const std::string& expect) {
  return R"({"entry": "add", "grid": [1], "block": [32], "params": [
    {"buffer": {"dtype": "f32", "shape": [4], "fill": )" +
         x_fill + R"(, "access": "r"}},
    {"buffer": {"dtype": "f32", "shape": [4], "fill": "uninitialised", "access": "w"}},
    {"scalar": "f32", "value": 0.5}, {"scalar": "u32", "value": )" +
         std::to_string(n) + "}], \"expect\": [" + expect + "]}";
}

class VmRun : public testing::Test {
 protected:
  Ran run(const std::string& ptx, const std::string& launch_text, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"vm", "run", folder_.write("k.ptx", ptx), "--launch",
                                          folder_.write("launch.json", launch_text)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_attest(arguments);
  }
  TemporaryFolder folder_;
};

const char* const kValues = R"({"values": [1, 2, 3, -4]})";

TEST_F(VmRun, MeetsWhatWasExpected) {
  for (const std::string schedule : {"lockstep", "serial", "shuffled"}) {
    const Ran ran = run(kAdd, launch(4, kValues, R"({"param": 1, "values": [1.5, 2.5, 3.5, -3.5]})"),
                        {"--schedule", schedule, "--seed", "3"});
    EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  }
}

TEST_F(VmRun, ReportsAMismatchWithItsElement) {
  const Ran ran =
      run(kAdd, launch(4, kValues, R"({"param": 1, "values": [1.5, 2.5, 3.25, -3.5], "tolerance": 0.125})"));
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("param 1 (f32 [4]) element 2: got 3.5, want 3.25, tolerance 0.125; 1 of 4 differ"),
            std::string::npos)
      << ran.out;
}

TEST_F(VmRun, AnElementThatNobodyWroteIsAMismatch) {
  const Ran ran = run(kAdd, launch(3, kValues, R"({"param": 1, "values": [1.5, 2.5, 3.5, "nan"]})"));
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("element 3: got nothing"), std::string::npos) << ran.out;
}

TEST_F(VmRun, ReportsATrapWithLineAndLanes) {
  const std::string path = folder_.file("report.json");
  const Ran ran = run(kAdd, launch(6, kValues, ""), {"--json", path});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("PTX line 20"), std::string::npos) << ran.out;  // ld.global.f32
  EXPECT_NE(ran.out.find("lanes 4-5"), std::string::npos) << ran.out;
  const json report = json::parse(read_all(path));
  EXPECT_EQ(report["status"], "trap");
  EXPECT_EQ(report["trap"]["rule"], "out-of-bounds");
  EXPECT_EQ(report["trap"]["ptx_line"], 20);
  EXPECT_EQ(report["trap"]["lanes"], json({4, 5}));
}

TEST_F(VmRun, ReportsAReadOfUninitialisedMemory) {
  const Ran ran = run(kAdd, launch(4, R"("uninitialised")", ""));
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("uninitialised"), std::string::npos) << ran.out;
}

// Every thread writes the same word.
constexpr const char* kRace = R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry race(.param .u64 y)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  mov.u32 %r1, %tid.x;
  ld.param.u64 %rd1, [y];
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

TEST_F(VmRun, ReportsARaceOnlyWhenAskedTo) {
  const std::string launch_text =
      R"({"grid": [1], "block": [64], "params": [{"buffer": {"dtype": "u32", "shape": [1], "access": "w"}}]})";
  EXPECT_EQ(run(kRace, launch_text).status, 0);
  const Ran ran = run(kRace, launch_text, {"--check", "memory,races"});
  EXPECT_EQ(ran.status, 1) << ran.err;
  EXPECT_NE(ran.out.find("race"), std::string::npos);
  EXPECT_NE(ran.out.find("PTX line 10"), std::string::npos) << ran.out;
}

// Lane 0 copies x to shared memory and does not wait; another warp writes there.
constexpr const char* kCopyRace = R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry race(.param .u64 x)
{
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .b64 %rd<2>;
  .shared .align 4 .b8 tile[4];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, tile;
  ld.param.u64 %rd1, [x];
  setp.eq.u32 %p1, %r1, 0;
  @%p1 cp.async.ca.shared.global [%r2], [%rd1], 4;
  setp.eq.u32 %p1, %r1, 32;
  @%p1 st.shared.u32 [%r2], %r1;
  ret;
}
)";

TEST_F(VmRun, AsyncChecksTheRacesOfAsynchronousCopiesOnly) {
  const auto launch_text = [](const char* access) {
    return R"({"grid": [1], "block": [64], "params": [{"buffer": {"dtype": "u32", "shape": [1], "access": ")" +
           std::string(access) + R"(", "fill": {"values": [1]}}}]})";
  };
  EXPECT_EQ(run(kRace, launch_text("rw"), {"--check", "memory,async"}).status, 0);
  EXPECT_EQ(run(kCopyRace, launch_text("r"), {"--check", "memory"}).status, 0);
  for (const char* check : {"async", "races", "memory,races,async"}) {
    const Ran ran = run(kCopyRace, launch_text("r"), {"--check", check});
    EXPECT_EQ(ran.status, 1) << check << ran.err;
    EXPECT_NE(ran.out.find("cp.async.ca"), std::string::npos) << ran.out;
    EXPECT_EQ(ran.out.find("write-write race"), ran.out.rfind("write-write race")) << ran.out;  // told once
  }
}

TEST_F(VmRun, CannotCheckAnUnknownInstruction) {
  std::string ptx = kAdd;
  ptx.replace(ptx.find("add.f32"), 7, "frobnicate.f32");
  const Ran ran = run(ptx, launch(4, kValues, ""));
  EXPECT_EQ(ran.status, 2);
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  EXPECT_NE(ran.err.find("cannot check: PTX line 21"), std::string::npos) << ran.err;
}

std::string with(const std::string& from, const std::string& to) {
  std::string ptx = kAdd;
  return ptx.replace(ptx.find(from), from.size(), to);
}

TEST_F(VmRun, PayloadArithmeticTellsFormulasApartAndNotTheirOrder) {
  const auto digest = [&](const std::string& ptx) {
    const std::string path = folder_.file("report.json");
    const Ran ran = run(ptx, launch(4, kValues, ""), {"--arithmetic", "payload", "--json", path});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("payload of param 1: "), std::string::npos) << ran.out;
    return json::parse(read_all(path))["payload"]["param 1"].get<std::string>();
  };
  const std::string sum = digest(kAdd);
  EXPECT_EQ(digest(with("add.f32 %f3, %f2, %f1", "add.f32 %f3, %f1, %f2")), sum);
  EXPECT_EQ(digest(with("add.f32 %f3, %f2, %f1", "fma.rn.f32 %f3, %f1, 0f3F800000, %f2")), sum);
  EXPECT_NE(digest(with("add.f32", "sub.f32")), sum);
  EXPECT_NE(digest(with("add.f32 %f3, %f2, %f1", "add.f32 %f3, %f2, %f2")), sum);
}

TEST_F(VmRun, PayloadArithmeticComparesRealValuesAndCannotCheckEverything) {
  const Ran met = run(kAdd,
                      launch(4, R"({"values": [1, 2, 3, 4]})",
                             R"({"param": 1, "values": [1.5, 2.5, 3.5, 4.5], "tolerance": 0})"),
                      {"--arithmetic", "payload"});
  EXPECT_EQ(met.status, 0) << met.out << met.err;
  const Ran unmet = run(kAdd,
                        launch(4, R"({"values": [1, 2, 3, 4]})",
                               R"({"param": 1, "values": [1.5, 2.5, 3.5, 4], "tolerance": 0})"),
                        {"--arithmetic", "payload"});
  EXPECT_EQ(unmet.status, 1);
  const Ran refused =
      run(with("add.f32", "add.sat.f32"), launch(4, kValues, ""), {"--arithmetic", "payload"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_TRUE(is_one_line(refused.err)) << refused.err;
  EXPECT_NE(refused.err.find("cannot check: PTX line 21: `add.sat.f32` has no meaning"), std::string::npos)
      << refused.err;
  EXPECT_EQ(run(kAdd, launch(4, kValues, ""), {"--arithmetic", "payload", "--threads", "2"}).status, 2);
}

TEST_F(VmRun, PerturbedArithmeticMovesApproximationsByItsSeed) {
  const std::string ptx = with("add.f32 %f3, %f2, %f1", "ex2.approx.f32 %f3, %f2");
  const auto status = [&](const std::string& tolerance, std::vector<std::string> more) {
    return run(ptx,
               launch(4, R"({"values": [1, 2, 3, 4]})",
                      R"({"param": 1, "values": [2, 4, 8, 16], "tolerance": )" + tolerance + "}"),
               std::move(more))
        .status;
  };
  EXPECT_EQ(status("0", {}), 0);
  EXPECT_EQ(status("0", {"--arithmetic", "wide"}), 0);
  EXPECT_EQ(status("0", {"--arithmetic", "perturb", "--seed", "2"}), 1);
  EXPECT_EQ(status("1e-5", {"--arithmetic", "perturb", "--seed", "2"}), 0);
}

TEST_F(VmRun, CountsInstructionsAndBytes) {
  const std::string path = folder_.file("report.json");
  const Ran ran = run(kAdd, launch(4, kValues, ""), {"--counters", "--json", path});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json counters = json::parse(read_all(path))["counters"];
  EXPECT_EQ(counters["global_load_bytes"], 16);
  EXPECT_EQ(counters["global_store_bytes"], 16);
}

// Loads 8 floats from coordinate (2, 0) of the map's tensor into shared memory and adds each to y.
constexpr const char* kBox = R"(.version 8.6
.target sm_90a
.address_size 64
.visible .entry box(.param .u64 x, .param .u64 y, .param .align 64 .b8 map[128])
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .f32 %f<2>;
  .reg .b64 %rd<4>;
  .shared .align 128 .b8 tile[128];
  .shared .align 8 .b8 bar[8];
  mov.u32 %r1, tile;
  mov.u32 %r2, bar;
  mov.b64 %rd1, map;
  cvta.param.u64 %rd1, %rd1;
  mbarrier.init.shared::cta.b64 [%r2], 1;
  fence.proxy.async.shared::cta;
  mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], 32;
  mov.u32 %r3, 2;
  mov.u32 %r4, 0;
  cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1], [%rd1, {%r3, %r4}], [%r2];
wait:
  mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r2], 0;
  @!%p1 bra wait;
  ld.param.u64 %rd2, [y];
  mov.u32 %r5, 0;
copy:
  ld.shared.f32 %f1, [%r1];
  st.global.f32 [%rd2], %f1;
  add.u32 %r1, %r1, 4;
  add.u64 %rd2, %rd2, 4;
  add.u32 %r5, %r5, 1;
  setp.lt.u32 %p1, %r5, 8;
  @%p1 bra copy;
  ret;
}
)";

std::string box_launch(const std::string& map) {
  return R"({"grid": [1], "block": [1], "params": [
    {"buffer": {"dtype": "f32", "shape": [8], "fill": {"values": [1, 2, 3, 4, 5, 6, 7, 8]}, "access": "r"}},
    {"buffer": {"dtype": "f32", "shape": [8], "fill": "zeros"}},
    {"tensor_map": )" +
         map + R"(}], "expect": [{"param": 1, "values": [3, 4, "nan", "nan", 7, 8, "nan", "nan"]}]})";
}

TEST_F(VmRun, GivesAKernelATensorMap) {
  // Rows of 4 floats: columns 2 and 3 are inside, the next two are filled with NaN.
  const std::string map = R"({"param": 0, "dtype": "f32", "dims": [4, 2], "strides": [16], "box": [4, 2],
    "element_strides": [1, 1], "swizzle": "none", "fill": "nan"})";
  for (const std::string schedule : {"lockstep", "serial", "shuffled"}) {
    const Ran ran = run(kBox, box_launch(map), {"--schedule", schedule});
    EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  }
  // Zeros are not what was expected; a tensor larger than its buffer is a trap.
  EXPECT_EQ(
      run(kBox, box_launch(R"({"param": 0, "dtype": "f32", "dims": [4, 2], "strides": [16], "box": [4, 2]})"))
          .status,
      1);
  const Ran outside = run(
      kBox, box_launch(R"({"param": 0, "dtype": "f32", "dims": [8, 2], "strides": [32], "box": [4, 2]})"));
  EXPECT_EQ(outside.status, 1);
  EXPECT_NE(outside.out.find("param 0"), std::string::npos) << outside.out;
}

TEST_F(VmRun, RefusesABadTensorMap) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"param": 0, "dtype": "f32", "dims": [4], "strides": []})", "'box' is missing"},
      {R"({"param": 0, "dtype": "f31", "dims": [4], "strides": [], "box": [4]})",
       "params[2].tensor_map.dtype"},
      {R"({"param": 0, "dtype": "f32", "dims": [4], "strides": [], "box": [3]})", "12 bytes"},
      {R"({"param": 0, "dtype": "f32", "dims": [4, 2], "strides": [8], "box": [4, 2]})", "strides[0] is 8"},
      {R"({"param": 0, "dtype": "f32", "dims": [-4], "strides": [], "box": [4]})",
       "params[2].tensor_map.dims[0]"},
      {R"({"param": 0, "dtype": "f32", "dims": 4, "strides": [], "box": [4]})", "params[2].tensor_map.dims"},
      {R"({"param": 2, "dtype": "f32", "dims": [4], "strides": [], "box": [4]})",
       "params[2].tensor_map.param"},
      {R"({"param": 9, "dtype": "f32", "dims": [4], "strides": [], "box": [4]})",
       "params[2].tensor_map.param"},
      {R"({"param": 0, "dtype": "f32", "dims": [4], "strides": [], "box": [4], "swizzle": "16B"})",
       "params[2].tensor_map.swizzle"},
      {R"({"param": 0, "dtype": "u32", "dims": [4], "strides": [], "box": [4], "fill": "nan"})", "not u32"},
      {R"({"param": 0, "dtype": "u32", "dims": [4], "strides": [], "box": [4], "filling": 0})",
       "unknown key"},
  };
  for (const auto& [map, expected] : cases) {
    const Ran ran = run(kBox, box_launch(map));
    EXPECT_EQ(ran.status, 2) << map;
    EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
    EXPECT_NE(ran.err.find(expected), std::string::npos) << map << ": " << ran.err;
  }
}

TEST_F(VmRun, RefusesABadLaunchFileInOneLineThatNamesThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "parse error"},
      {R"({"grid": [1], "block": [32], "grids": 1})", "unknown key 'grids'"},
      {R"({"block": [32]})", "'grid' is missing"},
      {R"({"grid": [0], "block": [32]})", "grid"},
      {R"({"grid": [1], "block": [32], "params": [{"scalar": "u8", "value": 300}]})", "params[0]"},
      {R"({"grid": [1], "block": [32], "params": [{"buffer": {"dtype": "f31", "shape": [1]}}]})",
       "params[0].buffer.dtype"},
      {R"({"grid": [1], "block": [32], "params": [{"buffer": {"dtype": "f32", "shape": [-1]}}]})",
       "params[0].buffer.shape"},
      {R"({"grid": [1], "block": [32], "params": [{"buffer": {"dtype": "f32", "shape": [2], "fill": {"values": [1]}}}]})",
       "params[0].buffer.fill.values"},
      {R"({"grid": [1], "block": [32], "params": [{"scalar": "u32", "value": 3}], "expect": [{"param": 0, "values": [3]}]})",
       "expect[0].param"},
      {R"({"grid": [1], "block": [32], "params": []})", "4 parameters"},
      {R"({"entry": "mul", "grid": [1], "block": [32], "params": []})", "mul"},
  };
  for (const auto& [text, expected] : cases) {
    const Ran ran = run(kAdd, text);
    EXPECT_EQ(ran.status, 2) << text;
    EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
    EXPECT_NE(ran.err.find(expected), std::string::npos) << text << ": " << ran.err;
  }
}

}  // namespace
}  // namespace attest
