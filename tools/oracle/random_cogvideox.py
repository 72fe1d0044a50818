"""Small CogVideoX models with random frozen weights, as diffusers CogVideoXPipeline folders, and what the reference makes of them.

Three folders, OUT/cogvideox-2b (sincos positions), -5b (rotary) and -1.5 (rotary, patches of two latent frames), and one golden file for
each, OUT/cogvideox-<name>.safetensors. What the three have in common lies in cogvideox-2b, and the others link to it.
"""
import argparse
import json
import math
import os
from pathlib import Path

import torch
from random_wan import fill as fill_like_wan
from reference import half_precision, versions
from safetensors.torch import save_file

from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

# Nothing equals anything that it could be confused with: d_model, heads * d_kv, time_embed_dim, inner dim, text width.
TEXT = dict(vocab_size=512, d_model=40, d_kv=12, d_ff=72, num_layers=2, num_heads=2)
TRANSFORMER = dict(
    num_attention_heads=3, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=20, text_embed_dim=40, num_layers=2,
    attention_bias=True, max_text_seq_length=226,
)  # fmt: skip
VAE = dict(block_out_channels=(4, 6, 6, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2, sample_height=480, sample_width=720)
VAE |= dict(down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4)

# As the published configs differ. The grid of the 5B's rotary positions is resized and cropped; that of 1.5 is a slice.
KINDS = {
    "2b": dict(
        transformer=dict(sample_width=90, sample_height=60, sample_frames=49, use_rotary_positional_embeddings=False),
        vae=dict(scaling_factor=1.15258426, invert_scale_latents=False),
        snr_shift_scale=3.0,
    ),
    "5b": dict(
        transformer=dict(sample_width=90, sample_height=60, sample_frames=49, use_rotary_positional_embeddings=True),
        vae=dict(scaling_factor=0.7, invert_scale_latents=False),
        snr_shift_scale=1.0,
    ),
    "1.5": dict(
        transformer=dict(
            sample_width=300, sample_height=300, sample_frames=81, use_rotary_positional_embeddings=True, patch_size_t=2, patch_bias=False
        ),
        vae=dict(scaling_factor=0.7, invert_scale_latents=True),
        snr_shift_scale=1.0,
    ),
}  # fmt: skip


def fill(module, generator):
    """Draws every parameter again, as for Wan; bfloat16 holds what is stored."""
    fill_like_wan(module, generator)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(("norm1.linear.weight", "norm2.linear.weight", "norm_out.linear.weight")):
            parameter.data.copy_(0.8 * noise / math.sqrt(parameter.shape[1]))
        elif name.endswith(("conv_y.conv.weight", "conv_b.conv.weight")):
            parameter.data.copy_(0.3 * noise / math.sqrt(parameter.shape[1]))
        elif name.endswith("conv_y.conv.bias"):  # what the decoder's norms are multiplied by
            parameter.data.copy_(1 + 0.2 * noise)
        elif "SelfAttention.q" in name:  # T5 does not divide the scores by sqrt(head dim): its queries are small instead
            parameter.data.copy_(noise / math.sqrt(parameter.shape[1] * module.config.d_kv))
        parameter.data.copy_(parameter.data.to(torch.bfloat16))


def build_text_encoder(generator):
    config = T5Config(dropout_rate=0.0, feed_forward_proj="gated-gelu", **TEXT)
    encoder = T5EncoderModel(config).eval()
    fill(encoder, generator)
    return encoder


def link(target, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.symlink(os.path.relpath(target, place.parent), place)


def write_model(out, name):
    """The folder of one kind. The first one is written whole; the others hold links to what they have in common with it."""
    kind, folder, first = KINDS[name], out / f"cogvideox-{name}", out / "cogvideox-2b"
    generator = torch.Generator("cpu").manual_seed(11)
    text_encoder = build_text_encoder(generator)
    vae = AutoencoderKLCogVideoX(**VAE, **kind["vae"]).eval()
    fill(vae, generator)
    transformer = CogVideoXTransformer3DModel(**TRANSFORMER, **kind["transformer"]).eval()
    fill(transformer, generator)
    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, set_alpha_to_one=True, snr_shift_scale=kind["snr_shift_scale"], timestep_spacing="trailing",
    )  # fmt: skip
    vae.to(torch.bfloat16).save_pretrained(folder / "vae")
    transformer.to(torch.bfloat16).save_pretrained(folder / "transformer")
    scheduler.save_pretrained(folder / "scheduler")
    link(out / "wan-tiny" / "tokenizer", folder / "tokenizer")
    weights = "diffusion_pytorch_model.safetensors"
    if folder == first:
        text_encoder.to(torch.bfloat16).save_pretrained(folder / "text_encoder")
    else:
        link(first / "text_encoder", folder / "text_encoder")
        link(first / "vae" / weights, folder / "vae" / weights)
    if name == "5b":
        link(first / "transformer" / weights, folder / "transformer" / weights)
    index = {
        "_class_name": "CogVideoXPipeline",
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "CogVideoXDDIMScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLCogVideoX"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def open_pipeline(folder):
    """Float32 whatever is stored."""
    pipeline = CogVideoXPipeline(
        tokenizer=T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
        transformer=CogVideoXTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32),
        vae=AutoencoderKLCogVideoX.from_pretrained(folder / "vae", torch_dtype=torch.float32),
        scheduler=CogVideoXDDIMScheduler.from_pretrained(folder / "scheduler"),
    )
    for part in (pipeline.text_encoder, pipeline.transformer, pipeline.vae):
        part.to(torch.float32).eval()
    return pipeline


def record_text(pipeline, generator, tensors):
    """The empty prompt and a short one, with the padding that the encoder reads without a mask, and ids that reach the last bucket."""
    for index, prompt in enumerate(["", "a red circle bouncing on a navy background"]):
        ids = pipeline.tokenizer([prompt], padding="max_length", max_length=226, truncation=True, return_tensors="pt").input_ids
        tensors[f"text.{index}.prompt_embeds"] = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)[0]
        tensors[f"text.{index}.input_ids"] = ids
    ids = torch.randint(3, 500, (1, 180), generator=generator)
    tensors |= {"text.2.input_ids": ids, "text.2.prompt_embeds": pipeline.text_encoder(ids).last_hidden_state}


