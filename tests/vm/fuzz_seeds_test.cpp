// The seeds of the fuzzers do what they were written for: a seed that is refused, or that traps at once,
// leads nowhere.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "jit/vm/fuzz/small_launch.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {
namespace {

TEST(FuzzSeeds, RunToTheirEndsWithoutARaceInEverySchedule) {
  size_t seeds = 0;
  for (const auto& file : std::filesystem::directory_iterator(ATTEST_SOURCE_DIR "/jit/vm/fuzz/seeds")) {
    ++seeds;
    std::ostringstream text;
    text << std::ifstream(file.path()).rdbuf();
    SCOPED_TRACE(file.path().filename().string());
    for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled}) {
      RaceObserver races;
      Observer* const observers[] = {&races};
      EXPECT_NO_THROW(small_launch(Program::parse(text.str()), schedule, observers));
      for (const Race& race : races.races()) ADD_FAILURE() << race.text();
    }
  }
  EXPECT_GE(seeds, 14u);
}

}  // namespace
}  // namespace attest::vm
