"""The same stages as bench/stages.cpp in the reference library (diffusers, PyTorch eager), on the same weights: prints "NAME milliseconds" lines, by the clock
and by the processor.

usage: reference.py MODEL [--width 64] [--height 64] [--frames 17] [--threads 1] [--repeat 15] [--stages NAME…]
"""
import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from diffusers import WanPipeline


def milliseconds(run, warmups, repeat):
    for _ in range(warmups):
        run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter(), time.process_time()
        run()
        times.append(((time.perf_counter() - start[0]) * 1e3, (time.process_time() - start[1]) * 1e3))
    return [statistics.median(one) for one in zip(*times)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    for name, value in (("width", 64), ("height", 64), ("frames", 17), ("threads", 1), ("warmups", 2), ("repeat", 15), ("steps", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--one-clip", action="store_true", help="make one clip and print nothing: for timing a whole process")
    parser.add_argument("--stages", nargs="+", help="these alone")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    pipe = WanPipeline.from_pretrained(args.model)
    pipe.set_progress_bar_config(disable=True)
    vae = pipe.vae
    ratio, temporal = vae.config.scale_factor_spatial, vae.config.scale_factor_temporal
    settings = Path(args.model) / "t2v.json"
    text_tokens = json.loads(settings.read_text())["max_text_tokens"] if settings.exists() else 512

    def whole_clip():
        pipe("a red circle bouncing on a navy background", negative_prompt="", width=args.width, height=args.height, num_frames=args.frames,
             num_inference_steps=args.steps, guidance_scale=6.0, max_sequence_length=text_tokens, generator=torch.Generator().manual_seed(1))

    if args.one_clip:
        whole_clip()
        return

    latents = torch.randn(1, vae.config.z_dim, (args.frames - 1) // temporal + 1, args.height // ratio, args.width // ratio)
    text = torch.randn(2, text_tokens, pipe.transformer.config.text_dim)
    timestep = torch.tensor([500])

    def dit_step():  # two forwards, as the stock pipeline does guidance
        for branch in range(2):
            pipe.transformer(hidden_states=latents, timestep=timestep, encoder_hidden_states=text[branch : branch + 1], return_dict=False)

    frames = torch.rand(1, 3, args.frames, args.height, args.width) * 2 - 1
    ids = torch.arange(3, 23)[None]
    stages = {
        "dit_step": dit_step,
        "vae_decode": lambda: vae.decode(latents),
        "vae_encode": lambda: vae.encode(frames),
        "text_encode": lambda: pipe.text_encoder(ids, torch.ones_like(ids)),
        "clip": whole_clip,
    }
    for name, run in stages.items():
        if args.stages and name not in args.stages:
            continue
        print(name, *(f"{time:.3f}" for time in milliseconds(run, args.warmups, 5 if name == "clip" else args.repeat)), flush=True)


main()
