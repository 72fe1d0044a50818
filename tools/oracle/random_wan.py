"""A small Wan model with random frozen weights, as a diffusers WanPipeline folder.

Every parameter is drawn so that it matters: gammas around one, biases, modulation tables and output projections away from zero. With a
library's usual initialisation a port that swaps shift and scale, or forgets a bias, would still agree.
"""
import argparse
import json
import math
import random
import shutil
from pathlib import Path

import torch
from reference import TEST_TOKENIZER, decode, open_pipeline

from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

WAN_LATENTS_MEAN = [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
                    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921]  # fmt: skip
WAN_LATENTS_STD = [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
                   3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160]  # fmt: skip

# The model of tests/golden/wan-tiny: nothing equals anything that it could be confused with (d_model, heads * d_kv, inner dim, text dim of
# the projections, the three parts of the rotary embedding), and the whole folder stays below 1 MB.
TINY_DIMENSIONS = dict(
    text_width=56, text_heads=2, text_head_dim=16, text_ff=96, text_layers=2,
    layers=3, heads=3, head_dim=20, ffn=112, freq_dim=64,
    vae_base=4, vae_res_blocks=1, flow_shift=3.0,
)  # fmt: skip


def random_dimensions(rng):
    return dict(
        text_width=rng.choice([40, 56, 64]), text_heads=rng.choice([2, 3, 4]), text_head_dim=rng.choice([12, 16, 24]),
        text_ff=rng.choice([80, 96, 144]), text_layers=rng.choice([1, 2, 3]),
        layers=rng.choice([1, 2, 3, 4]), heads=rng.choice([2, 3, 4, 5]), head_dim=rng.choice([12, 16, 20, 22, 24, 26, 32]),
        ffn=rng.choice([96, 112, 160]), freq_dim=rng.choice([32, 64, 96]),
        vae_base=rng.choice([6, 8, 12]), vae_res_blocks=rng.choice([1, 2]), flow_shift=rng.choice([1.0, 3.0, 5.0, 8.0]),
    )  # fmt: skip


def fill(module, generator):
    """Draws every parameter again. A weight keeps the variance of its input; what is added or multiplied is far from 0 and 1."""
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("scale_shift_table"):
            value = 0.4 * noise
        elif name.endswith("gamma") or "norm" in name and name.endswith("weight"):
            value = 1 + 0.3 * noise.clamp(-2, 2)
        elif name.endswith("bias"):
            value = 0.2 * noise
        elif "relative_attention_bias" in name or name == "shared.weight":
            value = noise
        elif "SelfAttention.q" in name:  # UMT5 does not divide the scores by sqrt(head dim): its queries are small instead
            heads_dim = parameter.shape[0] // module.config.num_heads
            value = noise / math.sqrt(parameter.shape[1] * heads_dim)
        else:
            value = noise / math.sqrt(parameter[0].numel())
        parameter.data.copy_(value)


def build_text_encoder(size, generator):
    config = UMT5Config(
        vocab_size=512,  # as tests/golden/tokenizer
        d_model=size["text_width"],
        d_kv=size["text_head_dim"],
        d_ff=size["text_ff"],
        num_layers=size["text_layers"],
        num_heads=size["text_heads"],
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
    )
    encoder = UMT5EncoderModel(config).eval()
    fill(encoder, generator)
    return encoder


def build_transformer(size, channels, generator):
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=size["heads"],
        attention_head_dim=size["head_dim"],
        in_channels=channels,
        out_channels=channels,
        text_dim=size["text_width"],
        freq_dim=size["freq_dim"],
        ffn_dim=size["ffn"],
        num_layers=size["layers"],
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=1e-6,
        rope_max_seq_len=1024,
    ).eval()
    fill(transformer, generator)
    return transformer


def build_vae(size, kind, generator):
    if kind == "world":
        parts = dict(
            z_dim=8, dim_mult=[1, 2, 4], temperal_downsample=[True, True], in_channels=12, out_channels=12, patch_size=2,
            latents_mean=[round(random.Random(c).uniform(-0.3, 0.3), 4) for c in range(8)],
            latents_std=[round(random.Random(c).uniform(0.5, 0.9), 4) for c in range(8)],
        )  # fmt: skip
    else:
        parts = dict(
            z_dim=16, dim_mult=[1, 2, 4, 4], temperal_downsample=[False, True, True],
            latents_mean=WAN_LATENTS_MEAN, latents_std=WAN_LATENTS_STD,
        )  # fmt: skip
    vae = AutoencoderKLWan(base_dim=size["vae_base"], num_res_blocks=size["vae_res_blocks"], attn_scales=[], **parts).eval()
    fill(vae, generator)
    return vae


