"""Golden files of single networks: OUT/components_<model>.safetensors, of the shipped models and of wan-tiny.

Every case holds its inputs, which are half precision numbers, and what the reference makes of them, float32 (ids and masks int64). The names are listed in
README.md.
"""
import argparse
import json
from pathlib import Path

import torch
from reference import SHIPPED_MODELS, half_precision, open_pipeline, text_tokens, versions
from safetensors.torch import save_file

PROMPTS = [
    "",
    "a red circle bouncing on a navy background",
    "a video of a small cyan triangle moving in a circle and a large orange heart growing and shrinking against beige",
]


def umt5_cases(pipeline, length, generator):
    """Three prompts, padded on the right, and one long sequence of random ids that reaches the last relative position bucket."""
    for prompt in PROMPTS:
        tokens = pipeline.tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        yield tokens.input_ids, tokens.attention_mask
    ids = torch.randint(3, min(500, pipeline.text_encoder.config.vocab_size), (1, 144), generator=generator)
    mask = (torch.arange(144) < 140).long().unsqueeze(0)
    yield ids * mask, mask


def record_umt5(pipeline, length, generator, tensors):
    for index, (ids, mask) in enumerate(umt5_cases(pipeline, length, generator)):
        hidden = pipeline.text_encoder(ids, mask).last_hidden_state
        tensors |= {f"umt5.{index}.input_ids": ids, f"umt5.{index}.attention_mask": mask, f"umt5.{index}.last_hidden_state": hidden}


def transformer_cases(text):
    """Name → batch, latent frames, height, width, text length, timesteps."""
    frames, tokens = (3, 4, 6), 3 * 2 * 3
    ramp = torch.arange(tokens) * 37 % 1000
    return {
        "video": dict(size=(1, 3, 6, 10), text=text, timestep=torch.tensor([500])),
        "image": dict(size=(1, 1, 8, 6), text=text, timestep=torch.tensor([999])),
        "batch": dict(size=(2, 4, 6, 4), text=12, timestep=torch.tensor([17, 803])),
        "short_text": dict(size=(1, 3, 4, 6), text=5, timestep=torch.tensor([1])),
        # [B, tokens], as WanPipeline with expand_timesteps: frame 0 is known in the first clip, every frame has its own in the second
        "frame_timesteps": dict(
            size=(2, *frames), text=12, timestep=torch.tensor([[0, 700, 700], [900, 450, 12]]).repeat_interleave(6, dim=1)
        ),
        "token_timesteps": dict(size=(2, *frames), text=12, timestep=torch.stack([ramp, ramp.flip(0)])),
    }


def record_transformer(pipeline, length, generator, tensors):
    config = pipeline.transformer.config
    for name, case in transformer_cases(min(length, 48)).items():
        batch, frames, height, width = case["size"]
        latents = half_precision(torch.randn(batch, config.in_channels, frames, height, width, generator=generator))
        text = half_precision(torch.randn(batch, case["text"], config.text_dim, generator=generator))
        for clip in range(batch):
            text[clip, case["text"] - 1 - 2 * clip :] = 0  # padding is zero, is attended to, and is not the same in every clip
        timestep = case["timestep"].float()
        output = pipeline.transformer(latents, timestep, text, return_dict=False)[0]
        prefix = f"transformer.{name}"
        tensors |= {f"{prefix}.hidden_states": latents.half(), f"{prefix}.timestep": timestep}
        tensors |= {f"{prefix}.encoder_hidden_states": text.half(), f"{prefix}.output": output}


def moving_disc(frames, height, width):
    """A disc crossing a plain background, [1, 3, T, H, W] in [-1, 1]: the kind of picture that the shipped model knows."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    time = torch.arange(frames).view(-1, 1, 1) / 8
    distance = torch.hypot(x - width * (0.3 + 0.2 * time), y - height * (0.4 + 0.1 * time)) - 0.22 * min(height, width)
    alpha = (0.5 - distance).clamp(0, 1)
    background, disc = (torch.tensor(c).view(3, 1, 1, 1) / 127.5 - 1 for c in ((16.0, 24.0, 84.0), (222.0, 38.0, 38.0)))
    return (background + (disc - background) * alpha).unsqueeze(0)


def record_vae(pipeline, noise_frames, generator, tensors):
    config = pipeline.vae.config
    mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(config.latents_std).view(1, -1, 1, 1, 1)
    for frames, (height, width) in {1: (32, 16), 5: (16, 32), 9: (16, 16), 17: (16, 16)}.items():
        pixels = moving_disc(frames, height, width)
        if noise_frames:
            pixels = torch.rand(pixels.shape, generator=generator) * 2 - 1
        pixels = half_precision(pixels)
        moments = pipeline.vae.encode(pixels).latent_dist
        prefix = f"vae.encode_{frames}"
        tensors |= {f"{prefix}.frames": pixels.half(), f"{prefix}.mean": moments.mean, f"{prefix}.logvar": moments.logvar}
    scale = config.scale_factor_spatial
    for frames, (height, width) in {1: (32, 16), 2: (16, 32), 3: (16, 16), 5: (16, 16)}.items():
        size = (1, config.z_dim, frames, height // scale, width // scale)
        latents = half_precision(torch.randn(size, generator=generator) * std + mean)
        tensors |= {f"vae.decode_{frames}.latents": latents.half(), f"vae.decode_{frames}.frames": pipeline.vae.decode(latents).sample}


@torch.no_grad()
def record(model, name, out):
    pipeline = open_pipeline(model)
    generator = torch.Generator("cpu").manual_seed(2024)
    tensors = {}
    length = text_tokens(model)
    record_umt5(pipeline, min(length, 48), generator, tensors)
    record_transformer(pipeline, length, generator, tensors)
    record_vae(pipeline, name == "tiny", generator, tensors)
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    broken = [key for key, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise SystemExit(f"components: not finite: {', '.join(broken)}")
    save_file(tensors, out / f"components_{name}.safetensors", metadata={"versions": json.dumps(versions())})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the golden files; it holds wan-tiny already")
    args = parser.parse_args()
    for name, model in (SHIPPED_MODELS | {"tiny": args.out / "wan-tiny"}).items():
        record(model, name, args.out)


if __name__ == "__main__":
    main()
