"""Small models of Wan's variants with random frozen weights, as diffusers folders, and what the reference makes of them.

For each variant a folder OUT/<name> and a golden file OUT/<name>.safetensors. Text encoder and tokenizer, and the autoencoder of all but
TI2V, are links to wan-tiny's. OUT/wan-pictures holds the pictures that the runs begin and end with.
"""
import argparse
import json
import os
import random
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image
from random_wan import TINY_DIMENSIONS, fill, model_index
from reference import open_pipeline, versions
from safetensors.torch import save_file

from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline, WanVACEPipeline
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

# Width 32 of 2 heads; rotary parts t 8, h 4, w 4. Nothing equals anything that it could be confused with.
TRANSFORMER = dict(
    patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=16, out_channels=16, text_dim=TINY_DIMENSIONS["text_width"],
    freq_dim=24, ffn_dim=48, num_layers=2,
)  # fmt: skip
RESIDUAL_VAE = dict(  # Wan 2.2's: 4x16x16
    base_dim=4, decoder_base_dim=3, z_dim=12, dim_mult=[1, 2, 4, 4], num_res_blocks=1, temperal_downsample=[False, True, True], is_residual=True,
    in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16, scale_factor_temporal=4,
    latents_mean=[round(random.Random(c).uniform(-0.5, 0.5), 4) for c in range(12)],
    latents_std=[round(random.Random(c).uniform(0.5, 1.5), 4) for c in range(12)],
)  # fmt: skip

# Takes 28x28 pixels as 5 tokens.
CLIP = dict(hidden_size=40, intermediate_size=72, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=14, hidden_act="gelu")
READS_CLIP = dict(in_channels=36, image_dim=CLIP["hidden_size"], added_kv_proj_dim=32)

IMAGE_RUN = dict(width=64, height=32, num_frames=9, num_inference_steps=5, guidance_scale=5.0, image="picture.png")
VACE_RUN = dict(width=64, height=32, num_frames=5, num_inference_steps=4, guidance_scale=5.0)
PROMPT = dict(prompt="a green square moving left on a gray background", negative_prompt="blurry, dark", max_sequence_length=512)
VARIANTS = {
    "wan22-ti2v": dict(
        index=dict(expand_timesteps=True),
        transformer=dict(in_channels=12, out_channels=12),
        vae=RESIDUAL_VAE,
        flow_shift=5.0,
        runs={
            "text": dict(width=64, height=32, num_frames=9, num_inference_steps=5, guidance_scale=5.0),
            "image": IMAGE_RUN,
        },
    ),
    "wan21-i2v": dict(
        pipeline="WanImageToVideoPipeline",
        transformer=READS_CLIP,
        flow_shift=3.0,
        runs={"image": IMAGE_RUN, "resized": IMAGE_RUN | dict(image="large.png", num_frames=5)},
    ),
    "wan21-flf2v": dict(
        pipeline="WanImageToVideoPipeline",
        transformer=READS_CLIP | dict(pos_embed_seq_len=10),
        flow_shift=16.0,
        runs={"images": IMAGE_RUN | dict(last_image="last.png")},
    ),
    "wan22-i2v": dict(
        pipeline="WanImageToVideoPipeline",
        index=dict(boundary_ratio=0.9),
        transformer=dict(in_channels=36),
        flow_shift=5.0,
        runs={"image": IMAGE_RUN | dict(guidance_scale_2=2.5), "images": IMAGE_RUN | dict(last_image="last.png")},
    ),
    "wan21-vace": dict(
        pipeline="WanVACEPipeline",
        network="WanVACETransformer3DModel",
        transformer=dict(num_layers=3, vace_layers=[0, 2], vace_in_channels=96),
        flow_shift=3.0,
        runs={
            "text": VACE_RUN,
            "control": VACE_RUN | dict(video="control", conditioning_scale=0.6),
            "edit": VACE_RUN | dict(video="control", mask="mask.png"),
            "soft": VACE_RUN | dict(num_inference_steps=2, video="control", mask="soft.png"),
            "references": VACE_RUN | dict(num_inference_steps=3, reference_images=["large.png", "last.png"]),
        },
    ),
    "wan22-a14b": dict(
        index=dict(boundary_ratio=0.875),
        flow_shift=3.0,
        runs={"text": dict(width=48, height=32, num_frames=9, num_inference_steps=6, guidance_scale=4.0, guidance_scale_2=3.0)},
    ),
}  # fmt: skip


