// Which constant rate pictures of any rate are brought to.
#pragma once

#include <vector>

#include "video/write/encoder.h"

namespace t2v {

// The number of the frame, from 0, whose time is nearest to `seconds`.
int64_t frame_at(double seconds, const Rational& fps);

// The rate of pictures that begin at `times`, seconds, each later than the one before: the first of
// `candidates` (0/1: none) at which each picture has a frame of its own and that is no finer than needed, or
// else the rate of the shortest distance between two pictures, at most 60 per second. Without a distance the
// first candidate.
Rational choose_rate(const std::vector<double>& times, const std::vector<Rational>& candidates);

// Whether pictures at those times (seconds, ascending) are the frames of that rate one by one, but for the
// steps of a coarse clock.
bool is_constant(const std::vector<double>& times, const Rational& fps);

// What is said of pictures that are brought to a constant rate.
std::string variable_rate_note(const Rational& fps);

}  // namespace t2v
