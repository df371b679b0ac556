#!/usr/bin/env python3
"""The classical filters beside OpenCV's, and beside JAX where OpenCV has none: time on the CPU, and where they mean the same, the answers.

    pip install jax numpy opencv-contrib-python-headless
    tools/compare/filters.py --sasnet target/release/sasnet [--size 512x384] [--threads 2] [--turns 5]

Turns alternate; a ratio is of medians of one run of this script. OpenCV's guided filter reflects at the borders where ours clips
its windows, so that answers are compared inside. Its rolling guidance is another filter (L1 colour distances, a disc, from the
picture itself), and its L0 has other borders: of these the times alone are compared. JAX (`jax_filters.py`) has as many threads as the process has processors (`taskset`).
"""

import argparse
import json
import os
import subprocess
import tempfile
import time

import cv2
import jax_filters
import numpy as np

FILTERS = {
    "gf": ({"r": 2, "eps": 0.032}, "OpenCV", lambda x: cv2.ximgproc.guidedFilter(x, x, 2, 0.032)),
    "rgf": (
        {"sigma_s": 2, "sigma_r": 0.05},
        "OpenCV",
        lambda x: cv2.ximgproc.rollingGuidanceFilter(x, d=13, sigmaColor=0.05, sigmaSpace=2, numOfIter=3),
    ),
    "l0": ({"lambda": 0.01}, "OpenCV", lambda x: cv2.ximgproc.l0Smooth(x.copy(), lambda_=0.01, kappa=2)),
    "rtv": ({"lambda": 0.0035, "sigma": 2}, "JAX", lambda x: np.asarray(jax_filters.rtv(x))),
    "sdf": ({"lambda": 10, "sigma_g": 0.7}, "JAX", lambda x: np.asarray(jax_filters.sdf(x))),
    "ils": ({"lambda": 0.02, "p": 1, "iterations": 10}, "JAX", lambda x: np.asarray(jax_filters.ils(x))),
}
ANOTHER = ["rgf", "l0"]  # filters that OpenCV means otherwise


def picture(width, height):
    """Edges, shading and texture; 8-bit codes."""
    y, x = np.mgrid[:height, :width]
    base = np.where((x // 37 + y // 29) % 2, 0.7, 0.3) + 0.1 * np.sin(x / 50.0)
    noise = np.random.default_rng(1).normal(0, 0.06, (height, width, 3))
    return np.rint(255 * np.clip(base[..., None] * [1, 0.9, 0.8] + noise, 0, 1)).astype(np.uint8)


def ours(args, method, settings):
    """Milliseconds of a run on data that is in memory."""
    flags = [flag for name, value in settings.items() for flag in ("--set", f"{name}={value}")]
    command = [args.sasnet, "bench", "--method", method, *flags, "--size", args.size, "--runs", "5", "--json"]
    env = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    run = subprocess.run([*command, "--adapter", "cpu"], env=env, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)["run"]["median"]


def theirs(function, x):
    times = []
    for _ in range(4):
        start = time.perf_counter()
        y = function(x)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[1:])), y


def smoothed(args, method, settings, codes):
    """Our result, as 8-bit codes."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/x.png", f"{folder}/y.png"
        cv2.imwrite(source, codes[..., ::-1])
        flags = [flag for name, value in settings.items() for flag in ("--set", f"{name}={value}")]
        command = [args.sasnet, "smooth", source, "-o", target, "--method", method, *flags, "--adapter", "cpu"]
        subprocess.run([*command, "--quiet"], check=True)
        return cv2.imread(target)[..., ::-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sasnet", default="target/release/sasnet")
    parser.add_argument("--size", default="512x384")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--methods", default=",".join(FILTERS))
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    codes = picture(*map(int, args.size.split("x")))
    x = codes.astype(np.float32) / 255
    print("| method | sasnet, ms | other, ms | | ratio | largest difference inside, of 255 |\n|---|---|---|---|---|---|")
    for method in args.methods.split(","):
        settings, name, function = FILTERS[method]
        turns = [(ours(args, method, settings), theirs(function, x)[0]) for _ in range(args.turns)]
        own, other = np.median(turns, axis=0)
        difference = "another filter"
        if method not in ANOTHER:
            inside = (slice(8, -8), slice(8, -8))
            expected = np.rint(255 * np.clip(function(x), 0, 1))[inside]
            difference = int(np.abs(smoothed(args, method, settings, codes)[inside] - expected).max())
        print(f"| {method} | {own:.1f} | {other:.1f} | {name} | {own / other:.2f} | {difference} |", flush=True)


if __name__ == "__main__":
    main()