# Name → clips, latent frames, height, width, text tokens, timesteps. 60x90 is the size that the models are trained at (base of the grid).
TRANSFORMER_CASES = {
    "video": dict(size=(1, 4, 6, 10), text=7, timestep=[500]),
    "image": dict(size=(1, 2, 10, 4), text=5, timestep=[999]),
    "clips": dict(size=(2, 6, 4, 8), text=9, timestep=[17, 803]),
    "long": dict(size=(1, 14, 2, 4), text=48, timestep=[250]),
    "tall": dict(size=(1, 2, 24, 6), text=5, timestep=[40]),
}
# Odd numbers of latent frames, which patches of two do not take.
SINGLE_FRAME_CASES = {"frame": dict(size=(1, 1, 8, 6), text=4, timestep=[700]), "odd": dict(size=(2, 3, 6, 4), text=6, timestep=[333, 1])}


def set_text_length(transformer, length):
    """The reference keeps the sincos positions of one text length."""
    embed = transformer.patch_embed
    if embed.use_positional_embeddings:
        embed.max_text_seq_length = length


def record_transformer(pipeline, generator, tensors):
    config = pipeline.transformer.config
    cases = TRANSFORMER_CASES | ({} if config.patch_size_t else SINGLE_FRAME_CASES)
    for name, case in cases.items():
        clips, frames, height, width = case["size"]
        latents = half_precision(torch.randn(clips, frames, config.in_channels, height, width, generator=generator))
        text = half_precision(torch.randn(clips, case["text"], config.text_embed_dim, generator=generator))
        timestep = torch.tensor(case["timestep"])
        set_text_length(pipeline.transformer, case["text"])
        rotary = None
        if config.use_rotary_positional_embeddings:
            rotary = pipeline._prepare_rotary_positional_embeddings(8 * height, 8 * width, frames, torch.device("cpu"))
        output = pipeline.transformer(latents, text, timestep, image_rotary_emb=rotary, return_dict=False)[0]
        prefix = f"transformer.{name}"
        tensors |= {f"{prefix}.hidden_states": latents.transpose(1, 2).half(), f"{prefix}.timestep": timestep.float()}
        tensors |= {f"{prefix}.encoder_hidden_states": text.half(), f"{prefix}.output": output.transpose(1, 2)}


