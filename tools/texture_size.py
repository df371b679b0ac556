#!/usr/bin/env python3
"""Sets whose textures are enlarged, and how a picture smoothed at half the size gets its edges back: the figures of
docs/texture-size.md.

    pip install numpy scipy pillow scikit-image
    python3 tools/texture_size.py sets SET OUT --by 2     # OUT/input, OUT/gt: SET with its textures twice as large
    python3 tools/texture_size.py ways SET ...            # mean PSNR of several ways, at half the size

A texture is what an input has more than its ground truth; the middle of it is enlarged and added again.
"""

import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image
from pictures import load, pictures, psnr, truth_of
from scipy.ndimage import uniform_filter

CUBIC, BOX, LINEAR = Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.BILINEAR


def read(path):
    return load(path).astype(np.float32) / 255


def write(path, x):
    Image.fromarray((np.clip(x, 0, 1) * 255).round().astype(np.uint8)).save(path)


def pairs(folder):
    """Inputs and their ground truths."""
    return [(path, truth_of(path.stem, [folder / "gt"])) for path in pictures(folder / "input")]


def resize(x, h, w, how):
    planes = [Image.fromarray(np.ascontiguousarray(x[..., c])).resize((w, h), how) for c in range(x.shape[2])]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def half(x):
    return resize(x, x.shape[0] // 2, x.shape[1] // 2, BOX)


def smooth(sasnet, xs):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        for i, x in enumerate(xs):
            write(folder / "in" / f"{i:04}.png", x)
        subprocess.run([sasnet, "smooth", folder / "in", "-o", folder / "out", "--quiet"], check=True)
        return [read(folder / "out" / f"{i:04}.png") for i in range(len(xs))]


def guided(coarse, fine, radius=2, flat=1e-4):
    """The fast guided filter, as src/upsample.rs has it."""
    guide = half(fine)
    h, w = guide.shape[:2]

    def mean(a):
        return uniform_filter(a, size=(2 * radius + 1,) * 2 + (0,) * (a.ndim - 2), mode="nearest")

    mg, mc = mean(guide), mean(coarse)
    covariance = mean(guide[..., :, None] * guide[..., None, :]) - mg[..., :, None] * mg[..., None, :]
    with_coarse = mean(guide[..., :, None] * coarse[..., None, :]) - mg[..., :, None] * mc[..., None, :]
    a = np.linalg.solve(covariance + flat * np.eye(3), with_coarse)
    b = mean(mc - np.einsum("hwi,hwij->hwj", mg, a))
    a = mean(a).reshape(h, w, 9).astype(np.float32)
    a, b = (resize(v, *fine.shape[:2], LINEAR) for v in (a, b.astype(np.float32)))
    return np.einsum("hwi,hwij->hwj", fine, a.reshape(*fine.shape[:2], 3, 3)) + b


def bilateral(coarse, fine, radius=2, space=1.0, colour=0.08):
    """Joint bilateral upsampling (Kopf et al., 2007)."""
    guide, (h, w) = half(fine), coarse.shape[:2]
    at = [(np.arange(side) + 0.5) / 2 - 0.5 for side in fine.shape[:2]]
    near = [np.round(v).astype(int) for v in at]
    total, weights = np.zeros_like(fine), 0
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            rows, columns = np.clip(near[0] + dy, 0, h - 1), np.clip(near[1] + dx, 0, w - 1)
            far = ((at[0] - near[0] - dy) ** 2)[:, None] + ((at[1] - near[1] - dx) ** 2)[None]
            other = ((guide[rows][:, columns] - fine) ** 2).sum(-1)
            weight = (np.exp(-far / (2 * space**2) - other / (2 * colour**2)) + 1e-12)[..., None]
            total, weights = total + weight * coarse[rows][:, columns], weights + weight
    return total / weights


def mean_psnr(results, truths):
    return np.mean([psnr(np.clip(a, 0, 1) * 255, b * 255) for a, b in zip(results, truths)])


def ways(folder, sasnet, every):
    found = pairs(folder)[::every]
    xs, truths = [], []
    for x, truth in found:
        x, truth = read(x), read(truth)
        h, w = (side // 2 * 2 for side in x.shape[:2])
        xs.append(x[:h, :w])
        truths.append(truth[:h, :w])
    fine, coarse = smooth(sasnet, xs), smooth(sasnet, [half(x) for x in xs])
    # What the coarse pass removes is removed from the picture, and that smoothed.
    removed = [resize(half(x) - c, *x.shape[:2], CUBIC) for x, c in zip(xs, coarse)]
    half_truths = [half(truth) for truth in truths]
    rows = {
        "input": mean_psnr(xs, truths),
        "fine": mean_psnr(fine, truths),
        "bicubic": mean_psnr([resize(c, *x.shape[:2], CUBIC) for x, c in zip(xs, coarse)], truths),
        "joint bilateral": mean_psnr([bilateral(c, y) for c, y in zip(coarse, fine)], truths),
        "guided": mean_psnr([guided(c, y) for c, y in zip(coarse, fine)], truths),
        "subtracted": mean_psnr(smooth(sasnet, [x - r for x, r in zip(xs, removed)]), truths),
        "at half the size: fine": mean_psnr([half(y) for y in fine], half_truths),
        "coarse": mean_psnr(coarse, half_truths),
        "coarse, of the ground truth": mean_psnr(smooth(sasnet, half_truths), half_truths),
    }
    print(f"{folder}, {len(found)} pictures: " + ", ".join(f"{name} {value:.2f}" for name, value in rows.items()))


def enlarged(folder, out, by):
    for name in ("input", "gt"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for x, truth in pairs(folder):
        path, x, truth = x, read(x), read(truth)
        h, w = (side // by * by for side in x.shape[:2])
        x, truth = x[:h, :w], truth[:h, :w]
        top, left = (h - h // by) // 2, (w - w // by) // 2
        texture = (x - truth)[top : top + h // by, left : left + w // by]
        write(out / "input" / path.name, truth + resize(texture, h, w, CUBIC))
        write(out / "gt" / path.name, truth)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("what", choices=["sets", "ways"])
parser.add_argument("folders", nargs="+", type=pathlib.Path)
parser.add_argument("--by", type=int, default=2)
parser.add_argument("--every", type=int, default=1, help="take every Nth picture only")
parser.add_argument("--sasnet", default="target/release/sasnet")
args = parser.parse_args()
if args.what == "sets":
    enlarged(*args.folders, args.by)
else:
    for folder in args.folders:
        ways(folder, args.sasnet, args.every)
