"""A small SkyReels-V2 model for diffusion forcing with random frozen weights, as a diffusers folder, and what the reference makes of it.

OUT/skyreels-df and OUT/skyreels-df.safetensors. Text encoder, tokenizer and autoencoder are links to wan-tiny's, the pictures are
wan-pictures'.
"""
import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from random_wan import TINY_DIMENSIONS, model_index
from random_wan_variants import PROMPT, build, link
from reference import versions
from safetensors.torch import save_file

import diffusers
from diffusers import AutoencoderKLWan, SkyReelsV2Transformer3DModel, UniPCMultistepScheduler
from transformers import T5Tokenizer, UMT5EncoderModel

NAME = "skyreels-df"
PIPELINE = "SkyReelsV2DiffusionForcingPipeline"
# Width 20 of 2 heads; rotary parts t 6, h 2, w 2.
TRANSFORMER = dict(
    patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=10, in_channels=16, out_channels=16, text_dim=TINY_DIMENSIONS["text_width"],
    freq_dim=18, ffn_dim=36, num_layers=2, inject_sample_info=True,
)  # fmt: skip

SMALL = dict(width=32, height=32, num_inference_steps=3, guidance_scale=6.0)
LONG = dict(base_num_frames=13, overlap_history=5)
OF_PICTURES = dict(width=64, height=32)
RUNS = {
    "text": SMALL | dict(num_frames=9, fps=24),
    "slow": SMALL | dict(num_frames=5, fps=16),
    "long": SMALL | LONG | dict(num_frames=25, fps=24),  # the last window is a shorter one
    "image": SMALL | LONG | OF_PICTURES | dict(num_frames=21, fps=24, image="picture.png"),
    "video": SMALL | LONG | OF_PICTURES | dict(num_frames=17, fps=24, video="control"),
}
CLASSES = {"image": "SkyReelsV2DiffusionForcingImageToVideoPipeline", "video": "SkyReelsV2DiffusionForcingVideoToVideoPipeline"}


def write_model(out, config=TRANSFORMER, flow_shift=8.0, seed=37):
    folder, tiny = out / NAME, out / "wan-tiny"
    build(lambda: SkyReelsV2Transformer3DModel(**config), torch.Generator("cpu").manual_seed(seed), folder / "transformer")
    for part in ("vae", "text_encoder", "tokenizer"):
        link(tiny / part, folder / part)
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=flow_shift).save_pretrained(folder / "scheduler")
    index = {key: value for key, value in model_index().items() if key not in ("boundary_ratio", "expand_timesteps", "transformer_2")}
    index |= {"_class_name": PIPELINE, "transformer": ["diffusers", "SkyReelsV2Transformer3DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def open_pipeline(folder, name=PIPELINE):
    pipeline = getattr(diffusers, name)(
        tokenizer=T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval(),
        transformer=SkyReelsV2Transformer3DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32).eval(),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval(),
        scheduler=UniPCMultistepScheduler.from_pretrained(folder / "scheduler"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def open_pictures(folder, settings):
    pictures = folder.parent / "wan-pictures"
    if "image" in settings:
        return {"image": Image.open(pictures / settings["image"])}
    if "video" in settings:
        files = sorted((pictures / settings["video"]).glob("*.png"), key=lambda file: int(file.stem))
        return {"video": [Image.open(file) for file in files]}
    return {}


def record_forward(folder, tensors):
    """One pass, with a timestep for each latent frame, at both frame rates that the network tells apart."""
    transformer, generator = open_pipeline(folder).transformer, torch.Generator("cpu").manual_seed(5)
    latents = torch.randn(1, 16, 3, 4, 6, generator=generator)
    text = torch.randn(1, 7, TRANSFORMER["text_dim"], generator=generator)
    timesteps = torch.tensor([[0, 20, 700]])
    tensors |= {"forward.latents": latents[0], "forward.text": text[0], "forward.timesteps": timesteps[0]}
    for fps in (16, 24):
        tensors[f"forward.{fps}"] = transformer(latents, timesteps, text, enable_diffusion_forcing=True, fps=[int(fps != 16)], return_dict=False)[0][0]


def record_run(folder, name, settings, prompt=PROMPT, seed=9):
    """The whole pipeline: latents after each step, of all windows, and what it gives."""
    pipeline, steps = open_pipeline(folder, CLASSES.get(name, PIPELINE)), []

    def after_step(_, index, timestep, values):
        steps.append(values["latents"][0].clone())
        return values

    generator = torch.Generator("cpu").manual_seed(seed)
    arguments = prompt | settings | open_pictures(folder, settings)
    final = pipeline(**arguments, generator=generator, output_type="latent", callback_on_step_end=after_step).frames[0]
    return pipeline, steps, final


@torch.no_grad()
def record(folder, out):
    tensors = {}
    record_forward(folder, tensors)
    for name, settings in RUNS.items():
        pipeline, steps, final = record_run(folder, name, settings)
        tensors |= {f"{name}.final": final, f"{name}.timesteps": pipeline.scheduler.timesteps}
        if name == "text":
            tensors[f"{name}.latents"] = torch.stack(steps)
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    dead = [key for key, value in tensors.items() if value.is_floating_point() and not 0.1 < value.std() < 10]
    if dead or not all(value.isfinite().all() for value in tensors.values()):
        raise SystemExit(f"random_skyreels: not finite, or nearly constant: {', '.join(dead)}")
    about = {"versions": versions(), "prompt": PROMPT, "runs": RUNS, "seed": 9}
    save_file(tensors, out / f"{NAME}.safetensors", metadata={"about": json.dumps(about)})
    for key, value in tensors.items():
        if value.is_floating_point():
            print(f"{NAME:12} {key:20} {str(list(value.shape)):24} std {value.std():.2f} max {value.abs().max():.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the golden files; it holds wan-tiny and wan-pictures already")
    args = parser.parse_args()
    record(write_model(args.out), args.out)


if __name__ == "__main__":
    main()
