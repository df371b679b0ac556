#!/usr/bin/env python3
"""Checks `sasnet eval`'s scores against scikit-image.

    pip install numpy pillow scikit-image
    sasnet eval INPUT TRUTH --csv scores.csv --save RESULTS
    python3 tools/check_metrics.py scores.csv --results RESULTS --truth TRUTH [--inputs INPUT]

Scores the saved pictures anew, prints the largest difference of each column and fails where one is above 1e-6. For
side-by-side pictures, TRUTH (and INPUT) is their folder: the ground truth is the left half.
"""

import argparse
import csv
import sys
from pathlib import Path

from pictures import load, luma, psnr, ssim, truth_of

TOLERANCE = 1e-6


def scores(x, truth):
    return {"psnr": psnr(x, truth), "ssim": ssim(x, truth), "psnr_y": psnr(luma(x), luma(truth)), "ssim_y": ssim(luma(x), luma(truth))}


def half(picture, size, side):
    """The picture, or its left (0) or right (1) half where it is twice as wide as `size`."""
    height, width = size
    if picture.shape[:2] == (height, 2 * width):
        return picture[:, side * width : (side + 1) * width]
    return picture


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--results", required=True, metavar="DIR", help="what `sasnet eval --save` wrote")
    parser.add_argument("--truth", required=True, nargs="+", metavar="DIR")
    parser.add_argument("--inputs", metavar="DIR", help="check the columns of the inputs, too")
    args = parser.parse_args()

    largest = {}
    with args.scores.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        sys.exit(f"{args.scores}: no rows")
    for row in rows:
        stem = Path(row["image"]).stem
        result = load(truth_of(stem, [args.results]))
        size = result.shape[:2]
        truth = half(load(truth_of(stem, args.truth)), size, 0)
        expected = scores(result, truth)
        if args.inputs:
            given = half(load(truth_of(stem, [args.inputs])), size, 1)
            expected |= {f"{name}_in": value for name, value in scores(given, truth).items()}
        for name, value in expected.items():
            # Two infinite scores agree; their difference would not be a number.
            difference = 0.0 if float(row[name]) == value else abs(float(row[name]) - value)
            largest[name] = max(largest.get(name, (0.0, "")), (difference, row["image"]))

    for name, (difference, image) in largest.items():
        print(f"{name:10} {difference:.1e}  {image}")
    # Not `> TOLERANCE`: a difference that is not a number fails.
    wrong = [name for name, (difference, _) in largest.items() if not difference <= TOLERANCE]
    if wrong:
        sys.exit(f"above {TOLERANCE}: {', '.join(wrong)}")
    print(f"{len(rows)} pictures agree to {TOLERANCE}")


if __name__ == "__main__":
    main()
