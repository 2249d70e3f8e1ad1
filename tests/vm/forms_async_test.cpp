// Tests cp.async and mbarrier: results, what must not be touched before its wait, and misuse that traps.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {
namespace {

struct Shape {
  uint32_t threads = 32;
  Schedule schedule = Schedule::lockstep;
  uint64_t seed = 0;
  uint64_t budget = 1u << 20;
};
struct Outcome {
  std::vector<uint32_t> words;  // 64 of the output buffer
  std::vector<Race> races;
};

// Runs `body` with %t = tid, %in = input buffer whose word i is 1000 + i, %out = output buffer, %o = this
// thread's output word, %s = shared memory `tile` of 2048 bytes, %m = this thread's 16 bytes of it, %bar = 64
// bytes for barriers.
Outcome run(const std::string& body, const Shape& shape = {}) {
  const std::string text =
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p_in, .param .u64 p_out) "
      "{\n"
      ".reg .b32 %r<20>, %t, %s, %m, %bar; .reg .b64 %in, %out, %o, %i, %rd<8>; .reg .pred %p<8>;\n"
      ".shared .align 16 .b8 tile[2048];\n.shared .align 8 .b8 barriers[64];\n"
      "ld.param.u64 %in, [p_in];\nld.param.u64 %out, [p_out];\nmov.u32 %t, %tid.x;\nmov.u32 %s, tile;\n"
      "mov.u32 %bar, barriers;\nmad.lo.u32 %m, %t, 16, %s;\nmul.wide.u32 %o, %t, 4;\nadd.u64 %o, %o, %out;\n"
      "mul.wide.u32 %i, %t, 16;\nadd.u64 %i, %i, %in;\n" +
      body + "\nret;\n}\n";
  const Program program = Program::parse(text);
  Machine machine;
  std::vector<uint32_t> input(256);
  for (uint32_t i = 0; i < input.size(); ++i) input[i] = 1000 + i;
  const uint64_t in = machine.memory().allocate(1024, "in"), out = machine.memory().allocate(256, "out");
  machine.memory().write(in, std::as_bytes(std::span(input)));
  machine.memory().write(out, std::vector<std::byte>(256));
  std::array<uint64_t, 2> parameters{in, out};
  LaunchOptions options;
  options.block.x = shape.threads;
  options.schedule = shape.schedule;
  options.seed = shape.seed;
  options.instruction_budget = shape.budget;
  RaceObserver observer;
  Observer* const observers[] = {&observer};
  machine.launch(program, "k", options, std::as_bytes(std::span(parameters)), observers);
  Outcome outcome{std::vector<uint32_t>(64), observer.races()};
  machine.memory().read(out, std::as_writable_bytes(std::span(outcome.words)));
  return outcome;
}

// The rule of the trap, or no value.
std::optional<Rule> trap_of(const std::string& body, const Shape& shape = {}) {
  try {
    run(body, shape);
  } catch (const Trap& trap) {
    return trap.rule;
  }
  return std::nullopt;
}

const std::vector<Shape> kSchedules = {{.schedule = Schedule::lockstep},
                                       {.schedule = Schedule::serial},
                                       {.schedule = Schedule::shuffled, .seed = 1},
                                       {.schedule = Schedule::shuffled, .seed = 2},
                                       {.schedule = Schedule::shuffled, .seed = 3}};
Shape with_threads(Shape shape, uint32_t threads) {
  shape.threads = threads;
  return shape;
}

const std::string kWait = "cp.async.commit_group; cp.async.wait_group 0; ";

