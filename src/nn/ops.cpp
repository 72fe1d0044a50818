#include "nn/ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/SDPBackend.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "nn/fused.h"

namespace t2v {

namespace {

// Note: [The same bytes in any company]
// On the CPU a clip's bytes should depend neither on the number of threads nor on what is computed beside it.
// libtorch's matrix products and attention already hold to that (for 32 rows and more, measured:
// docs/performance.md); three things do not, and are avoided here:
// - a 1x1 convolution is done by one algorithm or another, which round differently, by the number of images
// and of threads. As a matrix
//   product over the channels of each pixel it is always done alike;
// - so is a convolution of a single small image. oneDNN is asked for by name;
// - vectorised functions treat the last few elements of each thread's share by another formula. Shares of a
// fixed size make them the same
//   elements always.
// Training (with gradients) takes libtorch's own way.
bool one_way(const at::Tensor& x) { return x.device().is_cpu() && !at::GradMode::is_enabled(); }

bool is_pointwise(const at::Tensor& weight, int64_t stride, std::array<int64_t, 2> padding) {
  return weight.size(2) == 1 && weight.size(3) == 1 && stride == 1 && padding[0] == 0 && padding[1] == 0;
}

constexpr int64_t share = 1 << 15;  // elements; a multiple of any vector

// function(out, in) on equal shares of dense x, over the threads.
template <class Function>
void in_shares(at::Tensor& out, const at::Tensor& x, const Function& function) {
  const int64_t count = x.numel();
  const auto flat_out = out.as_strided({count}, {1});
  const auto flat = x.as_strided({count}, {1});
  at::parallel_for(0, (count + share - 1) / share, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t length = std::min(share, count - i * share);
      auto part = flat_out.narrow(0, i * share, length);
      function(part, flat.narrow(0, i * share, length));
    }
  });
}

bool needs_shares(const at::Tensor& x) {
  return one_way(x) && x.numel() > share && at::get_num_threads() > 1 && x.is_non_overlapping_and_dense();
}

}  // namespace

at::Tensor convolve_2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride,
                       std::array<int64_t, 2> padding) {
  if (x.is_meta()) {
    const int64_t height = (x.size(2) + 2 * padding[0] - weight.size(2)) / stride + 1;
    const int64_t width = (x.size(3) + 2 * padding[1] - weight.size(3)) / stride + 1;
    // As a product, so that what it costs is counted (FlopCounter): there is no convolution without numbers.
    const auto patches = at::empty({x.size(0), height, width, weight[0].numel()}, x.options());
    return at::linear(patches, weight.flatten(1).to(x.scalar_type())).permute({0, 3, 1, 2});
  }
  if (weight.scalar_type() != x.scalar_type())  // a trainer's products in bfloat16
    return at::conv2d(x.to(weight.scalar_type()), weight, {}, stride, padding).to(x.scalar_type()) +
           bias.view({1, -1, 1, 1});
  if (one_way(x) && is_pointwise(weight, stride, padding))
    return at::linear(x.permute({0, 2, 3, 1}), weight.flatten(1), bias).permute({0, 3, 1, 2});
  if (one_way(x) && x.size(0) == 1 && x.scalar_type() == at::kFloat && at::hasMKLDNN())
    return at::mkldnn_convolution(x, weight, bias, padding, {stride, stride}, {1, 1}, 1);
  return at::conv2d(x, weight, bias, stride, padding);
}

at::Tensor gelu_tanh(const at::Tensor& x) {
  if (fused::takes(x) && x.numel() > 0) return fused::gelu_tanh(x);
  if (!needs_shares(x)) return at::gelu(x, "tanh");
  auto out = at::empty_like(x);
  in_shares(out, x, [](at::Tensor& part, const at::Tensor& values) { at::gelu_out(part, values, "tanh"); });
  return out;
}

at::Tensor& silu_in_place(at::Tensor& x) {
  if (!needs_shares(x)) return at::silu_(x);
  in_shares(x, x, [](at::Tensor& part, const at::Tensor& values) { at::silu_out(part, values); });
  return x;
}

at::Tensor rows_at(const at::Tensor& x, const at::Tensor& index) {
  if (x.is_meta()) return x.index({index});
  if (x.dim() == 2) return at::embedding(x, index);  // the gradient of index_select takes a call for each row
  return x.index_select(0, index);
}

at::Tensor choose(const at::Tensor& mask, const at::Tensor& x, const at::Tensor& y) {
  return y.is_meta() ? at::empty_like(y) : at::where(mask, x, y);
}

at::Tensor normalise_layer(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           double epsilon) {
  return x.is_meta() ? at::empty_like(x) : at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
}

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return q.is_meta() ? at::empty_like(q) : at::scaled_dot_product_attention(q, k, v);
}

namespace {

constexpr std::array attention_backends{at::SDPBackend::cudnn_attention, at::SDPBackend::flash_attention,
                                        at::SDPBackend::efficient_attention, at::SDPBackend::math,
                                        at::SDPBackend::overrideable};
static_assert(attention_backends.size() == at::num_sdp_backends);

}  // namespace

const std::vector<std::string>& attention_order() {
  static const std::vector<std::string> names = {"cudnn", "flash", "efficient", "math", "overrideable"};
  return names;
}

void use_attention_order() {
  std::vector<int64_t> order;
  for (const auto backend : attention_backends) order.push_back(static_cast<int64_t>(backend));
  at::globalContext().setSDPPriorityOrder(order);
}

std::string attention_taken(at::Device device, at::ScalarType dtype) {
  try {
    const auto x = at::empty({1, 12, 4096, 128}, at::TensorOptions(device).dtype(dtype));
    const auto taken = static_cast<at::SDPBackend>(at::_fused_sdp_choice(x, x, x));
    for (std::size_t i = 0; i < attention_backends.size(); ++i)
      if (attention_backends[i] == taken) return attention_order()[i];
  } catch (const c10::Error&) {
  }
  return "";
}

}  // namespace t2v