def record_vae(pipeline, generator, tensors):
    """Latents as the autoencoder has them, before scaling. Decoded frames are as the pipeline clamps them."""
    for latents, (height, width) in {1: (24, 16), 2: (16, 24), 3: (16, 16), 4: (8, 16), 5: (16, 8), 13: (8, 8)}.items():
        pixels = half_precision(torch.rand(1, 3, 4 * latents - 3, height, width, generator=generator) * 2 - 1)
        if latents != 4:
            moments = pipeline.vae.encode(pixels).latent_dist
            prefix = f"vae.encode_{latents}"
            tensors |= {f"{prefix}.frames": pixels.half(), f"{prefix}.mean": moments.mean, f"{prefix}.logvar": moments.logvar}
        z = half_precision(torch.randn(1, pipeline.vae.config.latent_channels, latents, height // 8, width // 8, generator=generator))
        tensors |= {f"vae.decode_{latents}.latents": z.half(), f"vae.decode_{latents}.frames": pipeline.vae.decode(z).sample.clamp(-1, 1)}


RUN = dict(prompt="a cat walks along a wall", negative_prompt="blue", height=32, width=48, num_frames=9, num_inference_steps=4, guidance_scale=6.0)


def record_run(pipeline, tensors, name="run", **settings):
    """The whole pipeline: latents after every step, as [C, T, h, w], and, of the first run, the frames before rounding."""
    latents = []

    def after_step(_, index, timestep, values):
        latents.append(values["latents"][0].transpose(0, 1).clone())
        return values

    set_text_length(pipeline.transformer, 226)
    generator = torch.Generator("cpu").manual_seed(7)
    output_type = "pt" if name == "run" else "latent"
    video = pipeline(**RUN, **settings, generator=generator, output_type=output_type, callback_on_step_end=after_step).frames[0]
    tensors |= {f"{name}.latents": torch.stack(latents), f"{name}.timesteps": pipeline.scheduler.timesteps}
    if name == "run":
        tensors["run.frames"] = video.permute(0, 2, 3, 1).half()


@torch.no_grad()
def record(folder, name, out):
    pipeline = open_pipeline(folder)
    generator = torch.Generator("cpu").manual_seed(2025)
    tensors = {}
    record_transformer(pipeline, generator, tensors)
    if name == "2b":  # the others have the same encoder and autoencoder
        record_text(pipeline, generator, tensors)
        record_vae(pipeline, generator, tensors)
    record_run(pipeline, tensors)
    record_run(pipeline, tensors, "dynamic", use_dynamic_cfg=True)
    pipeline.scheduler = CogVideoXDPMScheduler.from_config(pipeline.scheduler.config)
    record_run(pipeline, tensors, "dpm", use_dynamic_cfg=True)
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    dead = [key for key, value in tensors.items() if value.is_floating_point() and value.numel() > 2 and not 0.1 < value.std() < 10]
    if dead or not all(value.isfinite().all() for value in tensors.values()):
        raise SystemExit(f"random_cogvideox: not finite, or nearly constant: {', '.join(dead)}")
    save_file(tensors, out / f"cogvideox-{name}.safetensors", metadata={"versions": json.dumps(versions())})
    for key, value in tensors.items():
        if key.endswith(("output", "prompt_embeds", "mean", "logvar", "frames", "latents")):
            print(f"{name:4} {key:32} {str(list(value.shape)):24} std {value.std():.2f} max {value.abs().max():.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the golden files; it holds wan-tiny already")
    args = parser.parse_args()
    for name in KINDS:
        record(write_model(args.out, name), name, args.out)


if __name__ == "__main__":
    main()
