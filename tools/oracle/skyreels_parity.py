"""Live parity of SkyReels-V2 for diffusion forcing: a model, pictures and requests made from a seed, short and long clips."""
import shutil

import torch
from parity import FRAMES_LIMIT, LATENTS_LIMIT, NEGATIVE_PROMPTS, OFFSET_LIMIT, PROMPTS, read_frames
from random_skyreels import TRANSFORMER, record_run, write_model
from random_wan import random_dimensions
from random_wan import write_model as write_tiny
from random_wan_variants import make_picture
from safetensors.torch import load_file
from variant_parity import levels_of, run

NAME = "skyreels-df"


def write_random_model(work, rng):
    size = random_dimensions(rng)
    write_tiny(work / "wan-tiny", rng.randrange(2**31), "wan21", size)
    own = dict(num_attention_heads=rng.choice([2, 3, 4]), attention_head_dim=rng.choice([12, 16, 20, 24]), num_layers=size["layers"])
    own |= dict(text_dim=size["text_width"], ffn_dim=size["ffn"], inject_sample_info=rng.choice([True, False]))
    print(f"{NAME}:", " ".join(f"{key}={value}" for key, value in (own | dict(flow_shift=size["flow_shift"])).items()))
    return write_model(work, TRANSFORMER | own, size["flow_shift"], rng.randrange(2**31))


def random_runs(rng):
    """The reference's arguments. A clip from a picture fills its windows: the reference fails on a last one that is shorter."""
    width, height = (16 * rng.choice([1, 2, 3]) for _ in range(2))
    base = rng.choice([9, 13, 17])
    overlap = rng.choice([frames for frames in (1, 5, 9) if frames < base])
    fresh = base - overlap
    common = dict(width=width, height=height, num_inference_steps=rng.choice([2, 3, 5]), guidance_scale=rng.choice([2.5, 5.0, 6.0]), fps=rng.choice([16, 24]))
    common |= dict(base_num_frames=base, overlap_history=overlap)
    return {
        "text": common | dict(num_frames=base),
        "long": common | dict(num_frames=base + 4 * rng.randrange(1, 2 * fresh // 4 + 2)),
        "image": common | dict(num_frames=base + fresh * rng.choice([0, 1, 2]), image="picture.png"),
        "video": common | dict(num_frames=base + 4 * rng.randrange(1, fresh // 4 + 2), video="control", video_frames=overlap + rng.randrange(5)),
    }


def make_pictures(pictures, settings, rng):
    shutil.rmtree(pictures, ignore_errors=True)
    size = (settings["width"], settings["height"])
    make_picture(pictures / "picture.png", *size, rng.randrange(2**31))
    for index in range(settings.get("video_frames", 0)):
        make_picture(pictures / "control" / f"{index}.png", *size, rng.randrange(2**31), grain=0)


def command(binary, model, settings, prompt, seed, out, known):
    pictures = model.parent / "wan-pictures"
    words = [binary, "generate", "-m", model, "-p", prompt["prompt"], "-n", prompt["negative_prompt"], "-s", seed, "--fps", settings["fps"]]
    frames = settings["num_frames"] - (known if "video" in settings else 0)  # of what is new
    words += ["-W", settings["width"], "-H", settings["height"], "--frames", frames, "--steps", settings["num_inference_steps"]]
    words += ["--guidance-scale", settings["guidance_scale"], "--window", settings["base_num_frames"], "--overlap", settings["overlap_history"]]
    words += ["--image", pictures / settings["image"], "--fit", "stretch"] if "image" in settings else []
    words += ["--extend", pictures / settings["video"] / "%d.png"] if "video" in settings else []
    return words + ["--device", "cpu", "--save-latents", out / "final.safetensors", "-o", out / "frames" / "%05d.png"]


@torch.no_grad()
def check_skyreels(binary, rng, work, table):
    folder = write_random_model(work, rng)
    for name, settings in random_runs(rng).items():
        prompt = dict(prompt=rng.choice(PROMPTS), negative_prompt=rng.choice(NEGATIVE_PROMPTS), max_sequence_length=512)
        seed, out = rng.randrange(2**31), work / name
        print(f"{NAME}, {name}: {settings} seed={seed} {prompt}")
        make_pictures(work / "wan-pictures", settings, rng)
        reference = {key: value for key, value in settings.items() if key != "video_frames"}
        pipeline, _, final = record_run(folder, name, reference, prompt, seed)
        known = {"image": 1, "video": settings["overlap_history"]}.get(name, 0)
        (out / "frames").mkdir(parents=True)
        run(command(binary, folder, settings, prompt, seed, out, known))
        table.tensors("final latents", final, load_file(out / "final.safetensors")["latents"][0], LATENTS_LIMIT)
        levels = levels_of(pipeline, final)[known:]  # what is known is the picture or the video itself
        frames = read_frames(out / "frames").double()[-len(levels) :]
        table.row("frames, levels of 255", (frames - levels).abs().max().item(), FRAMES_LIMIT)
        table.row("frames, mean offset", abs((frames - levels).mean().item()), OFFSET_LIMIT)