TEST(CpAsync, BringsTheBytesAndZeroFillsTheRest) {
  for (const Shape& shape : kSchedules) {
    const Outcome whole = run("cp.async.cg.shared.global [%m], [%i], 16; " + kWait +
                                  "ld.shared.b32 %r1, [%m+12]; st.global.b32 [%o], %r1;",
                              shape);
    for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(whole.words[t], 1000 + 4 * t + 3);
    // Lanes copy 0, 4, 8 or 12 of 16 bytes; the last two words are zero or data accordingly.
    const Outcome part = run(
        "and.b32 %r2, %t, 3; shl.b32 %r2, %r2, 2; cp.async.ca.shared.global [%m], [%i], 16, %r2; " + kWait +
            "ld.shared.b32 %r3, [%m+4]; ld.shared.b32 %r4, [%m+8]; shl.b32 %r4, %r4, 16; add.u32 %r3, %r3, "
            "%r4; st.global.b32 "
            "[%o], %r3;",
        shape);
    for (uint32_t t = 0; t < 32; ++t) {
      const uint32_t second = t % 4 >= 2 ? 1000 + 4 * t + 1 : 0, third = t % 4 >= 3 ? 1000 + 4 * t + 2 : 0;
      EXPECT_EQ(part.words[t], second + (third << 16)) << t;
    }
  }
}

TEST(CpAsync, MayNotBeReadBeforeItsWait) {
  for (const Shape& shape : kSchedules) {
    EXPECT_EQ(trap_of("cp.async.ca.shared.global [%m], [%i], 4; ld.shared.b32 %r1, [%m];", shape),
              Rule::uninitialised);
    EXPECT_EQ(
        trap_of("cp.async.ca.shared.global [%m], [%i], 4; cp.async.commit_group; ld.shared.b32 %r1, [%m];",
                shape),
        Rule::uninitialised);
    // A wait before the commit covers nothing; wait_all does.
    EXPECT_EQ(
        trap_of("cp.async.ca.shared.global [%m], [%i], 4; cp.async.wait_group 0; ld.shared.b32 %r1, [%m];",
                shape),
        Rule::uninitialised);
    EXPECT_EQ(trap_of("cp.async.ca.shared.global [%m], [%i], 4; cp.async.wait_all; ld.shared.b32 %r1, [%m];",
                      shape),
              std::nullopt);
  }
}

TEST(CpAsync, OldContentIsGoneFromTheStartOfTheCopy) {
  for (const Shape& shape : kSchedules) {
    EXPECT_EQ(
        trap_of("st.shared.b32 [%m], %t; cp.async.ca.shared.global [%m], [%i], 4; ld.shared.b32 %r1, [%m];",
                shape),
        Rule::uninitialised);
  }
}

TEST(CpAsync, WaitGroupKeepsTheYoungestGroupsInFlight) {
  const std::string two =
      "cp.async.ca.shared.global [%m], [%i], 4; cp.async.commit_group; cp.async.ca.shared.global [%m+4], "
      "[%i+4], 4; "
      "cp.async.commit_group; cp.async.wait_group 1; ";
  for (const Shape& shape : kSchedules) {
    EXPECT_EQ(run(two + "ld.shared.b32 %r1, [%m]; st.global.b32 [%o], %r1;", shape).words[5], 1020u);
    EXPECT_EQ(trap_of(two + "ld.shared.b32 %r1, [%m+4];", shape), Rule::uninitialised);
  }
}

TEST(CpAsync, ReadsItsSourceEarlyOrLateByTheSchedule) {
  const std::string body =
      "st.global.b32 [%o], 7; cp.async.ca.shared.global [%m], [%o], 4; st.global.b32 [%o], 8; " + kWait +
      "ld.shared.b32 %r1, [%m]; st.global.b32 [%o], %r1;";
  EXPECT_EQ(run(body, {.schedule = Schedule::lockstep}).words[0], 8u);
  EXPECT_EQ(run(body, {.schedule = Schedule::serial}).words[0], 7u);
}

TEST(CpAsync, ChecksBothEnds) {
  EXPECT_EQ(trap_of("cp.async.ca.shared.global [%m+2], [%i], 4;"), Rule::misaligned);
  EXPECT_EQ(trap_of("cp.async.ca.shared.global [%m], [%i+4], 8;"), Rule::misaligned);
  EXPECT_EQ(trap_of("cp.async.cg.shared.global [%m], [%in+1024], 16;"), Rule::out_of_bounds);
  EXPECT_EQ(trap_of("cp.async.cg.shared.global [%m+4096], [%i], 16;"), Rule::out_of_bounds);
  EXPECT_EQ(trap_of("cp.async.cg.shared.global [%m], [%in+1024], 16, 0; cp.async.wait_all;"),
            std::nullopt);  // reads nothing
  EXPECT_EQ(trap_of("mov.u32 %r1, 17; cp.async.cg.shared.global [%m], [%i], 16, %r1;"), Rule::other);
  EXPECT_THROW(run("cp.async.cg.shared.global [%m], [%i], 8;"), ParseError);
  EXPECT_THROW(run("setp.eq.u32 %p1, %t, 0; cp.async.cg.shared.global [%m], [%i], 16, %p1;"), ParseError);
}

