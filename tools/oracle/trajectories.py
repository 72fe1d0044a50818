"""Golden file of whole runs: OUT/trajectories.safetensors, the latents after every step and the frames at the end.

Shipped model: three prompts at three aspects, UniPC through the stock pipeline and DDIM through its loop. Tiny model: flow UniPC and Euler.
"""
import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from diffusers import FlowMatchEulerDiscreteScheduler
from reference import SHIPPED_MODELS, Request, open_pipeline, run_ddim, run_pipeline, text_tokens, versions
from safetensors.torch import save_file

SHIPPED_CASES = {  # of each model: prompt, width, height, frames, seed
    "world-128": {
        "square": ("a red circle bouncing on a navy background", 64, 64, 9, 1),
        "wide": ("a cyan diamond swaying and an orange cross falling on a gray background", 64, 32, 17, 2),
        "tall": ("white background, a small purple heart spinning", 64, 96, 5, 3),
    },
}
RESCALED_CASE = "square"  # once more with the guidance scaled back
NO_FRAMES_OF = ("square.unipc", "rescaled.ddim", "wide.unipc", "tall.ddim", "tall.unipc", "flow-euler")  # what decodes them is in the other runs
FLOAT_FRAMES_OF = "tiny.unipc"  # as floats; bytes hide errors below half a level


def shipped_runs(model, cases):
    pipeline = open_pipeline(model)
    for name, (prompt, width, height, frames, seed) in cases.items():
        request = Request(
            prompt=prompt,
            negative_prompt="",
            width=width,
            height=height,
            frames=frames,
            steps=20,
            guidance_scale=6.0,
            seed=seed,
            max_text_tokens=text_tokens(model),
        )
        yield f"{name}.ddim", request, run_ddim(pipeline, request)
        yield f"{name}.unipc", request, run_pipeline(pipeline, request)
        if name == RESCALED_CASE:
            rescaled = replace(request, frames=5, guidance_rescale=0.7)
            yield "rescaled.ddim", rescaled, run_ddim(pipeline, rescaled)


def tiny_runs(model):
    request = Request(
        prompt="a green square moving left on a gray background",
        negative_prompt="blurry, dark",
        width=48,
        height=32,
        frames=9,
        steps=8,
        guidance_scale=5.0,
        seed=4,
        max_text_tokens=text_tokens(model),
    )
    pipeline = open_pipeline(model)
    yield "tiny.unipc", request, run_pipeline(pipeline, request)
    config = pipeline.scheduler.config
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(config, shift=config.flow_shift)
    yield "tiny.flow-euler", request, run_pipeline(pipeline, request)


def add_run(tensors, name, run):
    tensors |= {f"{name}.{part}": getattr(run, part) for part in ("noise", "timesteps", "latents")}
    for part in ("prompt_embeds", "negative_prompt_embeds"):
        embeds = getattr(run, part)
        rows = int(embeds.abs().sum(dim=1).gt(0).nonzero().max()) + 1
        tensors[f"{name}.{part}"] = embeds[:rows].clone()  # the rest, up to max_text_tokens, is zero
    if name == FLOAT_FRAMES_OF:
        tensors[f"{name}.frames_float"] = run.frames.half()
    elif not name.endswith(NO_FRAMES_OF):
        tensors[f"{name}.frames"] = (run.frames * 255).round().byte()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the golden files; it holds wan-tiny already")
    args = parser.parse_args()
    tensors, cases = {}, {}
    runs_of = {model: shipped_runs(SHIPPED_MODELS[model], own) for model, own in SHIPPED_CASES.items()}
    runs_of["tiny"] = tiny_runs(args.out / "wan-tiny")
    for model, runs in runs_of.items():
        for name, request, run in runs:
            add_run(tensors, name, run)
            cases[name] = {"model": model, **asdict(request)}
    metadata = {"about": json.dumps({"versions": versions(), "cases": cases})}  # one key: safetensors writes several in any order
    save_file({key: value.contiguous() for key, value in tensors.items()}, args.out / "trajectories.safetensors", metadata=metadata)


if __name__ == "__main__":
    main()
