// Tests the calibration sweep on the virtual machine, whose approximate functions are correctly rounded.
#include "jit/conformance/calibration.h"

#include <gtest/gtest.h>

#include "jit/vm_executor.h"

namespace attest::conformance {
namespace {

TEST(Calibration, ACorrectlyRoundedFunctionIsWithinHalfAnUlp) {
  const auto compiler = Nvrtc::open();
  VmExecutor machine;
  const std::vector<CalibrationRow> rows = calibrate(machine, *compiler, "rcp.approx.f32", 0, 512, 8388593);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_GT(rows[0].inputs, 400u);
  EXPECT_LE(rows[0].worst_relative, 0x1p-24);
  EXPECT_GT(rows[0].worst_relative, 0x1p-26);  // most reciprocals are not exact
  EXPECT_EQ(rows[0].worst_ulps, 0u);
  EXPECT_EQ(rows[0].not_correctly_rounded, 0u);
  std::uint64_t inputs = 0;
  for (const CalibrationRow& row : rows) inputs += row.inputs;
  EXPECT_EQ(inputs, 512u);
}

TEST(Calibration, FlushedNumbersAreCounted) {
  const auto compiler = Nvrtc::open();
  VmExecutor machine;
  // 2^x of -127 and below is subnormal: .ftz gives zero.
  const std::vector<CalibrationRow> rows =
      calibrate(machine, *compiler, "ex2.approx.ftz.f32", 0xc2fe0000u, 256, 1);
  const CalibrationRow& subnormal = rows[static_cast<std::size_t>(InputKind::subnormal_result)];
  EXPECT_EQ(subnormal.inputs, 256u);
  EXPECT_EQ(subnormal.flushed, 256u);
  EXPECT_EQ(subnormal.not_correctly_rounded, 256u);
}

TEST(Calibration, RefusesAnUnknownFunction) {
  const auto compiler = Nvrtc::open();
  VmExecutor machine;
  EXPECT_THROW(calibrate(machine, *compiler, "ex3.approx.f32", 0, 1, 1), std::invalid_argument);
}

}  // namespace
}  // namespace attest::conformance