TEST(CpAsync, OtherLanesNeedABarrierBehindTheWait) {
  const std::string copy = "cp.async.ca.shared.global [%m], [%i], 4; " + kWait;
  const std::string read =
      "xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 16, %s; ld.shared.b32 %r3, [%r2]; st.global.b32 [%o], %r3;";
  for (const Shape& shape : kSchedules) {
    const Outcome sound = run(copy + "bar.sync 0; " + read, with_threads(shape, 64));
    EXPECT_TRUE(sound.races.empty()) << sound.races[0].text();
    EXPECT_EQ(sound.words[1], 1000u + 4 * 33);
  }
  // In this order warp 0 reads what warp 1 has not copied, or has without a barrier.
  EXPECT_TRUE(trap_of(copy + read, {.threads = 64}).has_value() ||
              !run(copy + read, {.threads = 64}).races.empty());
}

TEST(CpAsync, TheNextStageMustNotStartWhileOthersRead) {
  const std::string stage = "cp.async.ca.shared.global [%m], [%i], 4; " + kWait +
                            "bar.sync 0; xor.b32 %r1, %t, 32; "
                            "mad.lo.u32 %r2, %r1, 16, %s; ld.shared.b32 %r3, [%r2]; ";
  EXPECT_TRUE(run(stage + "bar.sync 0; " + stage, {.threads = 64}).races.empty());
  bool found = trap_of(stage + stage, {.threads = 64}).has_value();
  found = found || !run(stage + stage, {.threads = 64}).races.empty();
  EXPECT_TRUE(found);
}

// --- mbarrier ---

const std::string kInit64 =
    "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared.b64 [%bar], 64; $made: bar.sync 0; ";
const std::string kSpin = "$spin: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 0; @!%p2 bra $spin; ";

TEST(Mbarrier, OrdersWhatCameBeforeTheArrivals) {
  const std::string exchange =
      "st.shared.b32 [%m], %t; mbarrier.arrive.shared.b64 _, [%bar]; " + kSpin +
      "xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 16, %s; ld.shared.b32 %r3, [%r2]; st.global.b32 [%o], %r3;";
  const std::string late = "mbarrier.arrive.shared.b64 _, [%bar]; st.shared.b32 [%m], %t; " + kSpin +
                           "xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 16, %s; st.shared.b32 [%r2], %t;";
  for (const Shape& shape : kSchedules) {
    const Outcome sound = run(kInit64 + exchange, with_threads(shape, 64));
    for (const Race& race : sound.races) ADD_FAILURE() << race.text();
    for (uint32_t t = 0; t < 64; ++t) EXPECT_EQ(sound.words[t], t ^ 32);
    EXPECT_FALSE(run(kInit64 + late, with_threads(shape, 64)).races.empty());
  }
}

TEST(Mbarrier, AMissingWaitIsARace) {
  const std::string body =
      "st.shared.b32 [%m], %t; mbarrier.arrive.shared.b64 _, [%bar]; xor.b32 %r1, %t, 32; "
      "mad.lo.u32 %r2, %r1, 16, %s; st.shared.b32 [%r2], %t;";
  EXPECT_FALSE(run(kInit64 + body, {.threads = 64}).races.empty());
}

TEST(Mbarrier, ItsMakingMustBeOrderedBeforeItsUse) {
  const std::string unordered =
      "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared.b64 [%bar], 64; $made: ";
  const std::string use = "mbarrier.arrive.shared.b64 _, [%bar]; ";
  EXPECT_TRUE(run(kInit64 + use, {.threads = 64}).races.empty());
  const Shape shape{.threads = 64};
  EXPECT_TRUE(trap_of(unordered + use, shape).has_value() || !run(unordered + use, shape).races.empty());
}

