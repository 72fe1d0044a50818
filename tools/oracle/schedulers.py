#!/usr/bin/env python3
"""Runs the reference schedulers (diffusers) over a grid of settings and writes every step's sample to OUT/schedulers.json.

    python tools/oracle/schedulers.py --out tests/golden

The network's predictions and the noise are seeded banks that all cases share: step i takes prediction i and noise i (and i + 1 where it draws two),
modulo the bank's length. A learned variance is prediction i + 1, cut to -1 ... 1 or, where it is the variance itself, without its sign.
Samples of EulerDiscreteScheduler are scaled as the network is given them, but for the last.
Floats have 9 significant digits, which is float32 exactly.
"""

import argparse
import json
import pathlib
import warnings

import diffusers
import numpy
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.schedulers import scheduling_ddpm, scheduling_dpm_cogvideox, scheduling_flow_match_euler_discrete

SHAPE = (2, 2, 2)
BANK = 11
CLASSES = {
    c.__name__: c
    for c in (
        DDPMScheduler,
        DDIMScheduler,
        UniPCMultistepScheduler,
        CogVideoXDDIMScheduler,
        CogVideoXDPMScheduler,
        DPMSolverMultistepScheduler,
        EulerDiscreteScheduler,
        FlowMatchEulerDiscreteScheduler,
    )
}
SHIPPED = {
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
WAN = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
COGVIDEOX = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def cases():
    """Yields (class name, settings, steps, eta, what else the run says: timesteps, sigmas, tokens)."""
    for case in (*ddpm_and_ddim(), *unipc(), *flow_euler(), *dpm_solver(), *cogvideox(), *euler(), *spaced(), *learned()):
        yield case if len(case) == 5 else (*case, {})


def flow_euler():
    name = "FlowMatchEulerDiscreteScheduler"
    for shift in (1.0, 3.0, 8.0):
        for steps in (1, 4, 7, 50):
            yield name, {"shift": shift}, steps, 0.0
    for change in ({"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"stochastic_sampling": True}, {"shift_terminal": 0.1}):
        yield name, {"shift": 5.0, **change}, 6, 0.0
    for tokens in (64, 1560, 32760):
        for time_shift in ("exponential", "linear"):
            yield name, {"use_dynamic_shifting": True, "time_shift_type": time_shift}, 6, 0.0, {"tokens": tokens}
    ltx = {"use_dynamic_shifting": True, "base_shift": 0.95, "max_shift": 2.05, "base_image_seq_len": 1024, "shift_terminal": 0.1}
    yield name, ltx, 8, 0.0, {"tokens": 4032}
    yield name, {"shift": 3.0, "num_train_timesteps": 500}, 9, 0.0
    for shift in (1.0, 5.0):
        yield name, {"shift": shift}, 4, 0.0, {"sigmas": [1.0, 0.75, 0.5, 0.25]}
        yield name, {"shift": shift}, 4, 0.0, {"timesteps": [1000.0, 750.0, 500.5, 250.0]}
    yield name, {"use_dynamic_shifting": True}, 3, 0.0, {"sigmas": [0.9, 0.6, 0.1], "tokens": 300}


def dpm_solver():
    name = "DPMSolverMultistepScheduler"
    for order in (1, 2, 3):
        for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
            for solver in ("midpoint", "heun"):
                settings = {**SHIPPED, "solver_order": order, "algorithm_type": algorithm, "solver_type": solver}
                yield name, settings, 8, 0.0
                yield name, {**settings, "lower_order_final": False, "final_sigmas_type": "sigma_min"}, 7, 0.0
        yield name, {**WAN, "solver_order": order, "flow_shift": 5.0}, 8, 0.0
        yield name, {"solver_order": order}, 20, 0.0
    for prediction in ("epsilon", "v_prediction", "sample"):
        yield name, {"prediction_type": prediction}, 6, 0.0
    for spacing in ("leading", "linspace", "trailing"):
        yield name, {"beta_schedule": "scaled_linear", "steps_offset": 1, "timestep_spacing": spacing}, 6, 0.0
    for steps in (1, 2, 3, 50):
        yield name, SHIPPED, steps, 0.0
        yield name, {**WAN, "flow_shift": 3.0}, steps, 0.0
    yield name, {**WAN, "algorithm_type": "sde-dpmsolver++", "flow_shift": 3.0}, 6, 0.0
    yield name, {**SHIPPED, "euler_at_final": True, "final_sigmas_type": "sigma_min"}, 20, 0.0
    yield name, SHIPPED, 4, 0.0, {"timesteps": [999, 749, 499, 249]}


def cogvideox():
    for steps in (1, 2, 3, 5, 50):
        for scale in (1.0, 3.0):
            yield "CogVideoXDDIMScheduler", {**COGVIDEOX, "snr_shift_scale": scale}, steps, 0.0
            yield "CogVideoXDPMScheduler", {**COGVIDEOX, "snr_shift_scale": scale}, steps, 0.0
    for prediction in ("epsilon", "v_prediction", "sample"):
        for spacing in ("leading", "linspace", "trailing"):
            settings = {"prediction_type": prediction, "timestep_spacing": spacing, "set_alpha_to_one": spacing != "leading"}
            yield "CogVideoXDPMScheduler", settings, 6, 0.0


def ddpm_and_ddim():
    for name in ("DDPMScheduler", "DDIMScheduler"):
        etas = (0.0, 0.5) if name == "DDIMScheduler" else (0.0,)
        for eta in etas:
            for beta_schedule in ("linear", "scaled_linear", "squaredcos_cap_v2"):
                for spacing in ("leading", "linspace", "trailing"):
                    yield name, {"beta_schedule": beta_schedule, "timestep_spacing": spacing, "clip_sample": False}, 5, eta
            for prediction in ("epsilon", "v_prediction", "sample"):
                for clip in (True, False):
                    yield name, {"prediction_type": prediction, "clip_sample": clip, "clip_sample_range": 1.5}, 5, eta
            for steps in (1, 7, 20, 60):
                yield name, {**SHIPPED, "clip_sample": False}, steps, eta
            yield name, {**SHIPPED, "prediction_type": "sample", "clip_sample": False}, 5, eta
            # Zero terminal SNR with epsilon prediction is finite when the clean sample is clipped.
            yield name, {**SHIPPED, "prediction_type": "epsilon", "clip_sample": True}, 5, eta
            yield name, {"steps_offset": 1, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}, 6, eta
            for spacing in ("leading", "trailing"):
                yield name, {**SHIPPED, "timestep_spacing": spacing, "clip_sample": False}, 1000, eta
    for variance in ("fixed_small_log", "fixed_large"):
        for spacing in ("leading", "trailing"):
            yield "DDPMScheduler", {"variance_type": variance, "timestep_spacing": spacing}, 6, 0.0
    for alpha_to_one in (True, False):
        for spacing in ("leading", "trailing"):
            yield "DDIMScheduler", {"set_alpha_to_one": alpha_to_one, "steps_offset": 1, "timestep_spacing": spacing}, 5, 0.3
    yield "DDIMScheduler", {"clip_sample": False}, 5, 1.0
    yield "DDIMScheduler", {**SHIPPED, "num_train_timesteps": 200, "clip_sample": False}, 9, 0.0
    yield "DDPMScheduler", {**SHIPPED, "clip_sample": False}, 4, 0.0, {"timesteps": [999, 749, 300, 0]}


def unipc():
    unipc = "UniPCMultistepScheduler"
    for order in (1, 2, 3):
        for spacing in ("leading", "linspace", "trailing"):
            yield unipc, {**SHIPPED, "solver_order": order, "timestep_spacing": spacing}, 8, 0.0
        for predict_x0 in (True, False):
            for solver in ("bh1", "bh2"):
                for lower in (True, False):
                    settings = {"solver_order": order, "predict_x0": predict_x0, "solver_type": solver, "lower_order_final": lower}
                    yield unipc, {**settings, "final_sigmas_type": "sigma_min"}, 6, 0.0
        yield unipc, {**WAN, "solver_order": order, "flow_shift": 3.0}, 8, 0.0
    for prediction in ("epsilon", "v_prediction", "sample"):
        yield unipc, {"prediction_type": prediction}, 6, 0.0
        yield unipc, {"prediction_type": prediction, "predict_x0": False, "final_sigmas_type": "sigma_min"}, 6, 0.0
        yield unipc, {**SHIPPED, "prediction_type": prediction}, 6, 0.0
    for beta_schedule in ("scaled_linear", "squaredcos_cap_v2"):
        yield unipc, {"beta_schedule": beta_schedule, "steps_offset": 1, "timestep_spacing": "leading"}, 6, 0.0
    for steps in (1, 2, 3, 20, 50):
        yield unipc, SHIPPED, steps, 0.0
        yield unipc, {**WAN, "flow_shift": 5.0}, steps, 0.0
    yield unipc, {**WAN, "final_sigmas_type": "sigma_min"}, 6, 0.0
    yield unipc, {**SHIPPED, "disable_corrector": [0, 3]}, 7, 0.0
    yield unipc, {**WAN, "flow_shift": 5.0}, 4, 0.0, {"sigmas": [1.0, 0.75, 0.5, 0.25]}
    # Not at order 3: its differences of neighbouring steps turn a last bit into percents there, in the reference as well.
    yield unipc, SHIPPED, 1000, 0.0


def euler():
    name = "EulerDiscreteScheduler"
    latent = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    for spacing, prediction in (("leading", "epsilon"), ("linspace", "v_prediction"), ("trailing", "sample")):
        yield name, {**latent, "timestep_spacing": spacing, "prediction_type": prediction}, 5, 0.0
    yield name, {}, 1, 0.0
    yield name, {"final_sigmas_type": "sigma_min"}, 4, 0.0
    yield name, {**latent, "timestep_spacing": "trailing"}, 50, 0.0
    for spacing in ("linspace", "trailing"):
        yield name, {**SHIPPED, "timestep_spacing": spacing}, 5, 0.0
    yield name, latent, 4, 0.0, {"timesteps": [999, 700.5, 300, 20]}


def spaced():
    latent = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    for spacing in ({"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}):
        for name in ("EulerDiscreteScheduler", "UniPCMultistepScheduler", "DPMSolverMultistepScheduler"):
            yield name, {**latent, **spacing}, 5, 0.0
            yield name, {**SHIPPED, "sigma_max": 80.0, **spacing}, 4, 0.0
        yield "FlowMatchEulerDiscreteScheduler", {"shift": 3.0, **spacing, "sigma_min": 0.02}, 5, 0.0
    karras = {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0}
    for name in ("EulerDiscreteScheduler", "UniPCMultistepScheduler"):
        yield name, {**latent, **karras}, 4, 0.0
    yield "DPMSolverMultistepScheduler", {**karras, "solver_order": 3, "algorithm_type": "sde-dpmsolver++"}, 5, 0.0
    yield "UniPCMultistepScheduler", {**WAN, "use_karras_sigmas": True}, 5, 0.0


def learned():
    for variance in ("learned", "learned_range"):
        for spacing in ("leading", "trailing"):
            yield "DDPMScheduler", {"variance_type": variance, "timestep_spacing": spacing, "clip_sample": False}, 4, 0.0


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def set_timesteps(scheduler, steps, given):
    if "tokens" in given:
        keys = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        mu = {"mu": calculate_shift(given["tokens"], *(scheduler.config[key] for key in keys))}
    else:
        mu = {}
    if "sigmas" in given:
        scheduler.set_timesteps(sigmas=numpy.array(given["sigmas"]), **mu)
    elif "timesteps" in given:
        scheduler.set_timesteps(timesteps=given["timesteps"], **mu)
    else:
        scheduler.set_timesteps(steps, **mu)


def run(name, settings, steps, eta, given, start, predictions, noises):
    # Some read sigma_min and sigma_max of a file without taking them themselves.
    has_range = settings.keys() & {"sigma_min", "sigma_max"}
    scheduler = CLASSES[name].from_config(settings) if has_range else CLASSES[name](**settings)
    set_timesteps(scheduler, steps, given)
    assert len(scheduler.timesteps) == steps, (name, settings, steps)
    variance = settings.get("variance_type", "").startswith("learned")
    kept = list(range(steps)) if steps <= 8 else sorted({*range(0, steps, -(-steps // 6)), steps - 2, steps - 1})
    sample, samples, before = start * getattr(scheduler, "init_noise_sigma", 1.0), [], None
    for i, timestep in enumerate(scheduler.timesteps):
        prediction, noise = predictions[i % BANK], noises[i % BANK]
        if variance:
            beside = predictions[(i + 1) % BANK]
            prediction = torch.cat([prediction, beside.abs() if settings["variance_type"] == "learned" else beside.clamp(-1, 1)], 1)
        if name == "DDIMScheduler":
            arguments = {"eta": eta, "variance_noise": noise} if eta > 0 else {}
            sample = scheduler.step(prediction, timestep, sample, **arguments).prev_sample
        elif name == "CogVideoXDPMScheduler":
            draws = iter((noise, noises[(i + 1) % BANK]))
            scheduling_dpm_cogvideox.randn_tensor = lambda *_, draws=draws, **__: next(draws)
            timestep_before = scheduler.timesteps[i - 1] if i > 0 else None
            sample, before = scheduler.step(prediction, before, timestep, timestep_before, sample)
        elif name == "DPMSolverMultistepScheduler":
            sample = scheduler.step(prediction, timestep, sample, variance_noise=noise).prev_sample
        elif name == "EulerDiscreteScheduler":
            scheduler.scale_model_input(sample, timestep)
            sample = scheduler.step(prediction, timestep, sample).prev_sample
        else:
            for module in (scheduling_ddpm, scheduling_flow_match_euler_discrete):
                module.randn_tensor = lambda *_, noise=noise, **__: noise  # which take a generator only
            sample = scheduler.step(prediction, timestep, sample).prev_sample
        assert sample.isfinite().all(), (name, settings, steps, i)
        if i in kept:
            scaled = name == "EulerDiscreteScheduler" and i + 1 < steps
            samples.append(numbers(scheduler.scale_model_input(sample, None) if scaled else sample))
    timesteps = scheduler.timesteps.tolist()
    listed = timesteps if steps <= 100 else []
    result = {"class": name, "settings": settings, "steps": steps, "eta": eta, "timesteps": listed, "kept": kept, "samples": samples}
    return result | {key if key == "tokens" else f"given_{key}": value for key, value in given.items()}


def timestep_sums():
    """sum of timestep[i] * (i + 1), modulo 65521, for 1 to 1000 steps; null where the reference makes one timestep too many."""
    grids = [(DDIMScheduler, {"timestep_spacing": spacing}) for spacing in ("leading", "linspace", "trailing")]
    grids += [(UniPCMultistepScheduler, {"timestep_spacing": spacing}) for spacing in ("linspace", "trailing")]
    grids += [(UniPCMultistepScheduler, {**WAN, "flow_shift": shift}) for shift in (3.0, 5.0)]
    result = []
    for scheduler_class, settings in grids:
        scheduler, sums = scheduler_class(**settings), []
        for steps in range(1, 1001):
            scheduler.set_timesteps(steps)
            timesteps = scheduler.timesteps
            sums.append(int((timesteps * torch.arange(1, len(timesteps) + 1)).sum()) % 65521 if len(timesteps) == steps else None)
        result.append({"class": scheduler_class.__name__, "settings": settings, "sums": sums})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder to write schedulers.json into")
    out = parser.parse_args().out
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)

    generator = torch.Generator().manual_seed(4)
    start = torch.randn(SHAPE, generator=generator)
    predictions = [torch.randn(SHAPE, generator=generator) for _ in range(BANK)]
    noises = [torch.randn(SHAPE, generator=generator) for _ in range(BANK)]
    lines = [json.dumps(run(*case, start, predictions, noises), separators=(",", ":")) for case in cases()]

    header = {
        "reference": f"diffusers {diffusers.__version__}, torch {torch.__version__}",
        "shape": SHAPE,
        "start": numbers(start),
        "predictions": [numbers(p) for p in predictions],
        "noises": [numbers(n) for n in noises],
        "timestep_sums": timestep_sums(),
    }
    path = out / "schedulers.json"
    text = json.dumps(header, separators=(",", ":"))[:-1] + ',\n"cases":[\n' + ",\n".join(lines) + "\n]}\n"
    path.write_text(text)
    print(f"{path}: {len(lines)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
