"""gguf.gguf and gguf.safetensors: tensors in every format that t2v reads, and what gguf-py makes of them.

Formats that gguf-py quantises hold the same normal numbers, the others random bytes with scales that are finite.
usage: gguf_blocks.py --out FOLDER
"""
import argparse
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from safetensors.numpy import save_file

QUANTISED = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
# Where a block has its float16 scales.
RANDOM = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}
ROWS, COLUMNS = 3, 512


def random_blocks(name, generator):
    elements, size = GGML_QUANT_SIZES[Type[name]]
    blocks = generator.integers(0, 256, (ROWS * COLUMNS // elements, size), dtype=np.uint8)
    for offset in RANDOM[name]:
        scales = generator.standard_normal(len(blocks)).astype(np.float16)
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    generator = np.random.default_rng(7)

    writer = GGUFWriter(out / "gguf.gguf", "wan")
    writer.add_string("a.text", "für alle")
    writer.add_array("a.list", [-1, 2, 3])
    writer.add_array("some.texts", ["one", "", "three"])
    writer.add_array("some.numbers", [0.5, -1.25])
    writer.add_bool("a.flag", True)
    expected = {}
    numbers = generator.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    numbers[0, :32] = 0
    numbers[1, :32] = np.tile([3, -3], 16)
    for name in QUANTISED + list(RANDOM):
        if name in RANDOM:
            data = random_blocks(name, generator)
        else:
            data = quants.quantize(numbers, Type[name])
        writer.add_tensor(f"{name}.weight", data, raw_dtype=Type[name])
        expected[f"{name}.weight"] = quants.dequantize(data, Type[name])

    # Five dimensions, flat as ComfyUI-GGUF's converter writes them.
    shape = (8, 4, 1, 2, 2)
    flat = generator.standard_normal(np.prod(shape)).astype(np.float16)
    writer.add_array("comfy.gguf.orig_shape.patches.weight", shape)
    writer.add_tensor("patches.weight", flat)
    expected["patches.weight"] = flat.astype(np.float32).reshape(shape)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, out / "gguf.safetensors")


if __name__ == "__main__":
    main()
