"""Live parity of Wan's variants: models, pictures and requests made from a seed, each of a variant's tasks through both programs."""
import shutil
import subprocess

import torch
from PIL import Image
from parity import BFLOAT16_LIMIT, FRAMES_LIMIT, LATENTS_LIMIT, NEGATIVE_PROMPTS, OFFSET_LIMIT, PROMPTS, TEXT_LIMIT
from parity import compare_bfloat16, padded, read_frames, read_steps
from random_wan import random_dimensions, write_model
from random_wan_variants import TRANSFORMER, VARIANTS, make_picture, open_for, record_run
from random_wan_variants import write_model as write_variant
from reference import decode, lower
from safetensors.torch import load_file

# As people call them → as the golden files do.
NAMES = {
    "wan-t2v-2.1": "wan21-t2v", "wan-i2v-2.1": "wan21-i2v", "wan-flf2v": "wan21-flf2v", "wan-vace": "wan21-vace",
    "wan-a14b": "wan22-a14b", "wan-i2v-a14b": "wan22-i2v", "wan-ti2v-5b": "wan22-ti2v",
}  # fmt: skip
TEXT_VARIANT = dict(flow_shift=3.0, runs={"text": dict(width=48, height=32, num_frames=9, num_inference_steps=6, guidance_scale=4.0)})


def write_random_model(work, name, rng):
    """The folder, its dimensions and weights from the seed; wan-tiny's parts beside it."""
    size = random_dimensions(rng)
    write_model(work / "wan-tiny", rng.randrange(2**31), "wan21", size)
    variant = dict(VARIANTS.get(name, TEXT_VARIANT))
    heads, head_dim = rng.choice([2, 3, 4]), rng.choice([12, 16, 20, 24])
    network = variant.get("transformer", {})
    own = dict(num_attention_heads=heads, attention_head_dim=head_dim, text_dim=size["text_width"], ffn_dim=size["ffn"])
    if "added_kv_proj_dim" in network:
        own["added_kv_proj_dim"] = heads * head_dim
    if "vace_layers" not in network:
        own["num_layers"] = size["layers"]
    index = dict(variant.get("index", {}))
    if "boundary_ratio" in index:
        index["boundary_ratio"] = rng.choice([0.8, 0.875, 0.9])
    variant |= dict(transformer=TRANSFORMER | network | own, index=index, flow_shift=size["flow_shift"])
    print(f"{name}:", " ".join(f"{key}={value}" for key, value in (own | index | dict(flow_shift=size["flow_shift"])).items()))
    return write_variant(work, name, variant, rng.randrange(2**31)), variant["runs"]


def random_settings(settings, name, rng, work):
    """One of the variant's runs in other sizes, with pictures of its own."""
    unit = 32 if name == "wan22-ti2v" else 16
    width, height = (unit * rng.choice([1, 2, 3]) for _ in range(2))
    frames = rng.choice([5, 9, 13])
    settings = settings | dict(width=width, height=height, num_frames=frames, num_inference_steps=rng.choice([2, 3, 5]))
    settings["guidance_scale"] = rng.choice([2.5, 4.0, 5.0])
    if "guidance_scale_2" in settings:
        settings["guidance_scale_2"] = rng.choice([1.5, 3.0])
    pictures = work / "wan-pictures"
    for path in (pictures / "picture.png", pictures / "large.png", pictures / "last.png"):
        make_picture(path, rng.randrange(32, 160), rng.randrange(32, 160), rng.randrange(2**31))
    shutil.rmtree(pictures / "control", ignore_errors=True)  # the run before may have had more frames
    for index in range(frames):
        make_picture(pictures / "control" / f"{index}.png", width, height, rng.randrange(2**31), grain=0)
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (rng.randrange(8), rng.randrange(8), rng.randrange(9, width + 1), rng.randrange(9, height + 1)))  # cuts through latents
    mask.save(pictures / "mask.png")
    if settings.get("mask") == "soft.png":
        make_picture(pictures / "soft.png", rng.randrange(32, 160), rng.randrange(32, 160), rng.randrange(2**31))
        Image.open(pictures / "soft.png").convert("L").save(pictures / "soft.png")
    return settings


def command(binary, model, settings, prompt, seed, work, out):
    pictures = work / "wan-pictures"
    words = [binary, "generate", "-m", model, "-p", prompt["prompt"], "-n", prompt["negative_prompt"], "-s", seed, "--fps", 8]
    words += ["-W", settings["width"], "-H", settings["height"], "--frames", settings["num_frames"], "--steps", settings["num_inference_steps"]]
    words += ["--guidance-scale", settings["guidance_scale"], "--scheduler", "unipc", "--device", "cpu"]
    for key, flag in {"guidance_scale_2": "--guidance-scale-2", "conditioning_scale": "--control-scale"}.items():
        words += [flag, settings[key]] if key in settings else []
    for key, flag in {"image": "--image", "last_image": "--last-image", "mask": "--mask"}.items():
        words += [flag, pictures / settings[key]] if key in settings else []
    words += ["--fit", "stretch"] if "image" in settings or "mask" in settings else []
    if "video" in settings:
        words += ["--edit" if "mask" in settings else "--control", pictures / settings["video"] / "%d.png"]
    for name in settings.get("reference_images", []):
        words += ["--reference", pictures / name]
    return words + ["--save-latents", out / "final.safetensors", "--trace", out / "trace", "-o", out / "frames" / "%05d.png"]