TEST(Mbarrier, PhasesAlternate) {
  // One thread: count 1. parity 1 counts as over before anything happened, parity 0 after the first phase.
  const auto flag = [](const std::string& steps, int parity) {
    return run("mbarrier.init.shared.b64 [%bar], 1; " + steps +
                   "mbarrier.test_wait.parity.shared.b64 %p1, [%bar], " + std::to_string(parity) +
                   "; selp.u32 %r1, 1, 0, %p1; st.global.b32 [%o], %r1;",
               {.threads = 1})
        .words[0];
  };
  const std::string arrive = "mbarrier.arrive.shared.b64 _, [%bar]; ";
  EXPECT_EQ(flag("", 0), 0u);
  EXPECT_EQ(flag("", 1), 1u);
  EXPECT_EQ(flag(arrive, 0), 1u);
  EXPECT_EQ(flag(arrive, 1), 0u);
  EXPECT_EQ(flag(arrive + arrive, 0), 0u);
}

TEST(Mbarrier, BytesHoldThePhaseOpen) {
  const auto flag = [](const std::string& steps) {
    return run("mbarrier.init.shared.b64 [%bar], 1; " + steps +
                   "mbarrier.test_wait.parity.shared.b64 %p1, [%bar], 0; selp.u32 %r1, 1, 0, %p1; "
                   "st.global.b32 [%o], %r1;",
               {.threads = 1})
        .words[0];
  };
  EXPECT_EQ(flag("mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 48; "), 0u);
  EXPECT_EQ(flag("mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 48; "
                 "mbarrier.complete_tx.relaxed.cta.shared.b64 [%bar], 32; "),
            0u);
  EXPECT_EQ(flag("mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 48; "
                 "mbarrier.complete_tx.relaxed.cta.shared.b64 [%bar], 48; "),
            1u);
  EXPECT_EQ(
      flag("mbarrier.expect_tx.relaxed.cta.shared.b64 [%bar], 8; mbarrier.arrive.shared.b64 _, [%bar]; "),
      0u);
  EXPECT_EQ(flag("mbarrier.complete_tx.relaxed.cta.shared.b64 [%bar], 8; "
                 "mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 8; "),
            1u);
}

TEST(Mbarrier, StatesNameTheirPhase) {
  const std::string body =
      "mbarrier.init.shared.b64 [%bar], 3; mbarrier.arrive.shared.b64 %rd1, [%bar]; "
      "mbarrier.test_wait.shared.b64 %p1, [%bar], %rd1; selp.u32 %r1, 1, 0, %p1; "
      "mbarrier.arrive.shared.b64 %rd2, [%bar], 2; mbarrier.test_wait.shared.b64 %p1, [%bar], %rd1; "
      "selp.u32 %r2, 2, 0, %p1; mbarrier.pending_count.b64 %r3, %rd2; shl.b32 %r3, %r3, 4; "
      "add.u32 %r1, %r1, %r2; add.u32 %r1, %r1, %r3; st.global.b32 [%o], %r1;";
  EXPECT_EQ(run(body, {.threads = 1}).words[0],
            2u + (2u << 4));  // not over, over; two pending before the second arrival
}