def link(target, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.symlink(os.path.relpath(target, place.parent), place)


def build(make, generator, out):
    """A network with parameters that bfloat16 holds, as which they are stored."""
    network = make().eval()
    fill(network, generator)
    network.to(torch.bfloat16).save_pretrained(out)


def write_image_encoder(out, folder, generator):
    """In the first folder that has one; the others link to it."""
    first = out / "wan21-i2v"
    if folder != first and first.exists():
        for part in ("image_encoder", "image_processor"):
            link(first / part, folder / part)
        return
    build(lambda: CLIPVisionModel(CLIPVisionConfig(**CLIP)), generator, folder / "image_encoder")
    edge = CLIP["image_size"]
    CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size={"height": edge, "width": edge}).save_pretrained(folder / "image_processor")


def write_model(out, name, variant=None, seed=31):
    variant, folder, tiny = variant or VARIANTS[name], out / name, out / "wan-tiny"
    generator = torch.Generator("cpu").manual_seed(seed)
    index = model_index() | variant.get("index", {}) | {"_class_name": variant.get("pipeline", "WanPipeline")}
    config = TRANSFORMER | variant.get("transformer", {})
    index["transformer"] = ["diffusers", variant.get("network", "WanTransformer3DModel")]
    network = getattr(diffusers, index["transformer"][1])
    build(lambda: network(**config), generator, folder / "transformer")
    if index["boundary_ratio"] is not None:
        build(lambda: network(**config), generator, folder / "transformer_2")
        index["transformer_2"] = index["transformer"]
    if config.get("image_dim"):
        index |= {"image_encoder": ["transformers", "CLIPVisionModel"], "image_processor": ["transformers", "CLIPImageProcessor"]}
        write_image_encoder(out, folder, generator)
    if "vae" in variant:
        build(lambda: AutoencoderKLWan(**variant["vae"]), generator, folder / "vae")
    else:
        link(tiny / "vae", folder / "vae")
    for part in ("text_encoder", "tokenizer"):
        link(tiny / part, folder / part)
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=variant["flow_shift"])
    scheduler.save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def make_picture(path, width, height, seed, grain=0.1):
    """Soft patches of colour, and grain."""
    generator = torch.Generator("cpu").manual_seed(seed)
    patches = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 5, generator=generator), (height, width), mode="bicubic")[0]
    pixels = (patches + grain * torch.randn(3, height, width, generator=generator)).clamp(0, 1)
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray((pixels.permute(1, 2, 0) * 255).round().byte().numpy()).save(path)


def make_pictures(out):
    for name, width, height in [("picture.png", 64, 32), ("last.png", 64, 32), ("large.png", 91, 54)]:
        make_picture(out / name, width, height, len(name))
    for index in range(5):  # unlike, so that each is seen to be in its place
        make_picture(out / "control" / f"{index}.png", 64, 32, 50 + index, grain=0)
    mask = np.zeros((32, 64), np.uint8)
    mask[5:27, 19:50] = 255  # cuts through latents
    Image.fromarray(mask).save(out / "mask.png")
    ramp = np.clip(np.arange(64) * 6 - 60, 0, 255) * np.linspace(1, 0.3, 32)[:, None]  # all greys, of which many count as white
    Image.fromarray(ramp.astype(np.uint8)).save(out / "soft.png")


def open_pictures(folder, settings):
    """The arguments of a pipeline that name pictures."""
    pictures = folder.parent / "wan-pictures"
    found = {key: Image.open(pictures / settings[key]) for key in ("image", "last_image") if key in settings}
    if "video" in settings:
        found["video"] = [Image.open(pictures / settings["video"] / f"{index}.png") for index in range(settings["num_frames"])]
    if "reference_images" in settings:
        found["reference_images"] = [Image.open(pictures / name) for name in settings["reference_images"]]
    if "mask" in settings:
        found["mask"] = [Image.open(pictures / settings["mask"]).convert("RGB")] * settings["num_frames"]
    return found


