#include "video/frame_rate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

namespace t2v {

namespace {

constexpr double most_fps = 60;  // where the pictures do not come faster all the time

double value_of(const Rational& rate) { return static_cast<double>(rate.numerator) / rate.denominator; }

}  // namespace

int64_t frame_at(double seconds, const Rational& fps) {
  return std::llround(std::clamp(seconds * value_of(fps), -1e15, 1e15));
}

Rational choose_rate(const std::vector<double>& times, const std::vector<Rational>& candidates) {
  double shortest = INFINITY;
  for (std::size_t i = 1; i < times.size(); ++i) shortest = std::min(shortest, times[i] - times[i - 1]);
  const auto fits = [&](const Rational& rate) {
    const auto same_frame = [&](double a, double b) {
      return frame_at(a - times[0], rate) == frame_at(b - times[0], rate);
    };
    const double frames = value_of(rate) * (times.back() - times[0]);
    const bool too_fine = value_of(rate) * shortest > 1.01 ||
                          (value_of(rate) > most_fps && frames > 1.5 * static_cast<double>(times.size()));
    return !too_fine && std::adjacent_find(times.begin(), times.end(), same_frame) == times.end();
  };
  for (const auto& rate : candidates)
    if (rate.numerator > 0 && rate.denominator > 0 && (std::isinf(shortest) || fits(rate))) return rate;
  if (std::isinf(shortest)) return {0, 1};
  const double fps = std::min(most_fps, 1 / std::max(shortest, 1e-6));
  const int thousandths = static_cast<int>(std::lround(fps * 1000));
  const int common = std::gcd(thousandths, 1000);
  return {thousandths / common, 1000 / common};
}

bool is_constant(const std::vector<double>& times, const Rational& fps) {
  constexpr double most_uneven = 0.4;  // of a frame: a GIF of 24 frames per second has a fifth
  for (std::size_t i = 1; i < times.size(); ++i) {
    const double uneven = (times[i] - times[i - 1]) * value_of(fps) - 1;
    if (std::abs(uneven) > most_uneven || frame_at(times[i] - times[0], fps) != static_cast<int64_t>(i))
      return false;
  }
  return true;
}

std::string variable_rate_note(const Rational& rate) {
  std::ostringstream fps;
  fps << value_of(rate);
  return "has a variable frame rate: brought to " + fps.str() +
         " frames per second by moving, repeating and leaving out pictures";
}

}  // namespace t2v
