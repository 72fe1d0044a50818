"""One training run of the reference library's modules (diffusers, transformers; PyTorch eager, float32) on models/world-128: prints clips per second.

usage: train_reference.py MODEL denoiser|vae [--threads N] [--steps N]
       train_reference.py MODEL denoiser|vae --flops [--threads N]     FLOPs of a clip's training step (matrix products and convolutions, forward and backward, captions without
                                                                       padding), and the FLOPs a second of a matrix product of 768x768x768
The same work a step as bench/train-compare asks of t2v train: the denoiser learns v on as many images, 9- and 17-frame clips of 64x64 as fit 8192 tokens, each length a batch of its own, captions padded
to 32 tokens, masked and zeroed as WanPipeline does; the autoencoder reconstructs eight clips of 17 frames. AdamW, gradient clipping, an average of the weights. Latents are random: what they are does not
change the time.
"""
import argparse
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import AutoTokenizer, UMT5EncoderModel

CAPTIONS = ["a large red heart moving in a circle on a beige background", "navy background, a small cyan star rising", "a green square spinning against white"]


def denoiser_step(model, encoder, tokenizer, counts, captions=CAPTIONS, padding="max_length"):
    loss = 0.0
    tokens = sum(count * frames * 16 for frames, count in counts)
    for frames, count in counts:
        text = tokenizer([captions[i % len(captions)] for i in range(count)], padding=padding, max_length=32, truncation=True, return_tensors="pt")
        states = encoder(text.input_ids, text.attention_mask).last_hidden_state * text.attention_mask.unsqueeze(-1)
        clean, noise = torch.randn(2, count, 8, frames, 8, 8)
        timestep = torch.randint(0, 1000, (count,))
        angle = (timestep.float() / 1000 * torch.pi / 2).view(-1, 1, 1, 1, 1)
        noisy = angle.cos() * clean + angle.sin() * noise
        target = angle.cos() * noise - angle.sin() * clean
        prediction = model(noisy, timestep, states, return_dict=False)[0]
        part = (prediction - target).square().mean() * (count * frames * 16 / tokens)
        part.backward()
        loss += part.item()
    return sum(count for _, count in counts)


def vae_step(vae, clips):
    frames = torch.rand(clips, 3, 17, 64, 64) * 2 - 1
    mean = vae.encode(frames).latent_dist.mean
    out = vae.decode(mean + 0.12 * torch.randn_like(mean)).sample
    (out - frames).square().mean().backward()
    return clips


def flops_of_a_clip(step):
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # the CPU's fused attention is not counted
        clips = step()
    return counter.get_total_flops() / clips


def gemm_flops_per_second():
    a, b = torch.rand(2, 768, 768)
    best = float("inf")
    for _ in range(40):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 768**3 / best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("what", choices=["denoiser", "vae"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--flops", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    if arguments.what == "denoiser":
        model = WanTransformer3DModel.from_pretrained(arguments.model, subfolder="transformer").train()
        encoder = UMT5EncoderModel.from_pretrained(arguments.model, subfolder="text_encoder").train()
        tokenizer = AutoTokenizer.from_pretrained(arguments.model, subfolder="tokenizer")
        parameters = [*model.parameters(), *encoder.parameters()]
        step = lambda: denoiser_step(model, encoder, tokenizer, [(1, 56), (3, 56), (5, 56)])  # latent frames, clips
        unpadded = [lambda c=caption: denoiser_step(model, encoder, tokenizer, [(1, 8), (3, 8), (5, 8)], [c], True) for caption in CAPTIONS]
    else:
        vae = AutoencoderKLWan.from_pretrained(arguments.model, subfolder="vae").train()
        parameters = list(vae.parameters())
        step = lambda: vae_step(vae, 8)
        unpadded = [step]
    if arguments.flops:
        print(sum(map(flops_of_a_clip, unpadded)) / len(unpadded), gemm_flops_per_second())
        return
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95), fused=True)
    average = [p.detach().clone() for p in parameters]
    clips, start = 0, 0.0
    for index in range(arguments.steps + 1):
        if index == 1:  # the first step warms up
            clips, start = 0, time.perf_counter()
        clips += step()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 0.001)
    print(f"{clips / (time.perf_counter() - start):.3f}")


main()
