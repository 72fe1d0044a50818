"""What bench/wan runs: wan.py PAIRS BUILD_DIR."""
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools/oracle"))
SIZES = [(128, 128, 5), (256, 256, 9)]
STAGES = ("dit_step", "vae_decode", "vae_encode")
BLOCKS = dict(layers=4, heads=12, head_dim=128, ffn=8960, freq_dim=256, vae_base=96, vae_res_blocks=2, flow_shift=3.0)
TEXT = dict(text_width=4096, text_heads=2, text_head_dim=16, text_ff=64, text_layers=1)


def run(words, environment=None):
    """What a program prints, its processor time in seconds, and its largest resident set in MiB."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=subprocess.DEVNULL, env=os.environ | (environment or {}))
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"wan: {words[0]} ended with status {status}")
        out.seek(0)
        return out.read().decode(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def stage_of_t2v(build, model, size, stage):
    """Milliseconds by the clock and by the processor, and the share of the GEMM rate."""
    words = [build / "bench/t2v_bench", f"--model={model}", "--threads=1", f"--benchmark_filter={stage}", "--benchmark_format=csv"]
    words += ["--benchmark_min_warmup_time=0.01", "--benchmark_min_time=1"]
    text = run(words + [f"--{key}={value}" for key, value in zip(("width", "height", "frames"), size)])[0]
    row = next(csv.DictReader(text[text.index("name,") :].splitlines()))
    return float(row["real_time"]), float(row["cpu_time"]), float(row.get("of_GEMM") or 0)


def reference(model, size, *more):
    sizes = [word for pair in zip(("--width", "--height", "--frames"), size) for word in pair]
    return run([sys.executable, HERE / "reference.py", model, "--threads", 1, *sizes, *more])


def stage_of_reference(model, size, stage):
    return [float(time) for time in reference(model, size, "--warmups", 1, "--repeat", 1, "--stages", stage)[0].split()[1:]]


def process_of_t2v(build, model, size, out):
    width, height, frames = size
    words = [build / "t2v", "generate", "-m", model, "-p", "a cat", "-W", width, "-H", height, "--frames", frames]
    return run(words + ["--steps", 2, "--guidance-scale", 6, "--threads", 1, "--device", "cpu", "--progress", "none", "-o", out / "clip.y4m"])[1:]


def row(name, both, index, unit):
    ours, theirs = ([pair[side][index] for pair in both] for side in range(2))
    ratios = [one / other for one, other in zip(ours, theirs)]
    times = f"{statistics.median(ours):10.1f} {statistics.median(theirs):10.1f} {unit:3}"
    print(f"{name:24} {times} {statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def compare(pairs, build, model, size, out):
    for stage in STAGES:
        both = [(stage_of_t2v(build, model, size, stage), stage_of_reference(model, size, stage)) for _ in range(pairs)]
        for index, kind in enumerate(("clock", "processor")):
            row(f"{stage}, {kind}", both, index, "ms")
        if both[0][0][2] > 0:
            print(f"{stage}, of the GEMM rate: {statistics.median(ours[2] for ours, _ in both):.2f}")
    both = [(process_of_t2v(build, model, size, out), reference(model, size, "--one-clip", "--steps", 2)[1:]) for _ in range(pairs)]
    row("process, processor", both, 0, "s")
    row("process, peak", both, 1, "MiB")


def main():
    from random_wan import write_model

    pairs, build = int(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        write_model(model, 1, "wan21", BLOCKS | TEXT)
        for size in SIZES:
            print("{}x{}, {} frames, {} pairs: t2v, reference, ratio".format(*size, pairs))
            compare(pairs, build, model, size, Path(folder))


main()
