// Karras et al. (2022), "Elucidating the design space of diffusion-based generative models", eq. 5; Lee et
// al. (2024), "Beta sampling is all you need". Reference: diffusers scheduling_euler_discrete.py,
// _convert_to_karras, _convert_to_exponential, _convert_to_beta and _sigma_to_t.
#include "schedulers/sigmas.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"

namespace t2v {

namespace {

const Choices<SigmaSpacing> spacings = {{"karras", SigmaSpacing::karras},
                                        {"exponential", SigmaSpacing::exponential},
                                        {"beta", SigmaSpacing::beta}};

std::string key_of(const std::string& spacing) { return "use_" + spacing + "_sigmas"; }

// The continued fraction of the incomplete beta function: Press et al., "Numerical recipes", section 6.4
// (Lentz's method). Quick for x below (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double least = 1e-300;
  const auto kept = [](double value) { return std::fabs(value) < least ? least : value; };
  double c = 1, d = 1 / kept(1 - (a + b) * x / (a + 1)), fraction = d;
  for (int m = 1; m <= 1000; ++m) {
    double change = 1;
    for (const double term : {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                              -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))}) {
      d = 1 / kept(1 + term * d);
      c = kept(1 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (std::fabs(change - 1) < 1e-16) break;
  }
  return fraction;
}

// Of the beta distribution, a = b: the share of it that lies below x.
double beta_share(double a, double x) {
  if (x > 0.5) return 1 - beta_share(a, 1 - x);
  const double front = std::exp(std::lgamma(2 * a) - 2 * std::lgamma(a) + a * std::log(x) +
                                a * std::log1p(-x));
  return front * beta_fraction(a, a, x) / a;
}

// Where the share is this one; scipy.stats.beta.ppf.
double beta_quantile(double a, double share) {
  if (share > 0.5) return 1 - beta_quantile(a, 1 - share);
  double below = 0, above = 0.5;
  for (double middle = 0.25; middle > below && middle < above; middle = (below + above) / 2)
    (beta_share(a, middle) < share ? below : above) = middle;
  return share > 0 ? above : 0;
}

}  // namespace

SigmaSpacing sigma_spacing(const SchedulerConfig& config) {
  auto spacing = SigmaSpacing::by_timestep;
  for (const auto& [name, one] : spacings) {
    const auto key = key_of(name);
    if (!json_get_or<bool>(config.settings, key, false, config.where)) continue;
    if (spacing != SigmaSpacing::by_timestep)
      refuse_setting(config.where, key, "true",
                     "only one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas");
    spacing = one;
  }
  return spacing;
}

void set_sigma_spacing(SchedulerConfig& config, const std::string& name) {
  bool is_known = false;
  for (const auto& [known, spacing] : spacings) {
    config.settings[key_of(known)] = name == known;
    is_known = is_known || name == known;
  }
  if (!is_known)
    throw Error(ErrorKind::usage,
                "--sigma-schedule should be karras, exponential or beta, found '" + name + "'");
}

std::vector<float> trained_sigmas(const SchedulerConfig& config) {
  auto alphas_cumprod = training_alphas_cumprod(config);
  if (config.rescale_betas_zero_snr)
    alphas_cumprod[-1].fill_(std::exp2(-24.0));  // nearly pure noise, so that its sigma is finite
  return to_vector(((1 - alphas_cumprod) / alphas_cumprod).sqrt());
}

double sigma_at(const std::vector<float>& trained, double timestep) {
  const auto last = static_cast<double>(trained.size() - 1);
  if (timestep >= last) return trained.back();
  const double whole = std::floor(timestep);
  const auto i = static_cast<std::size_t>(whole);
  const double low = trained[i], high = trained[i + 1];
  return (high - low) * (timestep - whole) + low;
}

std::vector<double> timesteps_of_sigmas(const std::vector<float>& trained,
                                        const std::vector<double>& sigmas) {
  std::vector<float> logs;
  for (const float sigma : trained) logs.push_back(static_cast<float>(std::log(static_cast<double>(sigma))));
  std::vector<double> timesteps;
  for (const double sigma : sigmas) {
    const double log = std::log(std::max(sigma, 1e-10));
    const auto reached = std::upper_bound(logs.begin(), logs.end(), log) - logs.begin();
    const auto low = std::clamp<std::ptrdiff_t>(reached - 1, 0, std::ssize(logs) - 2);
    const float from = logs[static_cast<std::size_t>(low)], to = logs[static_cast<std::size_t>(low + 1)];
    const double share = std::clamp((from - log) / static_cast<double>(from - to), 0.0, 1.0);
    timesteps.push_back((1 - share) * static_cast<double>(low) + share * static_cast<double>(low + 1));
  }
  return timesteps;
}

std::vector<double> spaced_sigmas(const SchedulerConfig& config, SigmaSpacing spacing, double most,
                                  double least, int64_t steps) {
  most = json_get_or<double>(config.settings, "sigma_max", most, config.where);
  least = json_get_or<double>(config.settings, "sigma_min", least, config.where);
  if (spacing == SigmaSpacing::exponential) {
    auto sigmas = numpy_linspace(std::log(most), std::log(least), steps);
    for (auto& sigma : sigmas) sigma = std::exp(sigma);
    return sigmas;
  }
  constexpr double rho = 7, shape = 0.6;
  const double first = std::pow(most, 1 / rho), last = std::pow(least, 1 / rho);
  auto sigmas = numpy_linspace(0, 1, steps);
  for (auto& sigma : sigmas)
    sigma = spacing == SigmaSpacing::karras ? std::pow(first + sigma * (last - first), rho)
                                            : least + beta_quantile(shape, 1 - sigma) * (most - least);
  return sigmas;
}

void refuse_given_levels(SigmaSpacing spacing, const Schedule& schedule) {
  if (spacing == SigmaSpacing::by_timestep || (schedule.timesteps.empty() && schedule.sigmas.empty())) return;
  throw Error(ErrorKind::usage,
              "--timesteps and --sigmas set the noise levels, and so do karras, exponential and beta sigmas; "
              "leave out one");
}

}  // namespace t2v
