"""Live parity: random models and requests made from a seed, through the reference and through t2v, compared stage by stage.

parity.py SEED: Wan 2.1 and the layout of models/world-128. parity.py wan-VARIANT SEED: one of Wan's variants, in each of its tasks;
parity.py skyreels-df SEED: SkyReels-V2 for diffusion forcing.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from random_wan import write_model
from reference import REPOSITORY, Request, denoise, lower, open_pipeline, run_ddim, run_pipeline, text_tokens
from safetensors.torch import load_file, save_file

TEXT_LIMIT = 1e-4  # of the tensor's scale, its root mean square
LATENTS_LIMIT = 1e-3
FRAMES_LIMIT = 1.5  # levels of 255: one, and the half that rounding to bytes adds
OFFSET_LIMIT = 0.1  # levels; truncating instead of rounding gives 0.5
BFLOAT16_LIMIT = 1.2  # t2v's error in bfloat16, in units of the reference's
BFLOAT16_SEEDS = 6  # of noise: one run's errors vary by half

PROMPTS = [
    "a red circle bouncing on a navy background",
    "a large yellow star moving right and a small cyan ring spinning on a black background",
    "",
    "white   background,\n a purple heart &amp; a green cross standing still",
    "caf\u00e9 \u201cquoted\u201d \u2603 9 \u6f22\u5b57",
    "an orange diamond pulsing, " * 30,
]
NEGATIVE_PROMPTS = ["", "blurry, dark", "two objects"]


def random_request(rng, folder):
    return Request(
        prompt=rng.choice(PROMPTS),
        negative_prompt=rng.choice(NEGATIVE_PROMPTS),
        width=rng.choice([32, 48, 64, 80]),
        height=rng.choice([32, 48, 64, 80]),
        frames=rng.choice([1, 5, 9, 13]),
        steps=rng.choice([1, 2, 5, 8, 11]),
        guidance_scale=rng.choice([1.0, 2.5, 5.0, 6.5]),
        seed=rng.randrange(2**31),
        max_text_tokens=text_tokens(folder),
    )


def run_t2v(binary, model, request, scheduler, init_latents, out, more=()):
    """Runs `t2v generate`; its latents, trace and frames land in `out`. Without init_latents the noise comes from the seed."""
    command = [binary, "generate", "-m", model, "-p", request.prompt, "-n", request.negative_prompt]
    command += ["-W", request.width, "-H", request.height, "--frames", request.frames, "--fps", 8]
    command += ["--steps", request.steps, "--scheduler", scheduler, "-s", request.seed]
    command += ["--guidance-scale", request.guidance_scale, "--guidance-rescale", request.guidance_rescale]
    command += ["--init-latents", init_latents] if init_latents else []
    command += ["--save-latents", out / "final.safetensors", "--trace", out / "trace", "-o", out / "frames" / "%05d.png"]
    command += more
    (out / "frames").mkdir(parents=True)
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"t2v ended with exit code {done.returncode}:\n{done.stdout}")


class Table:
    """One line per stage: largest error, in units of the reference's scale, against its limit (None: for information only)."""

    def __init__(self):
        self.failed = False

    def row(self, stage, error, limit):
        ok = limit is None or error <= limit  # a NaN is not
        self.failed |= not ok
        judgement = "" if limit is None else f"{limit:>8.1e}  {'ok' if ok else 'FAIL'}"
        print(f"  {stage:<28} {error:>10.2e}  {judgement}".rstrip())

    def tensors(self, stage, expected, found, limit):
        expected, found = expected.double(), found.double()
        if expected.shape != found.shape:
            print(f"  {stage:<28} expected shape {list(expected.shape)}, found {list(found.shape)}  FAIL")
            self.failed = True
            return
        scale = expected.pow(2).mean().sqrt()
        self.row(stage, ((expected - found).abs().max() / scale).item(), limit)


def padded(embeds, rows):
    """A trace may leave out the zero rows after a prompt's last token."""
    return torch.cat([embeds, embeds.new_zeros(max(0, rows - len(embeds)), embeds.shape[1])])


def read_frames(folder):
    return torch.from_numpy(np.stack([np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]))


def read_steps(out):
    return [load_file(path) for path in sorted((out / "trace").glob("step_*.safetensors"))]


def compare_bfloat16(table, pipelines, latents_of, latents_of_t2v, out):
    """Latents [steps, ...] of runs of several seeds: what bfloat16 changes (geometric mean of root mean squares), here in units of there.

    pipelines: in float32, and in bfloat16. latents_of(pipeline, seed), latents_of_t2v(seed, folder).
    """
    squares = []
    for seed in range(BFLOAT16_SEEDS):
        exact, low = (latents_of(pipeline, seed).double() for pipeline in pipelines)
        found = latents_of_t2v(seed, out / f"bfloat16-{seed}").double()
        squares.append([(latents - exact).square().flatten(1).mean(1) for latents in (found, low)])
    here, there = (torch.stack(of_runs).sqrt().log().mean(0).exp() for of_runs in zip(*squares))
    for name, step in (("first", 0), ("last", -1)):
        table.row(f"bfloat16, {name} step", (here[step] / there[step]).item(), BFLOAT16_LIMIT)


