"""Pictures as Pillow makes them in other sizes: a checksum for each of some hundred pairs of sizes, in OUT/picture_sizes.json."""
import argparse
import json
import random
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

FILTERS = {"bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}


def scrambled(count):
    """The same bytes in the test: noise, in which every pixel counts."""
    x = np.arange(count, dtype=np.uint64) * 2654435761 % 2**32
    x = (x ^ x >> 15) * 2246822519 % 2**32
    return (x >> 24).astype(np.uint8)


def checksum(values):
    """Of bytes, in which each counts by its place."""
    places = np.arange(1, values.size + 1, dtype=np.uint64) * 2654435761 % 2**32
    return int((places * values.astype(np.uint64)).sum() % 2**53)  # as a double holds it


def random_side(rng):
    return max(1, round(2 ** rng.uniform(0, 7.5)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rng, cases = random.Random(13), []
    for index in range(400):
        width, height, new_width, new_height = (random_side(rng) for _ in range(4))
        if index % 4 == 1:  # nearly alike, where the order of the two directions turns
            new_width, new_height = max(1, width - rng.randrange(-4, 9)), max(1, height - rng.randrange(0, 17))
        name = ("bicubic", "lanczos")[index // 4 % 2]
        picture = Image.fromarray(scrambled(width * height * 3).reshape(height, width, 3))
        pixels = np.asarray(picture.resize((new_width, new_height), FILTERS[name]))
        cases.append([name, width, height, new_width, new_height, checksum(pixels.reshape(-1))])
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    about = json.dumps({"pillow": PIL.__version__})
    (args.out / "picture_sizes.json").write_text(f'{about[:-1]}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