def run(words):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"t2v ended with exit code {done.returncode}:\n{done.stdout}")


def compare_steps(table, expected, out, known):
    """known: latent frames that the reference puts back at the end alone."""
    steps = read_steps(out)
    timesteps = torch.tensor([float(step["timestep"].reshape(-1)[0]) for step in steps])
    table.tensors("timesteps", expected["timesteps"].float(), timesteps, 0.0)
    for index, (reference, step) in enumerate(zip(expected["latents"], steps)):
        table.tensors(f"latents after step {index + 1}", reference[:, known:], step["latents"][0][:, known:], None)


def levels_of(pipeline, latents):
    return decode(pipeline, latents.unsqueeze(0)).double() * 255


def compare_frames(table, pipeline, latents, binary, out, first):
    """first: of the frames that both programs decode."""
    levels, frames = levels_of(pipeline, latents)[first:], read_frames(out / "frames").double()[first:]
    if frames.shape != levels.shape:
        table.tensors("frames", levels, frames, FRAMES_LIMIT)
        return
    table.row("frames, levels of 255", (frames - levels).abs().max().item(), FRAMES_LIMIT)
    table.row("frames, mean offset", abs((frames - levels).mean().item()), OFFSET_LIMIT)
    (out / "low").mkdir()
    run([binary, "decode", out / "final.safetensors", "--vae-dtype", "bfloat16", "-o", out / "low" / "%05d.png"])
    pipeline.vae.to(torch.bfloat16)
    reference = levels_of(pipeline, latents.to(torch.bfloat16))[first:].round()
    errors = [(low - levels).square().mean().sqrt().item() for low in (read_frames(out / "low").double()[first:], reference)]
    table.row("decoded in bfloat16", errors[0] / errors[1], BFLOAT16_LIMIT)


def check_run(binary, folder, name, settings, rng, work, table):
    prompt = dict(prompt=rng.choice(PROMPTS), negative_prompt=rng.choice(NEGATIVE_PROMPTS), max_sequence_length=512)
    seed, tensors = rng.randrange(2**31), {}
    print(f"{folder.name}, {name}: {settings} seed={seed} {prompt}")
    pipeline = open_for(folder, settings)
    record_run(pipeline, folder, "run", settings, tensors, prompt, seed)
    expected = {key.removeprefix("run."): value for key, value in tensors.items()}
    out = work / name
    (out / "frames").mkdir(parents=True)
    try:
        run(command(binary, folder, settings, prompt, seed, work, out))
        text = load_file(out / "trace" / "text.safetensors")
        for key, embeds in zip(("prompt_embeds", "negative_prompt_embeds"), encode(pipeline, prompt)):
            table.tensors(key, embeds, padded(text[key], 512), TEXT_LIMIT)
        is_first_frame = folder.name == "wan22-ti2v" and "image" in settings  # of which the file has the picture itself
        compare_steps(table, expected, out, int(is_first_frame))
        final = load_file(out / "final.safetensors")["latents"][0]
        reference = expected["final"][:, expected["final"].shape[1] - final.shape[1] :]
        table.tensors("final latents", reference, final, LATENTS_LIMIT)
        compare_frames(table, pipeline, reference, binary, out, int(is_first_frame))

        def latents_of(reference, seed):
            record_run(reference, folder, "run", settings, tensors, prompt, seed)
            return tensors["run.latents"][:, :, int(is_first_frame) :]

        def latents_of_t2v(seed, out):
            (out / "frames").mkdir(parents=True)
            run(command(binary, folder, settings, prompt, seed, work, out) + ["--dtype", "bfloat16"])
            return torch.cat([step["latents"] for step in read_steps(out)])[:, :, int(is_first_frame) :]

        pipelines = [open_for(folder, settings), lower(open_for(folder, settings), folder)]
        compare_bfloat16(table, pipelines, latents_of, latents_of_t2v, out)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        print(f"  FAIL {type(error).__name__}: {error}")
        table.failed = True


@torch.no_grad()
def encode(pipeline, prompt):
    return [embeds[0] for embeds in pipeline.encode_prompt(**prompt, do_classifier_free_guidance=True)]


def check_variant(binary, variant, rng, work, table):
    name = NAMES[variant]
    folder, runs = write_random_model(work, name, rng)
    for run_name, settings in runs.items():
        check_run(binary, folder, run_name, random_settings(settings, name, rng, work), rng, work, table)
