// One line, rewritten in place.
#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace attest::cli {

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string progress_text(std::int64_t done, std::int64_t total, std::string_view unit,
                          double elapsed_seconds, std::string_view what) {
  const auto digits = std::to_string(total).size();
  std::string text = fmt::format("[{:>{}}/{} {}]", done, digits, total, unit);
  if (done > 0 && elapsed_seconds >= 0.1) {  // before that a rate means nothing
    const double rate = static_cast<double>(done) / elapsed_seconds;
    text += fmt::format("  {:.{}f} {}/s", rate, rate < 10 ? 1 : 0, unit);
    if (done < total) text += fmt::format("  {} left", clock_text(static_cast<double>(total - done) / rate));
  }
  return text + "  " + std::string(what);
}

Progress::Progress(const Console& console, std::int64_t total, std::string unit)
    : console_(console), total_(total), unit_(std::move(unit)) {}

Progress::~Progress() {
  if (dirty_) console_.notes << "\r\x1b[K" << std::flush;
}

void Progress::update(std::int64_t done, std::string_view what) {
  const Clock::time_point now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const bool last = done == total_ && !finished_;
  if (!last && now - shown_ < (console_.progress ? std::chrono::milliseconds(100) : std::chrono::seconds(5)))
    return;
  shown_ = now;
  finished_ = finished_ || last;
  std::string text = progress_text(done, total_, unit_, elapsed, what);
  if (!console_.progress) {
    console_.notes << text << '\n' << std::flush;
    return;
  }
  dirty_ = true;
  if (text.size() >= static_cast<std::size_t>(console_.width)) {
    text.resize(static_cast<std::size_t>(console_.width) - 1);  // a wrapped line could not be rewritten
  }
  console_.notes << '\r' << text << "\x1b[K" << std::flush;
}

}  // namespace attest::cli
