#include "base/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "t2v/error.h"

namespace t2v {

namespace {

struct StopSignal {
  int number;
  ErrorKind kind;
  const char* name;
};
constexpr StopSignal stop_signals[] = {{SIGINT, ErrorKind::interrupted, "SIGINT (Ctrl-C)"},
                                       {SIGTERM, ErrorKind::terminated, "SIGTERM"},
                                       {SIGHUP, ErrorKind::hung_up, "SIGHUP (the terminal is gone)"}};

std::atomic<int> received{0};

void handle(int signal) {
  int expected = 0;
  if (received.compare_exchange_strong(expected, signal)) return;
  // A terminal that closes may say so twice, by its shell and by the kernel: nobody has lost patience.
  if (signal == SIGHUP) return;
  remove_temporary_files_from_signal_handler();
  _exit(128 + signal);
}

void on_stop_signals(void (*handler)(int)) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  for (const auto& stop : stop_signals)
    if (sigaction(stop.number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction(stop.number, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  on_stop_signals(handle);
  signal(SIGPIPE, SIG_IGN);  // a closed stdout is reported as EPIPE by the write that meets it
  signal(SIGXFSZ, SIG_IGN);  // so is a file that reaches the limit of its size (ulimit -f)
  install_mapped_file_handler();
}

void let_signals_end_the_program() {
  on_stop_signals(SIG_DFL);
  throw_if_signalled();
}

void throw_if_signalled() {
  const int signal = received;
  for (const auto& stop : stop_signals)
    if (signal == stop.number)
      throw Error(stop.kind, std::string("stopped by ") + stop.name + "; unfinished files were removed");
}

}  // namespace t2v
