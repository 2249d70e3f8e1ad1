// Tries every law on every variant with cases drawn from a seed, and reports each pair in one row.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "properties/kernel_under_test.h"
#include "properties/minimise.h"
#include "reference/problem.h"

namespace attest {

struct VerifyOptions {
  std::vector<std::string> variants = {};  // names as in variant_names(); empty: all of them
  std::vector<std::string> laws = {};      // names as in laws(); empty: all of them
  int cases = 16;                          // for every pair; the first are the smallest
  std::uint64_t seed = 1;                  // the same seed gives the same cases, whatever the number of jobs
  int jobs = 0;                            // threads; 0: as many as the machine runs at once
  KernelFactory kernel = {};   // makes one kernel a thread; empty: the reference is the only subject
  std::string repro = {};      // not empty: only the case of this line
  ShrinkLimits shrink = {};    // for each failing pair
  double shrink_seconds = 45;  // for all failing pairs together
};

enum class RowStatus { passed, failed, skipped, mistrusted };
std::string_view name(RowStatus status);

struct VerifyRow {
  std::string law = {};
  std::string variant = {};
  std::string head_config = {};  // of the case shown, else of the worst case
  RowStatus status = RowStatus::passed;
  int cases = 0;             // checked
  int mistrusted_cases = 0;  // of these, agreed without proving much or without a bound
  int skipped_cases = 0;     // drawn, but the law says nothing of them
  double worst_error_over_bound = 0;
  std::string repro = {};  // of a failed or mistrusted row: the line that repeats the case
  std::string text = {};   // of a failed, mistrusted or skipped row: what was seen
  double seconds = 0;
};

struct VerifyReport {
  std::string device;           // "vm", "cuda", "reference"
  std::vector<VerifyRow> rows;  // variants in the table's order; for each, laws in theirs
  int count(RowStatus status) const;
  Index cases() const;
};

// Called after every case, one call at a time, from any thread.
struct VerifyProgress {
  int rows_done = 0, rows_total = 0;
  Index cases_done = 0, cases_total = 0;
  const VerifyRow* row = nullptr;  // the row just finished; null between
};
using ProgressCallback = std::function<void(const VerifyProgress&)>;

// A row passes when no case fails and at least one is trusted. Throws std::invalid_argument for unknown names
// (listing the known ones), for a line that does not parse, and when no law says anything of the chosen
// variants; passes on what the kernel factory and the compiler throw.
VerifyReport verify(const VerifyOptions& options, const ProgressCallback& progress = {});

// "law=split-invariance device=vm variant=mlra-4 ... seed=7"
struct ReproLine {
  std::string law;
  std::string device;  // what it failed on; verify() runs it on the device that it is given
  Problem problem;
};
std::string repro_line(const ReproLine& repro);
// Inverse of repro_line; device may be missing. Throws std::invalid_argument.
ReproLine parse_repro_line(std::string_view line);

}  // namespace attest
