// Tells a waiting person how far the work is: counts, rate and time left in one line that a terminal
// rewrites; elsewhere a plain line now and then.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/console.h"

namespace attest::cli {

class Progress {
 public:
  // `unit` names what is counted ("cases"). Clock: steady; a test may pass its own start.
  Progress(const Console& console, std::int64_t total, std::string unit);
  ~Progress();  // leaves a clean line behind
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of the total, and what is being worked on. A terminal's line is rewritten at most ten times a
  // second; elsewhere a plain line is due every five seconds, and at the end.
  void update(std::int64_t done, std::string_view what);

 private:
  using Clock = std::chrono::steady_clock;
  const Console& console_;
  std::int64_t total_;
  std::string unit_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  bool finished_ = false;
  bool dirty_ = false;
};

// "0:07", "12:34", "1:02:03".
std::string clock_text(double seconds);
// "[ 120/3400 cases]  45 cases/s  1:12 left  mlra-4 absorption-equivalence"
std::string progress_text(std::int64_t done, std::int64_t total, std::string_view unit,
                          double elapsed_seconds, std::string_view what);

}  // namespace attest::cli
