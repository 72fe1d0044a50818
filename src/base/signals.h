// SIGINT, SIGTERM and SIGHUP: the first asks the run to stop at the next step; a second SIGINT or SIGTERM
// stops at once (temporary files removed).
#pragma once

namespace t2v {

// A signal that was ignored when the program started stays ignored (nohup, trap '' INT). Also: a write to a
// closed pipe or beyond ulimit -f is an error of that write, and a mapped file that shrinks ends the program
// with exit 3.
void install_signal_handlers();

// For commands that write no files: from now on the first signal ends the program.
void let_signals_end_the_program();

// Throws Error{interrupted}, Error{terminated} or Error{hung_up} if a signal has arrived.
void throw_if_signalled();

}  // namespace t2v
