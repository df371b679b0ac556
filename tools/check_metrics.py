#!/usr/bin/env python3
"""Checks `sasnet eval`'s scores against scikit-image.

    pip install numpy pillow scikit-image
    sasnet eval --set NAME=DIR --csv scores.csv --save RESULTS
    python3 tools/check_metrics.py scores.csv --results RESULTS --truth NAME=DIR/gt [--inputs NAME=DIR/input]

Scores the saved pictures of all sets and networks anew, prints the largest difference of each column and fails where one
is above 1e-6. A folder without NAME= is that of all sets. For side-by-side pictures, --truth (and --inputs) is their
folder: the ground truth is the left half.
"""

import argparse
import csv
import re
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


def folder_name(name):
    """A set's or network's folder, as `sasnet eval --save` calls it."""
    return re.sub(r"[^\w .+-]", "-", name)


def folders_of(name, options):
    """The folders that `[NAME=]DIR` options give for a set."""
    named = [option.split("=", 1)[1] for option in options if option.startswith(f"{name}=")]
    folders = named or [option for option in options if "=" not in option]
    if not folders:
        sys.exit(f"no folder for the set {name}: give {name}=DIR")
    return folders


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--results", required=True, metavar="DIR", help="what `sasnet eval --save` wrote")
    parser.add_argument("--truth", required=True, action="append", metavar="[NAME=]DIR")
    parser.add_argument("--inputs", action="append", metavar="[NAME=]DIR", help="check the columns of the inputs, too")
    args = parser.parse_args()

    largest = {}
    with args.scores.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        sys.exit(f"{args.scores}: no rows")
    # One set or network has no folder of its own.
    several = [column for column in ("set", "network") if len({row[column] for row in rows}) > 1]
    for row in rows:
        stem = row["image"]
        folder = Path(args.results, *(folder_name(row[column]) for column in several))
        result = load(folder / f"{stem}.png")
        size = result.shape[:2]
        truth = half(load(truth_of(stem, folders_of(row["set"], args.truth))), size, 0)
        expected = scores(result, truth)
        if args.inputs:
            given = half(load(truth_of(stem, folders_of(row["set"], args.inputs))), size, 1)
            expected |= {f"{name}_in": value for name, value in scores(given, truth).items()}
        where = f"{row['set']}/{stem}, {row['network']}"
        for name, value in expected.items():
            # Two infinite scores agree; their difference would not be a number.
            difference = 0.0 if float(row[name]) == value else abs(float(row[name]) - value)
            largest[name] = max(largest.get(name, (0.0, "")), (difference, where))

    for name, (difference, where) in largest.items():
        print(f"{name:10} {difference:.1e}  {where}")
    # Not `> TOLERANCE`: a difference that is not a number fails.
    wrong = [name for name, (difference, _) in largest.items() if not difference <= TOLERANCE]
    if wrong:
        sys.exit(f"above {TOLERANCE}: {', '.join(wrong)}")
    print(f"{len(rows)} results agree to {TOLERANCE}")


if __name__ == "__main__":
    main()
