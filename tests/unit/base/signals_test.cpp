#include "base/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "t2v/error.h"

namespace t2v {
namespace {

// In a process of its own: `before` at its start, then the handlers, then the signals. Ends with the exit
// code of what was asked for, 0 when nothing was.
[[noreturn]] void receive(void (*before)(), const std::vector<int>& signals) {
  before();
  install_signal_handlers();
  for (const int number : signals) raise(number);
  try {
    throw_if_signalled();
  } catch (const Error& error) {
    _exit(error.exit_code());
  }
  _exit(0);
}

void nothing() {}
void ignore_all() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_IGN);
}

using ::testing::ExitedWithCode;

TEST(Signals, TheFirstOneAsksTheRunToStop) {
  EXPECT_EXIT(receive(nothing, {}), ExitedWithCode(0), "");
  EXPECT_EXIT(receive(nothing, {SIGINT}), ExitedWithCode(130), "");
  EXPECT_EXIT(receive(nothing, {SIGTERM}), ExitedWithCode(143), "");
  EXPECT_EXIT(receive(nothing, {SIGHUP}), ExitedWithCode(129), "");
}

TEST(Signals, ASecondOneStopsAtOnceUnlessItIsTheTerminal) {
  EXPECT_EXIT(receive(nothing, {SIGINT, SIGTERM}), ExitedWithCode(143), "");
  EXPECT_EXIT(receive(nothing, {SIGHUP, SIGINT}), ExitedWithCode(130), "");
  EXPECT_EXIT(receive(nothing, {SIGTERM, SIGHUP}), ExitedWithCode(143), "");
  EXPECT_EXIT(receive(nothing, {SIGHUP, SIGHUP}), ExitedWithCode(129), "");
}

TEST(Signals, ThoseThatWereIgnoredAtTheStartStayIgnored) {
  EXPECT_EXIT(receive(ignore_all, {SIGINT, SIGTERM, SIGHUP}), ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        ignore_all();
        install_signal_handlers();
        let_signals_end_the_program();
        receive(nothing, {SIGINT, SIGTERM, SIGHUP});
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace t2v
