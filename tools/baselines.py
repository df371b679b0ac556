#!/usr/bin/env python3
"""Guided filter (He et al. 2010) and L0 smoothing (Xu et al. 2011), each at the best one setting for a whole set,
and at the best one for all sets together.

    pip install numpy scipy pillow scikit-image
    python3 tools/baselines.py --set sps_like=DIR/input,DIR/gt --set nks_like=... --every 7

A grid search over every N-th picture maximises the mean PSNR; the winners then run on all of them. N must
share no factor with the number of textures of a structure, or the search sees one texture only.
These filters are tuned on the very set that they are scored on, so their rows are upper bounds.
"""

import argparse
import itertools

import numpy as np
from pictures import load, pictures, psnr, ssim, truth_of
from scipy import fft
from scipy.ndimage import uniform_filter

GUIDED = list(itertools.product(["grey", "colour"], [1, 2, 3, 4, 6, 8], [2.0**k / 1000 for k in range(0, 9)]))
L0 = [(0.0025 * 2 ** (k / 2),) for k in range(0, 13)]


def box(x, r):
    """Mean over the part of the (2r+1)^2 window that lies in the picture; x is (H, W, ...)."""
    size = (2 * r + 1, 2 * r + 1) + (1,) * (x.ndim - 2)
    inside = uniform_filter(np.ones(x.shape[:2]), size[:2], mode="constant")
    return uniform_filter(x, size, mode="constant") / inside.reshape(inside.shape + (1,) * (x.ndim - 2))


def guided(image, mode, r, eps):
    """The guided filter with the picture as its own guide: per window y = A x + b.

    `colour` regresses on the three channels together: A = S (S + eps)^-1 = 1 - eps (S + eps)^-1 with S the 3x3
    covariance. `grey` regresses each channel on the mean of the three.
    """
    mean = box(image, r)
    if mode == "grey":
        guide = image.mean(-1, keepdims=True)
        mean_g = box(guide, r)
        a = (box(guide * image, r) - mean_g * mean) / (box(guide * guide, r) - mean_g**2 + eps)
        return box(a, r) * guide + box(mean - a * mean_g, r)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    s = [box(image[..., i] * image[..., j], r) - mean[..., i] * mean[..., j] + (i == j) * eps for i, j in pairs]
    # The inverse of a symmetric 3x3 matrix by cofactors: np.linalg.inv on 175,000 of them takes ten times as long.
    xx, xy, xz, yy, yz, zz = s
    cofactors = np.stack(
        [yy * zz - yz**2, xz * yz - xy * zz, xy * yz - xz * yy, xx * zz - xz**2, xy * xz - xx * yz, xx * yy - xy**2], -1
    )
    det = xx * cofactors[..., 0] + xy * cofactors[..., 1] + xz * cofactors[..., 2]
    a = -eps * cofactors / det[..., None]
    a[..., [0, 3, 5]] += 1
    full = [0, 1, 2, 1, 3, 4, 2, 4, 5]
    times = lambda m, v: np.einsum("hwij,hwj->hwi", m[..., full].reshape(*v.shape, 3), v)
    b = mean - times(a, mean)
    return times(box(a, r), image) + box(b, r)


def l0(image, lam, kappa=2.0, beta_max=1e5):
    """Xu's half-quadratic splitting: hard-thresholded gradients, then a Poisson problem solved by FFT, beta doubling."""
    height, width = image.shape[:2]
    norm = sum(
        (2 - 2 * np.cos(2 * np.pi * f))
        for f in np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij")
    )[..., None]
    start = fft.rfft2(image, axes=(0, 1))
    s, beta = image, 2 * lam
    while beta < beta_max:
        h = np.roll(s, -1, 1) - s
        v = np.roll(s, -1, 0) - s
        flat = (h**2 + v**2).sum(-1) < lam / beta
        h[flat] = 0
        v[flat] = 0
        divergence = np.roll(h, 1, 1) - h + np.roll(v, 1, 0) - v
        s = fft.irfft2((start + beta * fft.rfft2(divergence, axes=(0, 1))) / (1 + beta * norm), (height, width), (0, 1))
        beta *= kappa
    return s


def quantise(x):
    """[0, 1] to 8 bits."""
    return np.clip(np.rint(x * 255), 0, 255).astype(np.uint8)


def scores(smooth, setting, pairs, metric):
    """The mean of `metric` over pairs of (input, truth)."""
    return np.mean([metric(quantise(smooth(x / 255.0, *setting)), y) for x, y in pairs])


def search(smooth, grid, pairs):
    """Mean PSNR of every setting."""
    return np.array([scores(smooth, setting, pairs, psnr) for setting in grid])


def at_border(setting, grid):
    """True where a number of the setting is the smallest or largest that was tried: the grid may be too small."""
    return any(
        not isinstance(value, str) and value in (min(column), max(column)) for value, column in zip(setting, zip(*grid))
    )


def shown(setting):
    return ", ".join(value if isinstance(value, str) else f"{value:.4g}" for value in setting)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", required=True, metavar="NAME=INPUT_DIR,GT_DIR")
    parser.add_argument("--every", type=int, default=7, metavar="N", help="search on every N-th picture (default 7)")
    args = parser.parse_args()
    sets = {}
    for name, folders in (s.split("=", 1) for s in args.set):
        inputs, truths = folders.split(",", 1)
        sets[name] = [(load(p), load(truth_of(p.stem, [truths]))) for p in pictures(inputs)]
    methods = [("input", lambda x: x, [()]), ("guided filter (mode, r, eps)", guided, GUIDED), ("L0 (lambda)", l0, L0)]
    print("| set | method | setting | PSNR | SSIM |\n|---|---|---|---|---|")
    for method, smooth, grid in methods:
        found = {name: search(smooth, grid, pairs[:: args.every]) for name, pairs in sets.items()}
        universal = grid[int(np.argmax(sum(found.values())))]
        for name, pairs in sets.items():
            own = grid[int(np.argmax(found[name]))]
            for setting, of in {own: "this set's best", universal: "best over all sets"}.items():
                results = [(quantise(smooth(x / 255.0, *setting)), y) for x, y in pairs]
                values = [np.mean([metric(x, y) for x, y in results]) for metric in (psnr, ssim)]
                border = ", border of the grid" if len(grid) > 1 and at_border(setting, grid) else ""
                note = f"{shown(setting)} ({of}{border})" if setting else ""
                print(f"| {name} | {method} | {note} | {values[0]:.2f} | {values[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
