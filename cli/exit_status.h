// How the program ends: the part of its command line that scripts rely on most.
#pragma once

namespace attest::cli {

enum class ExitStatus {
  holds = 0,        // all that was asked holds
  violated = 1,     // something was violated, or a law had only mistrusted comparisons
  bad_input = 2,    // bad arguments or bad input: one line on stderr
  unavailable = 3,  // something asked for is not on this machine (a GPU, NVRTC, room on a disk)
};

}  // namespace attest::cli
