"""Golden file of the procedural world: OUT/world.safetensors, sampled pixels of scenes that world_reference.py draws.

Every shape with every motion, in every size and several frame sizes, one object and two. Of each clip 72 pixels are kept: two thirds
from those that an object covers or touches, which are few, the rest from anywhere.
"""
import argparse
import itertools
import random
from pathlib import Path

import torch
import world_reference as world
from safetensors.torch import save_file

SIZES = [(17, 64, 64), (17, 80, 48), (9, 48, 80), (33, 64, 64), (5, 128, 96), (9, 32, 24), (17, 48, 80)]  # frames, width, height
PIXELS = 72


def scenes(rng):
    for shape, motion, size in itertools.product(world.SHAPES, world.MOTIONS, world.SIZES):
        if motion == "spinning" and shape in ("circle", "ring"):
            continue
        scene = world.sample_scene(rng, train=False, two=0)
        scene["objects"][0] |= dict(shape=shape, motion=motion, size=size)
        yield scene
    for _ in range(150):
        yield world.sample_scene(rng, train=False, two=1)


def numbers(item):
    lists = dict(shape=world.SHAPES, colour=list(world.COLOURS), motion=world.MOTIONS, size=list(world.SIZES))
    return [lists[key].index(item[key]) for key in lists] + [item["x"], item["y"], item["phase"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rng, generator = random.Random(1), torch.Generator().manual_seed(1)
    objects, counts, backgrounds, sizes, places, colours = [], [], [], [], [], []
    for index, scene in enumerate(scenes(rng)):
        size = SIZES[index % len(SIZES)]
        video = ((world.render(scene, *size) + 1) * 127.5).flatten(1)
        touched = ((video - video.mode(dim=1, keepdim=True).values).abs().amax(0) > 0.5).nonzero().flatten()
        inside = touched[torch.randint(len(touched), (PIXELS * 2 // 3,), generator=generator)] if len(touched) else touched
        anywhere = torch.randint(video.shape[1], (PIXELS - len(inside),), generator=generator)
        place = torch.cat([inside, anywhere])
        items = [numbers(item) for item in scene["objects"]]
        objects.append(items + [[0.0] * 7] * (2 - len(items)))
        counts.append(len(items))
        backgrounds.append(list(world.BACKGROUNDS).index(scene["background"]))
        sizes.append(size)
        places.append(place)
        colours.append(video[:, place].round().to(torch.uint8))
    tensors = {
        "objects": torch.tensor(objects, dtype=torch.float64),  # [S, 2, 7]: shape, colour, motion, size, x, y, phase
        "counts": torch.tensor(counts),
        "backgrounds": torch.tensor(backgrounds),
        "sizes": torch.tensor(sizes),  # [S, 3]: frames, width, height
        "places": torch.stack(places).int(),  # [S, P]: flat indices into [T, H, W]
        "colours": torch.stack(colours),  # [S, 3, P]
    }
    save_file(tensors, args.out / "world.safetensors")


if __name__ == "__main__":
    main()