def compare(table, expected, request, out):
    text = load_file(out / "trace" / "text.safetensors")
    rows = request.max_text_tokens
    table.tensors("prompt embedding", expected.prompt_embeds, padded(text["prompt_embeds"], rows), TEXT_LIMIT)
    if request.guidance_scale > 1:
        negative = padded(text["negative_prompt_embeds"], rows)
        table.tensors("negative prompt embedding", expected.negative_prompt_embeds, negative, TEXT_LIMIT)

    steps = read_steps(out)
    timesteps = torch.tensor([float(step["timestep"].reshape(-1)[0]) for step in steps])
    table.tensors("timesteps", expected.timesteps, timesteps, 0.0)
    for index, (reference, step) in enumerate(zip(expected.latents, steps)):
        table.tensors(f"latents after step {index + 1}", reference.unsqueeze(0), step["latents"], None)
    table.tensors("final latents", expected.latents[-1:], load_file(out / "final.safetensors")["latents"], LATENTS_LIMIT)

    frames = read_frames(out / "frames").double()
    levels = expected.frames.double() * 255
    if frames.shape != levels.shape:
        table.tensors("frames", levels, frames, FRAMES_LIMIT)
        return
    table.row("frames, levels of 255", (frames - levels).abs().max().item(), FRAMES_LIMIT)
    table.row("frames, mean offset", abs((frames - levels).mean().item()), OFFSET_LIMIT)


def check(binary, model, scheduler, request, work, table):
    """UniPC starts from saved noise, DDIM from the seed alone, so that both ways in are tried."""
    print(f"{model.name}, {scheduler}: {request}")
    pipeline = open_pipeline(model)
    expected = run_ddim(pipeline, request) if scheduler == "ddim" else run_pipeline(pipeline, request)
    out = work / f"{model.name}-{scheduler}"
    out.mkdir()
    init_latents = None
    if scheduler == "unipc":
        init_latents = out / "noise.safetensors"
        save_file({"latents": expected.noise}, init_latents)
    try:
        run_t2v(binary, model, request, scheduler, init_latents, out)
        compare(table, expected, request, out)
        if scheduler == "unipc":
            check_bfloat16(binary, model, request, out, table)
    except (RuntimeError, OSError, KeyError, ValueError) as error:  # t2v failed, or left out a file or a tensor
        print(f"  FAIL {type(error).__name__}: {error}")
        table.failed = True


def check_bfloat16(binary, model, request, out, table):
    def latents_of(pipeline, seed):
        return denoise(pipeline, replace(request, seed=seed))[0]

    def latents_of_t2v(seed, out):
        run_t2v(binary, model, replace(request, seed=seed), "unipc", None, out, ["--dtype", "bfloat16"])
        return torch.cat([step["latents"] for step in read_steps(out)])

    compare_bfloat16(table, [open_pipeline(model), lower(open_pipeline(model), model)], latents_of, latents_of_t2v, out)


def check_text_models(binary, rng, work, table):
    for kind, schedulers in {"wan21": ["unipc"], "world": ["unipc", "ddim"]}.items():
        size = write_model(work / kind, rng.randrange(2**31), kind, shard=rng.random() < 0.5)
        print(f"{kind}:", " ".join(f"{name}={value}" for name, value in size.items()))
        for scheduler in schedulers:
            check(binary, work / kind, scheduler, random_request(rng, work / kind), work, table)


def main():
    from skyreels_parity import NAME, check_skyreels  # which imports what is above
    from variant_parity import NAMES, check_variant

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant", nargs="?", choices=[*NAMES, NAME], help="one of Wan's variants, or SkyReels-V2 (Wan 2.1 and world-128 when absent)")
    parser.add_argument("seed", type=int, help="decides the models' dimensions and weights, the prompts and the settings")
    default = Path(os.environ.get("T2V", REPOSITORY / "build" / "release" / "t2v"))
    parser.add_argument("--t2v", type=Path, default=default, help="the binary ($T2V, or build/release/t2v)")
    args = parser.parse_args()
    if not os.access(args.t2v, os.X_OK) or args.t2v.is_dir():
        sys.exit(f"parity: no program at {args.t2v}; build the release preset, or name the binary in $T2V")

    rng = random.Random(args.seed)
    name = " ".join(filter(None, [args.variant, str(args.seed)]))
    work = Path(tempfile.mkdtemp(prefix=f"t2v-parity-{name.replace(' ', '-')}-"))
    table = Table()
    if args.variant == NAME:
        check_skyreels(args.t2v, rng, work, table)
    elif args.variant:
        check_variant(args.t2v, args.variant, rng, work, table)
    else:
        check_text_models(args.t2v, rng, work, table)
    if table.failed:
        sys.exit(f"parity {name}: FAILED; models, traces and frames are in {work}")
    shutil.rmtree(work)
    print(f"parity {name}: all stages agree")


if __name__ == "__main__":
    main()