TEST(Mbarrier, MisuseTraps) {
  const Shape one{.threads = 1};
  EXPECT_EQ(trap_of("mbarrier.arrive.shared.b64 _, [%bar];", one), Rule::uninitialised);
  EXPECT_EQ(trap_of("st.shared.b64 [%bar], 1; mbarrier.arrive.shared.b64 _, [%bar];", one),
            Rule::asynchronous);
  EXPECT_EQ(trap_of("mbarrier.init.shared.b64 [%bar], 2; mbarrier.arrive.shared.b64 _, [%bar], 3;", one),
            Rule::asynchronous);
  EXPECT_EQ(trap_of("mbarrier.init.shared.b64 [%bar], 0;", one), Rule::asynchronous);
  EXPECT_EQ(trap_of("mbarrier.init.shared.b64 [%bar], 1; mbarrier.inval.shared.b64 [%bar]; "
                    "mbarrier.arrive.shared.b64 _, [%bar];",
                    one),
            Rule::uninitialised);
  EXPECT_EQ(trap_of("mbarrier.init.shared.b64 [%bar+4], 1;", one), Rule::misaligned);
  EXPECT_EQ(
      trap_of(
          "mbarrier.init.shared.b64 [%bar], 1; mbarrier.expect_tx.relaxed.cta.shared.b64 [%bar], 1048575; "
          "mbarrier.expect_tx.relaxed.cta.shared.b64 [%bar], 1;",
          one),
      Rule::asynchronous);
  EXPECT_EQ(
      trap_of("mbarrier.init.shared.b64 [%bar], 2; mbarrier.arrive.shared.b64 _, [%bar]; " + kSpin, one),
      Rule::deadlock);
}

TEST(Mbarrier, ASecondInitNeedsAnInval) {
  const Shape one{.threads = 1};
  const std::string init = "mbarrier.init.shared::cta.b64 [%bar], 1; ";
  EXPECT_EQ(trap_of(init + init, one), Rule::asynchronous);
  EXPECT_EQ(trap_of(init + "mbarrier.inval.shared::cta.b64 [%bar]; " + init, one), std::nullopt);
  // What was overwritten is no barrier any more, whatever bits stand there.
  EXPECT_EQ(trap_of(init + "st.shared.b64 [%bar], -1; " + init, one), std::nullopt);
  EXPECT_EQ(trap_of(init + "st.shared.b64 [%bar], -1; mbarrier.arrive.shared::cta.b64 _, [%bar];", one),
            Rule::asynchronous);
}

TEST(Mbarrier, BytesThatNobodyCanExpectTrap) {
  EXPECT_EQ(trap_of("mbarrier.init.shared::cta.b64 [%bar], 1; mbarrier.arrive.expect_tx.shared::cta.b64 _, "
                    "[%bar], 16; mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%bar], 32;",
                    {.threads = 1}),
            Rule::asynchronous);
}

// What a test of parity 0 says after the steps, on a barrier for 2 arrivals.
uint32_t first_phase_over(const std::string& steps) {
  return run("mbarrier.init.shared::cta.b64 [%bar], 2; " + steps +
                 "mbarrier.test_wait.parity.acquire.cluster.shared::cta.b64 %p1, [%bar], 0; "
                 "selp.u32 %r1, 1, 0, %p1; st.global.b32 [%o], %r1;",
             {.threads = 1})
      .words[0];
}

TEST(Mbarrier, DroppedArrivalsAreNotExpectedAgain) {
  EXPECT_EQ(first_phase_over("mbarrier.arrive_drop.shared::cta.b64 _, [%bar]; "), 0u);
  EXPECT_EQ(
      first_phase_over("mbarrier.arrive_drop.shared::cta.b64 _, [%bar]; mbarrier.arrive.shared::cta.b64 "
                       "_, [%bar]; "),
      1u);
  // The second phase awaits one arrival: with it parity 0 is the current phase again.
  EXPECT_EQ(
      first_phase_over("mbarrier.arrive_drop.shared::cta.b64 _, [%bar]; mbarrier.arrive.shared::cta.b64 "
                       "_, [%bar]; mbarrier.arrive.shared::cta.b64 _, [%bar]; "),
      0u);
}

TEST(Mbarrier, ANoCompleteArrivalMustNotEndThePhase) {
  const std::string arrive = "mbarrier.arrive.noComplete.release.cta.shared::cta.b64 %rd1, [%bar], 1; ";
  EXPECT_EQ(first_phase_over(arrive), 0u);
  EXPECT_EQ(trap_of("mbarrier.init.shared::cta.b64 [%bar], 2; " + arrive + arrive, {.threads = 1}),
            Rule::asynchronous);
}