def build_scheduler(size, kind):
    if kind == "world":
        return UniPCMultistepScheduler(
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        )
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=size["flow_shift"])


def model_index():
    return {
        "_class_name": "WanPipeline",
        "_diffusers_version": "0.42.1",
        "boundary_ratio": None,
        "expand_timesteps": False,
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "transformer_2": [None, None],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }


def shards(module, wanted):
    """Arguments of save_pretrained for about three files, whatever the size of the model."""
    total = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
    return {"max_shard_size": total // 3 + 1} if wanted else {}


def write_model(out, seed, kind="wan21", size=None, dtype=torch.float32, shard=False, tokenizer=TEST_TOKENIZER):
    """Writes the folder; the dimensions come from the seed unless given. shard: the transformer and the text encoder in several files."""
    out = Path(out)
    size = size or random_dimensions(random.Random(seed))
    generator = torch.Generator("cpu").manual_seed(seed)
    text_encoder = build_text_encoder(size, generator).to(dtype)
    transformer = build_transformer(size, 8 if kind == "world" else 16, generator).to(dtype)
    vae = build_vae(size, kind, generator).to(dtype)
    text_encoder.save_pretrained(out / "text_encoder", **shards(text_encoder, shard))
    transformer.save_pretrained(out / "transformer", **shards(transformer, shard))
    vae.save_pretrained(out / "vae")
    build_scheduler(size, kind).save_pretrained(out / "scheduler")
    (out / "tokenizer").mkdir(parents=True, exist_ok=True)
    for name in ("spiece.model", "tokenizer_config.json"):
        (out / "tokenizer" / name).unlink(missing_ok=True)  # which may be a link to the original
        shutil.copyfile(Path(tokenizer) / name, out / "tokenizer" / name)
    (out / "model_index.json").write_text(json.dumps(model_index(), indent=2) + "\n")
    return size


@torch.no_grad()
def liveliness(folder):
    """Standard deviations of what each part puts out, from inputs of unit variance: none may vanish or explode."""
    pipeline = open_pipeline(folder)
    generator = torch.Generator("cpu").manual_seed(0)
    ids = torch.randint(3, 500, (1, 12), generator=generator)
    text = pipeline.text_encoder(ids, torch.ones_like(ids)).last_hidden_state
    latents = torch.randn(1, pipeline.transformer.config.in_channels, 3, 6, 8, generator=generator)
    velocity = pipeline.transformer(latents, torch.tensor([500]), text, return_dict=False)[0]
    moments = pipeline.vae.encode(torch.randn(1, 3, 5, 32, 48, generator=generator).clamp(-1, 1)).latent_dist
    return {
        "text": text.std().item(),
        "transformer": velocity.std().item(),
        "vae mean": moments.mean.std().item(),
        "vae logvar": moments.logvar.std().item(),
        "vae frames": decode(pipeline, latents).std().item() * 2,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True, help="decides the weights, and the dimensions unless --tiny")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--kind", choices=["wan21", "world"], default="wan21", help="Wan 2.1's layout, or that of models/world-128")
    parser.add_argument("--tiny", action="store_true", help="the fixed dimensions of tests/golden/wan-tiny")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32", help="dtype of the stored weights")
    parser.add_argument("--shard", action="store_true", help="transformer and text encoder in several files with an index")
    parser.add_argument("--tokenizer", default=TEST_TOKENIZER, help="tokenizer folder to copy")
    args = parser.parse_args()
    size = TINY_DIMENSIONS if args.tiny else None
    size = write_model(args.out, args.seed, args.kind, size, getattr(torch, args.dtype), args.shard, args.tokenizer)
    print(args.out, " ".join(f"{name}={value}" for name, value in size.items()))
    spread = liveliness(args.out)
    print("std:", ", ".join(f"{name} {value:.2f}" for name, value in spread.items()))
    dead = [name for name, value in spread.items() if not 0.1 < value < 5]
    if dead:
        raise SystemExit(f"random_wan: {', '.join(dead)} outside 0.1..5; another seed or other dimensions are needed")


if __name__ == "__main__":
    main()
