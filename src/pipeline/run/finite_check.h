// Whether what comes of denoising steps is finite.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>

namespace t2v {

// On the CPU a step is judged at once. A card is not waited for: what it says of a step is read when the next
// one has been asked of it, so that it always has work, and the host is never more than two steps ahead.
class FiniteCheck {
 public:
  explicit FiniteCheck(int64_t steps) : steps_(steps) {}
  // Throws Error{non_finite} of this step or an earlier one, naming it.
  void add(const at::Tensor& prediction, const at::Tensor& values, int64_t step, double timestep);
  // Waits for the last one, too.
  void finish();

 private:
  struct Asked {
    int64_t step;
    double timestep;
    at::Tensor finite;  // bool [2], on the host: of the prediction and of the values
    c10::Event is_there;
  };
  void require(const at::Tensor& finite, int64_t step, double timestep) const;

  int64_t steps_;
  std::optional<Asked> asked_;
};

}  // namespace t2v
