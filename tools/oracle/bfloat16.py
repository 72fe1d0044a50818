"""What bfloat16 does to the latents of whole runs in the reference: OUT/bfloat16.json, which t2v's own errors are held to."""
import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from reference import SHIPPED_MODELS, TINY_MODEL, Request, denoise, lower, open_pipeline, text_tokens, versions

SEEDS = 8  # of noise, from 1, of each prompt: one run's errors vary by half
PROMPTS = [
    "a red circle bouncing on a navy background",
    "a large yellow star moving right and a small cyan ring spinning on a black background",
    "a purple heart and a green cross standing still on a white background",
]


def requests():
    tiny = Request("", "blurry, dark", width=48, height=32, frames=9, steps=4, guidance_scale=4.0, seed=0, max_text_tokens=512)
    yield "wan-tiny", TINY_MODEL, tiny
    world = SHIPPED_MODELS["world-128"]
    yield "world-128", world, replace(tiny, negative_prompt="", width=64, height=64, max_text_tokens=text_tokens(world))


def errors_of(folder, request):
    """What bfloat16 changes after each step: the root mean square of a run, of which the geometric mean over all prompts and seeds."""
    pipelines, squares = [open_pipeline(folder), lower(open_pipeline(folder), folder)], []
    for prompt in PROMPTS:
        for seed in range(1, SEEDS + 1):
            exact, low = (denoise(pipeline, replace(request, prompt=prompt, seed=seed))[0].double() for pipeline in pipelines)
            squares.append((low - exact).square().flatten(1).mean(1))
    return torch.stack(squares).sqrt().log().mean(0).exp()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write bfloat16.json into")
    out = parser.parse_args().out
    models = {}
    for name, folder, request in requests():
        settings = {key: getattr(request, key) for key in ("negative_prompt", "width", "height", "frames", "steps", "guidance_scale")}
        models[name] = {"settings": settings, "errors": [float(f"{error:.4g}") for error in errors_of(folder, request).tolist()]}
        print(name, *models[name]["errors"])
    (out / "bfloat16.json").write_text(json.dumps({"versions": versions(), "prompts": PROMPTS, "seeds": SEEDS, "models": models}, indent=1) + "\n")


if __name__ == "__main__":
    main()
