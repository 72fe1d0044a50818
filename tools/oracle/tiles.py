"""Golden file of autoencoders in tiles and in bfloat16: OUT/vae_tiles.safetensors, of the random models of OUT.

Latents and frames are torch.randn's of the case's seed, and not stored; of what the reference makes of them a part is: every
ROWS-th row and COLUMNS-th column of the first, a middle and the last frame (of latents every fifth row and column of all, of what is made whole every seventh).
"""
import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from diffusers import AutoencoderKLCogVideoX, AutoencoderKLWan

ROWS, COLUMNS = 14, 15
# Model → latent frames → latent rows and columns; larger than a tile on one axis or both, and no multiple of its stride.
CASES = {
    "wan-tiny": (AutoencoderKLWan, {1: (33, 35), 3: (26, 58), 6: (34, 20)}),
    "wan22-ti2v": (AutoencoderKLWan, {1: (33, 37), 3: (14, 29), 6: (36, 10)}),
    "cogvideox-2b": (AutoencoderKLCogVideoX, {1: (31, 47), 3: (31, 40), 5: (20, 49)}),
}


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(seed))


def part_of_frames(frames):
    """[1, 3, T, H, W] → [3, 1 to 3, H / ROWS, W / COLUMNS]"""
    chosen = sorted({0, frames.shape[2] // 2, frames.shape[2] - 1})
    return frames[0][:, chosen, ::ROWS, ::COLUMNS].clone()


@torch.no_grad()
def record(out, name, tensors):
    kind, cases = CASES[name]
    vae = kind.from_pretrained(out / name / "vae", torch_dtype=torch.float32).eval()
    channels = vae.config.z_dim if kind is AutoencoderKLWan else vae.config.latent_channels
    ratio = 8 * (getattr(vae.config, "patch_size", None) or 1)
    vae.enable_tiling()
    for count, (height, width) in cases.items():
        prefix = f"{name}.{count}"
        latents = noise(count, 1, channels, count, height, width)
        tensors[f"{prefix}.frames"] = part_of_frames(vae.decode(latents).sample.clamp(-1, 1))
        frames = noise(10 + count, 1, 3, 4 * count - 3, ratio * height, ratio * width).clamp(-1, 1)
        posterior = vae.encode(frames).latent_dist
        for key, value in {"mean": posterior.mean, "logvar": posterior.logvar}.items():
            tensors[f"{prefix}.{key}"] = value[0][:, :, ::5, ::5].clone()
    vae.disable_tiling()
    latents = noise(20, 1, channels, 3, 6, 8)
    tensors[f"{name}.whole"] = vae.decode(latents).sample.clamp(-1, 1)[0][:, :, ::7, ::7].clone()
    low = vae.to(torch.bfloat16).decode(latents.to(torch.bfloat16)).sample
    tensors[f"{name}.bfloat16"] = low.float().clamp(-1, 1)[0][:, :, ::7, ::7].clone()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the golden files; it holds the models already")
    args = parser.parse_args()
    tensors = {}
    for name in CASES:
        record(args.out, name, tensors)
    for key, value in tensors.items():
        print(f"{key:24} {str(list(value.shape)):24} std {value.std():.2f} max {value.abs().max():.2f}")
    save_file(tensors, args.out / "vae_tiles.safetensors")


if __name__ == "__main__":
    main()
