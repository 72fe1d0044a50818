// Arithmetic that gives the same bits on every machine: +, -, *, / and sqrt only, since the sines of standard
// libraries differ in their last bits.
#pragma once

#include <cmath>
#include <cstdint>

namespace t2v {

constexpr double kBookPi = 3.14159265358979323846;

// sin(2π · turns), within 1e-7: Taylor's series on a quarter turn.
inline double book_sin_turns(double turns) {
  double x = turns - std::floor(turns + 0.5);  // [-0.5, 0.5)
  if (x > 0.25) x = 0.5 - x;
  if (x < -0.25) x = -0.5 - x;
  x *= 2 * kBookPi;
  const double s = x * x;
  return x * (1 + s * (-1.0 / 6 + s * (1.0 / 120 + s * (-1.0 / 5040 + s * (1.0 / 362880 - s / 39916800)))));
}
inline double book_cos_turns(double turns) { return book_sin_turns(turns + 0.25); }
inline double book_sin(double radians) { return book_sin_turns(radians / (2 * kBookPi)); }

// The angle of (x, y) in turns, within 1e-4, (-0.5, 0.5]. Source: Abramowitz and Stegun, 4.4.49.
inline double book_angle_turns(double x, double y) {
  const double ax = std::abs(x), ay = std::abs(y), most = ax > ay ? ax : ay;
  if (most == 0) return 0;
  const double q = (ax > ay ? ay : ax) / most, s = q * q;
  double turns = q * (0.9998660 + s * (-0.3302995 + s * (0.1801410 + s * (-0.0851330 + s * 0.0208351)))) /
                 (2 * kBookPi);
  if (ay > ax) turns = 0.25 - turns;
  if (x < 0) turns = 0.5 - turns;
  return y < 0 ? -turns : turns;
}

// A well mixed hash. Source: SplitMix64's finaliser (Steele et al. 2014).
inline uint64_t book_mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace t2v
