#include "base/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "t2v/error.h"

namespace t2v {

namespace {

std::atomic<int> received{0};

void handle(int signal) {
  int expected = 0;
  if (received.compare_exchange_strong(expected, signal)) return;
  remove_temporary_files_from_signal_handler();
  _exit(128 + signal);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed stdout is reported as EPIPE by the write that meets it
  signal(SIGXFSZ, SIG_IGN);  // so is a file that reaches the limit of its size (ulimit -f)
  install_mapped_file_handler();
}

void let_signals_end_the_program() {
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  throw_if_signalled();
}

void throw_if_signalled() {
  const int signal = received;
  if (signal == SIGINT)
    throw Error(ErrorKind::interrupted, "stopped by SIGINT (Ctrl-C); unfinished files were removed");
  if (signal == SIGTERM)
    throw Error(ErrorKind::terminated, "stopped by SIGTERM; unfinished files were removed");
}

}  // namespace t2v
