#include "nn/fused.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/row_kernels.h"

namespace t2v::fused {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr int64_t floats_a_thread = 32768;  // below that, waking a second thread costs more than it saves

template <class Rows>
void for_rows(int64_t n, int64_t d, const Rows& rows) {
  at::parallel_for(0, n, std::max<int64_t>(1, floats_a_thread / d), rows);
}

// Parameters in rows of d numbers that stand next to each other.
at::Tensor row_contiguous(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

rows::Choice choice_of(const at::Tensor& parameters, const at::Tensor& row) {
  return {row.defined() ? row.const_data_ptr<int64_t>() : nullptr, parameters.size(0), parameters.stride(0)};
}

struct ModulatedLayerNorm : Function<ModulatedLayerNorm> {
  static Variable forward(AutogradContext* context, const Variable& x_in, const Variable& shift_in,
                          const Variable& scale_in, const std::optional<Variable>& level, double epsilon) {
    const auto x = x_in.contiguous();
    const auto shift = row_contiguous(shift_in);
    const auto scale = row_contiguous(scale_in);
    auto y = at::empty_like(x);
    auto statistics = at::empty({x.size(0), 2}, x.options());
    TORCH_INTERNAL_ASSERT(shift.stride(0) == scale.stride(0) || shift.size(0) == 1);
    const auto row = level.value_or(at::Tensor());
    const auto choice = choice_of(scale, row);
    for_rows(x.size(0), x.size(1), [&](int64_t first, int64_t last) {
      rows::modulated_layer_norm(first, last, x.size(1), x.const_data_ptr<float>(),
                                 shift.const_data_ptr<float>(), scale.const_data_ptr<float>(), choice,
                                 static_cast<float>(epsilon), y.mutable_data_ptr<float>(),
                                 statistics.mutable_data_ptr<float>());
    });
    context->save_for_backward({x, statistics, scale, row});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& x = saved[0];
    const auto& scale = saved[2];
    const auto grad_y = grads[0].contiguous();
    auto grad_x = at::empty_like(x);
    auto grad_shift = at::zeros(scale.sizes(), x.options());
    auto grad_scale = at::zeros(scale.sizes(), x.options());
    rows::modulated_layer_norm_backward(
        x.size(0), x.size(1), x.const_data_ptr<float>(), saved[1].const_data_ptr<float>(),
        scale.const_data_ptr<float>(), choice_of(scale, saved[3]), grad_y.const_data_ptr<float>(),
        grad_x.mutable_data_ptr<float>(), grad_shift.mutable_data_ptr<float>(),
        grad_scale.mutable_data_ptr<float>());
    return {grad_x, grad_shift, grad_scale, {}, {}};
  }
};

struct GatedResidual : Function<GatedResidual> {
  static Variable forward(AutogradContext* context, const Variable& x_in, const Variable& h_in,
                          const Variable& gate_in, const std::optional<Variable>& level) {
    const auto row = level.value_or(at::Tensor());
    const auto x = x_in.contiguous();
    const auto h = h_in.contiguous();
    const auto gate = row_contiguous(gate_in);
    auto y = at::empty_like(x);
    for_rows(x.size(0), x.size(1), [&](int64_t first, int64_t last) {
      rows::gated_residual(first, last, x.size(1), x.const_data_ptr<float>(), h.const_data_ptr<float>(),
                           gate.const_data_ptr<float>(), choice_of(gate, row), y.mutable_data_ptr<float>());
    });
    context->save_for_backward({h, gate, row});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& h = saved[0];
    const auto& gate = saved[1];
    const auto grad_y = grads[0].contiguous();
    auto grad_h = at::empty_like(h);
    auto grad_gate = at::zeros(gate.sizes(), h.options());
    rows::gated_residual_backward(h.size(0), h.size(1), h.const_data_ptr<float>(),
                                  gate.const_data_ptr<float>(), choice_of(gate, saved[2]),
                                  grad_y.const_data_ptr<float>(), grad_h.mutable_data_ptr<float>(),
                                  grad_gate.mutable_data_ptr<float>());
    return {grad_y, grad_h, grad_gate, {}};
  }
};

struct RmsNorm : Function<RmsNorm> {
  static Variable forward(AutogradContext* context, const Variable& x_in, const Variable& weight,
                          double epsilon) {
    const auto x = x_in.contiguous();
    const int64_t d = x.size(-1);
    const int64_t n = x.numel() / d;
    auto y = at::empty_like(x);
    auto inverse = at::empty({n}, x.options());
    for_rows(n, d, [&](int64_t first, int64_t last) {
      rows::rms_norm_rotary(first, last, {d, d, d, 0}, x.const_data_ptr<float>(),
                            weight.const_data_ptr<float>(), nullptr, static_cast<float>(epsilon),
                            y.mutable_data_ptr<float>(), inverse.mutable_data_ptr<float>());
    });
    context->save_for_backward({x, weight, inverse});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& x = saved[0];
    const auto& weight = saved[1];
    const int64_t d = x.size(-1);
    const auto grad_y = grads[0].contiguous();
    auto grad_x = at::empty_like(x);
    auto grad_weight = at::zeros_like(weight);
    rows::rms_norm_rotary_backward(x.numel() / d, {d, d, d, 0}, x.const_data_ptr<float>(),
                                   weight.const_data_ptr<float>(), nullptr, saved[2].const_data_ptr<float>(),
                                   grad_y.const_data_ptr<float>(), grad_x.mutable_data_ptr<float>(),
                                   grad_weight.mutable_data_ptr<float>());
    return {grad_x, grad_weight, {}};
  }
};

struct NormedRotatedQkv : Function<NormedRotatedQkv> {
  static const float* turns(const at::Tensor& rotary) {
    return static_cast<const float*>(rotary.const_data_ptr());
  }

  static variable_list forward(AutogradContext* context, const Variable& qkv_in, const Variable& weight_in,
                               const Variable& rotary_in, double epsilon) {
    const auto qkv = qkv_in.contiguous();
    const auto weight = weight_in.contiguous();
    const auto rotary = rotary_in.contiguous();
    const int64_t n = qkv.size(0);
    const int64_t d = qkv.size(1) / 3;
    auto query = at::empty({n, d}, qkv.options());
    auto key = at::empty({n, d}, qkv.options());
    auto inverse = at::empty({2, n}, qkv.options());
    const rows::RowLayout layout{d, 3 * d, d, rotary.size(1)};
    for_rows(n, d, [&](int64_t first, int64_t last) {
      const auto part = [&](int64_t index, at::Tensor& out) {
        rows::rms_norm_rotary(first, last, layout, qkv.const_data_ptr<float>() + index * d,
                              weight.const_data_ptr<float>() + index * d, turns(rotary),
                              static_cast<float>(epsilon), out.mutable_data_ptr<float>(),
                              inverse.mutable_data_ptr<float>() + index * n);
      };
      part(0, query);
      part(1, key);
    });
    context->save_for_backward({qkv, weight, rotary, inverse});
    return {query, key, qkv.narrow(1, 2 * d, d).contiguous()};
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& qkv = saved[0];
    const auto& weight = saved[1];
    const auto& rotary = saved[2];
    const auto& inverse = saved[3];
    const int64_t n = qkv.size(0);
    const int64_t d = qkv.size(1) / 3;
    auto grad_qkv = at::empty_like(qkv);
    auto grad_weight = at::zeros_like(weight);
    for (int64_t index = 0; index < 2; ++index) {
      const auto grad = grads[static_cast<std::size_t>(index)].contiguous();
      rows::rms_norm_rotary_backward(
          n, {d, 3 * d, d, rotary.size(1)}, qkv.const_data_ptr<float>() + index * d,
          weight.const_data_ptr<float>() + index * d, turns(rotary),
          inverse.const_data_ptr<float>() + index * n, grad.const_data_ptr<float>(),
          grad_qkv.mutable_data_ptr<float>() + index * d, grad_weight.mutable_data_ptr<float>() + index * d);
    }
    grad_qkv.narrow(1, 2 * d, d).copy_(grads[2]);
    return {grad_qkv, grad_weight, {}, {}};
  }
};

struct ChannelNormSilu : Function<ChannelNormSilu> {
  static Variable forward(AutogradContext* context, const Variable& x_in, const Variable& gamma) {
    const auto x = x_in.contiguous(at::MemoryFormat::ChannelsLast);
    const int64_t d = x.size(1);
    auto y = at::empty_like(x);
    for_rows(x.numel() / d, d, [&](int64_t first, int64_t last) {
      rows::channel_norm_silu(first, last, d, x.const_data_ptr<float>(), gamma.const_data_ptr<float>(),
                              y.mutable_data_ptr<float>());
    });
    context->save_for_backward({x, gamma});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& x = saved[0];
    const auto& gamma = saved[1];
    const auto grad_y = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    auto grad_x = at::empty_like(x);
    auto grad_gamma = at::zeros_like(gamma);
    rows::channel_norm_silu_backward(x.numel() / x.size(1), x.size(1), x.const_data_ptr<float>(),
                                     gamma.const_data_ptr<float>(), grad_y.const_data_ptr<float>(),
                                     grad_x.mutable_data_ptr<float>(), grad_gamma.mutable_data_ptr<float>());
    return {grad_x, grad_gamma};
  }
};

struct GeluTanh : Function<GeluTanh> {
  static Variable forward(AutogradContext* context, const Variable& x_in) {
    const auto x = x_in.contiguous();
    const int64_t d = x.size(-1);
    auto y = at::empty_like(x);
    for_rows(x.numel() / d, d, [&](int64_t first, int64_t last) {
      rows::gelu_tanh(first, last, d, x.const_data_ptr<float>(), y.mutable_data_ptr<float>());
    });
    context->save_for_backward({x});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto x = context->get_saved_variables()[0];
    const auto grad_y = grads[0].contiguous();
    auto grad_x = at::empty_like(x);
    rows::gelu_tanh_backward(x.numel() / x.size(-1), x.size(-1), x.const_data_ptr<float>(),
                             grad_y.const_data_ptr<float>(), grad_x.mutable_data_ptr<float>());
    return {grad_x};
  }
};

}  // namespace

at::Tensor modulated_layer_norm(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& scale,
                                const at::Tensor& row, double epsilon) {
  return ModulatedLayerNorm::apply(x, shift, scale, std::optional<Variable>(row), epsilon);
}

at::Tensor gated_residual(const at::Tensor& x, const at::Tensor& h, const at::Tensor& gate,
                          const at::Tensor& row) {
  return GatedResidual::apply(x, h, gate, std::optional<Variable>(row));
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNorm::apply(x, weight, epsilon);
}

QueryKeyValue normed_rotated_qkv(const at::Tensor& qkv, const at::Tensor& weight, const at::Tensor& rotary,
                                 double epsilon) {
  const auto parts = NormedRotatedQkv::apply(qkv, weight, rotary, epsilon);
  return {parts[0], parts[1], parts[2]};
}

at::Tensor channel_norm_silu(const at::Tensor& x, const at::Tensor& gamma) {
  return ChannelNormSilu::apply(x, gamma);
}

at::Tensor gelu_tanh(const at::Tensor& x) { return GeluTanh::apply(x); }

}  // namespace t2v::fused