def open_vace_pipeline(folder):
    """WanVACEPipeline over what open_pipeline loads."""
    pipeline = open_pipeline(folder)
    parts = {name: getattr(pipeline, name) for name in ("tokenizer", "text_encoder", "vae", "scheduler", "transformer", "transformer_2")}
    pipeline = WanVACEPipeline(**parts, boundary_ratio=pipeline.config["boundary_ratio"])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def open_image_pipeline(folder):
    """WanImageToVideoPipeline over what open_pipeline loads."""
    pipeline = open_pipeline(folder)
    parts = {name: getattr(pipeline, name) for name in ("tokenizer", "text_encoder", "vae", "scheduler", "transformer", "transformer_2")}
    if (folder / "image_encoder").exists():
        parts["image_encoder"] = CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32).eval()
        parts["image_processor"] = CLIPImageProcessorPil.from_pretrained(folder / "image_processor")
    parts |= {key: pipeline.config[key] for key in ("boundary_ratio", "expand_timesteps")}
    pipeline = WanImageToVideoPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def record_vae(vae, generator, tensors):
    """Latents as the autoencoder has them, what it decodes them to, and what it encodes that to."""
    for count, (height, width) in {1: (32, 48), 2: (16, 32), 3: (32, 16)}.items():
        latents = torch.randn(1, vae.config.z_dim, count, height // 16, width // 16, generator=generator)
        frames = vae.decode(latents).sample
        moments = vae.encode(frames).latent_dist
        prefix = f"vae.{count}"
        tensors |= {f"{prefix}.latents": latents[0], f"{prefix}.frames": frames[0]}
        tensors |= {f"{prefix}.mean": moments.mean[0], f"{prefix}.logvar": moments.logvar[0]}


def record_pictures(folder, tensors):
    """A picture in other sizes as Pillow makes them, and the states that the image encoder gives of it."""
    picture = Image.open(folder.parent / "wan-pictures" / "large.png")
    for name, filter in (("bicubic", Image.BICUBIC), ("lanczos", Image.LANCZOS)):
        for width, height in ((28, 20), (91, 31), (120, 54)):
            pixels = np.asarray(picture.resize((width, height), filter)).transpose(2, 0, 1)
            tensors[f"pictures.{name}.{width}x{height}"] = torch.from_numpy(pixels.copy())
    tensors["pictures.states"] = open_image_pipeline(folder).encode_image(picture)[0]


def open_for(folder, settings):
    """The pipeline that runs such settings."""
    if json.loads((folder / "model_index.json").read_text())["_class_name"] == "WanVACEPipeline":
        return open_vace_pipeline(folder)
    return open_image_pipeline(folder) if open_pictures(folder, settings) else open_pipeline(folder)


def record_run(pipeline, folder, name, settings, tensors, prompt=PROMPT, seed=9):
    """The whole pipeline: latents after every step and at the end."""
    images = open_pictures(folder, settings)
    latents = []

    def after_step(_, index, timestep, values):
        latents.append(values["latents"][0].clone())
        return values

    generator = torch.Generator("cpu").manual_seed(seed)
    final = pipeline(**prompt, **settings | images, generator=generator, output_type="latent", callback_on_step_end=after_step).frames
    tensors |= {f"{name}.latents": torch.stack(latents), f"{name}.final": final[0], f"{name}.timesteps": pipeline.scheduler.timesteps}


@torch.no_grad()
def record(folder, name, out):
    variant, tensors = VARIANTS[name], {}
    if "vae" in variant:
        record_vae(open_pipeline(folder).vae, torch.Generator("cpu").manual_seed(2025), tensors)
    if name == "wan21-i2v":
        record_pictures(folder, tensors)
    for run, settings in variant["runs"].items():
        record_run(open_for(folder, settings), folder, run, settings, tensors)
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    dead = [key for key, value in tensors.items() if value.is_floating_point() and not 0.1 < value.std() < 10]
    if dead or not all(value.isfinite().all() for value in tensors.values()):
        raise SystemExit(f"random_wan_variants: not finite, or nearly constant: {', '.join(dead)}")
    about = {"versions": versions(), "prompt": PROMPT, "runs": variant["runs"], "seed": 9}
    save_file(tensors, out / f"{name}.safetensors", metadata={"about": json.dumps(about)})
    for key, value in tensors.items():
        if value.is_floating_point():
            print(f"{name:12} {key:20} {str(list(value.shape)):24} std {value.std():.2f} max {value.abs().max():.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the golden files; it holds wan-tiny already")
    args = parser.parse_args()
    make_pictures(args.out / "wan-pictures")
    for name in VARIANTS:
        record(write_model(args.out, name), name, args.out)


if __name__ == "__main__":
    main()