TEST(Mbarrier, ANoCompleteArrivalMayBeTheLastWhileBytesAreAwaited) {
  const std::string arrive = "mbarrier.arrive.noComplete.shared::cta.b64 %rd1, [%bar], 2; ",
                    bytes = "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%bar], 16; ";
  const std::string begin = "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%bar], 16; " + arrive;
  EXPECT_EQ(first_phase_over(begin), 0u);
  EXPECT_EQ(first_phase_over(begin + bytes), 1u);
  EXPECT_EQ(trap_of("mbarrier.init.shared::cta.b64 [%bar], 1; " + begin, {.threads = 1}), Rule::asynchronous);
}

TEST(Mbarrier, GenericAndClusterAddressesNameTheSameBarrier) {
  const std::string generic = "cvt.u64.u32 %rd1, %bar; cvta.shared.u64 %rd1, %rd1; ";
  EXPECT_EQ(first_phase_over(generic + "mbarrier.arrive.b64 _, [%rd1]; "
                                       "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%bar]; "),
            1u);
  EXPECT_EQ(first_phase_over(generic + "mbarrier.arrive.expect_tx.b64 %rd2, [%rd1], 8; "
                                       "mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%bar]; "),
            0u);
  EXPECT_EQ(trap_of("mbarrier.arrive.b64 _, [%out];", {.threads = 1}), Rule::wrong_space);
}

// --- cp.async.mbarrier.arrive ---

TEST(CpAsyncArrival, HandsACopyToAnotherWarp) {
  const std::string init =
      "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared.b64 [%bar], 32; $made: bar.sync 0; ";
  const std::string body =
      "setp.ge.u32 %p3, %t, 32; @%p3 bra $consume; cp.async.ca.shared.global [%m], [%i], 4; "
      "cp.async.mbarrier.arrive.noinc.shared.b64 [%bar]; bra $done; $consume: " +
      kSpin + "sub.u32 %r1, %m, 512; ld.shared.b32 %r2, [%r1]; st.global.b32 [%o], %r2; $done:";
  for (const Shape& shape : kSchedules) {
    const Outcome outcome = run(init + body, with_threads(shape, 64));
    for (const Race& race : outcome.races) ADD_FAILURE() << race.text();
    for (uint32_t t = 32; t < 64; ++t) EXPECT_EQ(outcome.words[t], 1000 + 4 * (t - 32));
  }
}

TEST(CpAsyncArrival, AnOrdinaryArrivalDoesNotWaitForTheCopy) {
  const std::string init =
      "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared.b64 [%bar], 32; $made: bar.sync 0; ";
  const std::string body =
      "setp.ge.u32 %p3, %t, 32; @%p3 bra $consume; cp.async.ca.shared.global [%m], [%i], 4; "
      "mbarrier.arrive.shared.b64 _, [%bar]; bra $done; $consume: " +
      kSpin + "sub.u32 %r1, %m, 512; ld.shared.b32 %r2, [%r1]; st.global.b32 [%o], %r2; $done:";
  for (const Shape& shape : kSchedules)
    EXPECT_EQ(trap_of(init + body, with_threads(shape, 64)), Rule::uninitialised);
}

TEST(CpAsyncArrival, WithoutNoincTheArrivalIsOneMore) {
  // Count 1: the copy's own arrival raises the pending count, so the phase still needs an ordinary arrival.
  const auto flag = [](const std::string& steps) {
    return run("mbarrier.init.shared.b64 [%bar], 1; cp.async.ca.shared.global [%m], [%i], 4; " + steps +
                   "mbarrier.test_wait.parity.shared.b64 %p1, [%bar], 0; selp.u32 %r1, 1, 0, %p1; "
                   "st.global.b32 [%o], %r1;",
               {.threads = 1})
        .words[0];
  };
  EXPECT_EQ(flag("cp.async.mbarrier.arrive.shared.b64 [%bar]; "), 0u);
  EXPECT_EQ(flag("cp.async.mbarrier.arrive.shared.b64 [%bar]; mbarrier.arrive.shared.b64 _, [%bar]; "), 1u);
  EXPECT_EQ(flag("cp.async.mbarrier.arrive.noinc.shared.b64 [%bar]; "), 1u);
}

}  // namespace
}  // namespace attest::vm
