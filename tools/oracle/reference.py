"""The reference pipeline, opened and run the way every golden file and parity check needs it: float32, CPU, one thread."""
import json
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # model folders are local: never ask a hub

import diffusers
import torch
import transformers
from diffusers import AutoencoderKLWan, DDIMScheduler, UniPCMultistepScheduler, WanPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.utils.torch_utils import randn_tensor
from transformers import T5Tokenizer, UMT5EncoderModel

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED_MODELS = {name: REPOSITORY / "models" / name for name in ("world-128",)}
TEST_TOKENIZER = REPOSITORY / "tests" / "golden" / "tokenizer"
TINY_MODEL = REPOSITORY / "tests" / "golden" / "wan-tiny"

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def versions():
    return {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}


def open_pipeline(folder, dtype=torch.float32):
    """A WanPipeline from a diffusers folder; the folder's tokenizer needs only spiece.model and tokenizer_config.json."""
    folder = Path(folder)
    index = json.loads((folder / "model_index.json").read_text())
    settings = {key: index[key] for key in ("boundary_ratio", "expand_timesteps")}
    transformer = getattr(diffusers, index["transformer"][1])
    if index["transformer_2"][1] is not None:
        settings["transformer_2"] = transformer.from_pretrained(folder / "transformer_2", torch_dtype=dtype).to(dtype).eval()
    pipeline = WanPipeline(
        tokenizer=T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype),
        transformer=transformer.from_pretrained(folder / "transformer", torch_dtype=dtype),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=dtype),
        scheduler=UniPCMultistepScheduler.from_pretrained(folder / "scheduler"),
        **settings,
    )
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.text_encoder, pipeline.transformer, pipeline.vae):
        part.to(dtype).eval()
    return pipeline


def text_tokens(folder):
    """Length to which prompts are padded: t2v.json's, or the 512 of the reference's pipeline."""
    settings = Path(folder) / "t2v.json"
    return json.loads(settings.read_text())["max_text_tokens"] if settings.exists() else 512


@dataclass
class Request:
    prompt: str
    negative_prompt: str
    width: int
    height: int
    frames: int
    steps: int
    guidance_scale: float
    seed: int
    max_text_tokens: int
    guidance_rescale: float = 0.0  # the stock pipeline has none


@dataclass
class Trajectory:
    noise: torch.Tensor  # [1, C, T, H/8, W/8]
    prompt_embeds: torch.Tensor  # [L, D], zero beyond the prompt
    negative_prompt_embeds: torch.Tensor | None  # [L, D]; none without guidance (scale 1)
    timesteps: torch.Tensor  # [steps]
    latents: torch.Tensor  # [steps, C, T, H/8, W/8], after each step
    frames: torch.Tensor  # [frames, H, W, 3] in 0..1


def half_precision(tensor):
    """Rounded to numbers that half precision holds, in float32: an input that a golden file stores in two bytes a number."""
    return tensor.half().float()


def initial_noise(pipeline, request):
    """As WanPipeline.prepare_latents draws it: one float32 randn of the whole shape from a CPU generator with the seed."""
    shape = (
        1,
        pipeline.transformer.config.in_channels,
        (request.frames - 1) // pipeline.vae_scale_factor_temporal + 1,
        request.height // pipeline.vae_scale_factor_spatial,
        request.width // pipeline.vae_scale_factor_spatial,
    )
    return randn_tensor(shape, generator=torch.Generator("cpu").manual_seed(request.seed), dtype=torch.float32)


@torch.no_grad()
def decode(pipeline, latents):
    """Latents [1, C, T, h, w] → frames [F, H, W, 3] in 0..1: the tail of WanPipeline.__call__."""
    config = pipeline.vae.config
    mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1).to(latents.dtype)
    inverse_std = 1.0 / torch.tensor(config.latents_std).view(1, -1, 1, 1, 1).to(latents.dtype)
    video = pipeline.vae.decode(latents / inverse_std + mean, return_dict=False)[0]
    return pipeline.video_processor.postprocess_video(video, output_type="pt")[0].permute(0, 2, 3, 1).contiguous()


def lower(pipeline, folder):
    """Transformers and text encoder in bfloat16, as from_pretrained(torch_dtype=torch.bfloat16) opens them; returns the pipeline."""
    for name in ("transformer", "transformer_2"):
        if (part := getattr(pipeline, name, None)) is not None:
            setattr(pipeline, name, type(part).from_pretrained(Path(folder) / name, torch_dtype=torch.bfloat16).eval())
    pipeline.text_encoder = UMT5EncoderModel.from_pretrained(Path(folder) / "text_encoder", dtype=torch.bfloat16).eval()
    return pipeline


@torch.no_grad()
def denoise(pipeline, request):
    """The stock pipeline from the prompt to the latents, watched through its own callback: latents and timesteps of each step, embeddings."""
    steps, timesteps, embeds = [], [], {}

    def record(_, index, timestep, tensors):
        steps.append(tensors["latents"][0].clone())
        timesteps.append(timestep.item())
        embeds.update({name: tensors[name] for name in ("prompt_embeds", "negative_prompt_embeds")})
        return {}

    pipeline(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=request.width,
        height=request.height,
        num_frames=request.frames,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        max_sequence_length=request.max_text_tokens,
        output_type="latent",
        callback_on_step_end=record,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds", "negative_prompt_embeds"],
    )
    return torch.stack(steps), timesteps, embeds


@torch.no_grad()
def run_pipeline(pipeline, request):
    latents, timesteps, embeds = denoise(pipeline, request)
    return Trajectory(
        noise=initial_noise(pipeline, request),
        prompt_embeds=embeds["prompt_embeds"][0],
        negative_prompt_embeds=embeds["negative_prompt_embeds"][0] if request.guidance_scale > 1 else None,
        timesteps=torch.tensor(timesteps),
        latents=latents,
        frames=decode(pipeline, latents[-1:]),
    )


@torch.no_grad()
def run_ddim(pipeline, request):
    """The pipeline's denoising loop around DDIMScheduler, which the stock pipeline cannot drive (it has no set_begin_index)."""
    scheduler = DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    scheduler.set_timesteps(request.steps)
    guided = request.guidance_scale > 1
    prompt, negative = pipeline.encode_prompt(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        do_classifier_free_guidance=guided,
        max_sequence_length=request.max_text_tokens,
    )
    noise = initial_noise(pipeline, request)
    latents, steps = noise, []
    for timestep in scheduler.timesteps:
        prediction = pipeline.transformer(latents, timestep.expand(1), prompt, return_dict=False)[0]
        if guided:
            unconditional = pipeline.transformer(latents, timestep.expand(1), negative, return_dict=False)[0]
            conditional = prediction
            prediction = unconditional + request.guidance_scale * (conditional - unconditional)
            prediction = rescale_noise_cfg(prediction, conditional, guidance_rescale=request.guidance_rescale)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
        steps.append(latents[0])
    return Trajectory(
        noise=noise,
        prompt_embeds=prompt[0],
        negative_prompt_embeds=negative[0] if guided else None,
        timesteps=scheduler.timesteps.clone(),
        latents=torch.stack(steps),
        frames=decode(pipeline, latents),
    )
