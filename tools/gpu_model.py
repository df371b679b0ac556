#!/usr/bin/env python3
"""A MODEL of how long smoothing a picture takes on GPUs that are not at hand, by kind of kernel, and what bounds each. Nothing of
it is measured: whoever quotes it says so. It needs Python alone.

    tools/gpu_model.py [--sasnet PROGRAM] [--size WIDTHxHEIGHT] [--half] [--device NAME]... [--measured BENCH.txt] [OPTION...]

Options of `sasnet plan` that choose the network may follow, as --blocks 4 --features 48; without: the paper's.

  --half      maps of all features are stored in f16, as the kernels `tiles-f16` do
  --measured  what `sasnet bench --layers` printed on a device: its times beside the model's, of that device or the one named

A kernel takes the longest of

  multiply-adds  those of the plan (`sasnet plan --steps`), by the device's peak (its data sheet) times their share of the inner
                 loop, and what is staged around it (a table of `tools/gpu_compile/`); workgroups that do not fill
                 all cores in their last round count as if they did
  memory         its maps in and out, by the rate of the cache where they fit in half of it, else of the memory
  latency        the compiler's own cycles of what is one chain of loads, where its table has them

and a fixed time for each dispatch with its barrier. Each is a least time: the one GPU measured so far, an H200, took 18.3 ms, 1.8
times the model (64 to 64 1.5 times, thin convolutions 2.8, attention 2.0; benches/record).
"""

import argparse
import math
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Device:
    """A data sheet: what makers publish, but for the microseconds of a dispatch, which are assumed."""

    table: str  # the target of tools/gpu_compile/ whose compiler is nearest
    cores: int  # SM, CU, cores, subslices
    lanes: int  # f32 multiply-adds of a core in a cycle
    ghz: float
    memory: float  # GB/s
    cache: float  # MB of the last level
    cache_rate: float  # GB/s
    dispatch: float  # microseconds
    share: float = 0.85  # of multiply-adds in the inner loop where there is no table that tells


DEVICES = {
    # GH100 whitepaper; the table is an Ampere's.
    "H100": Device("0x172", 132, 128, 1.98, 3350, 50, 5500, 2.0),
    "H200": Device("0x172", 132, 128, 1.98, 4800, 50, 5500, 2.0),
    "RTX 4060": Device("0x172", 24, 128, 2.46, 272, 24, 1500, 2.0),
    # Two multiply-adds in a cycle only where the compiler pairs them, which it does not.
    "Radeon 780M": Device("phoenix", 12, 64, 2.7, 90, 2, 700, 3.0),
    # Its compiler shows no machine code.
    "M2": Device("m1", 10, 128, 1.4, 100, 8, 250, 4.0),
    "Iris Xe": Device("tgl", 6, 128, 1.3, 68, 3.8, 200, 4.0),
    "Adreno 730": Device("730", 4, 256, 0.82, 51, 1, 150, 10.0),
}

# Operators of the plan: kernels in the table (regular expressions, by channels out: few, many), dispatches, pixels a workgroup.
KERNELS = {
    "conv3x3": (r"conv3x3\.forward GROUPS={groups} .*GATED=0", 1, 128),
    "conv3x3.with_stats": (r"conv3x3\.forward_stats GROUPS={groups} ", 1, 128),
    "conv3x3.gated": (r"conv3x3\.forward GROUPS={groups} .*GATED=1", 1, 128),
    "spatial_attention.stats": (r"spatial_attention\.pool ", 1, 64),
    "spatial_attention.gate": (r"spatial_attention\.gates ", 1, 256),
    "channel_attention.gate": (r"channel_attention\.(mlp|reduce) ", 2, None),
}
# What is staged around the inner loop, in parts of it: instructions of a chunk, as counted for sm_90.
STAGED = {8: 0.06, 3: 0.30, 1: 0.30}
CHAINS = ("channel_attention.gate", "spatial_attention.gate", "spatial_attention.stats")


@dataclass
class Step:
    op: str
    shape: tuple
    macs: float
    bytes: float


def plan(sasnet, size, half, options):
    """The steps of smoothing a picture, and what the plan says of all."""
    command = [sasnet, "plan", "--steps", "--size", size, *options]
    try:
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise SystemExit(f"{sasnet} is not there: `cargo build --release` makes it, --sasnet names another") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.stderr.strip()) from None
    steps, held = [], {}
    for line in text.splitlines():
        found = re.fullmatch(r"(\S+) +(\S+) +(\d+x\d+x\d+x\d+) +(\S*) > (\S+) +([\d.]+)", line)
        if not found:
            continue
        _, op, shape, read, written, macs = found.groups()
        shape = tuple(map(int, shape.split("x")))
        channels = shape[1]
        size_of = math.prod(shape) * (2 if half and channels > 16 else 4)
        # Of the outputs the first is the map; parameters, of buffer 0, are small.
        read = [held.get(buffer, 0) for buffer in read.split(",") if buffer]
        steps.append(Step(op, shape, 1e9 * float(macs), size_of + sum(read)))
        held[written.split(",")[0]] = size_of
        held.update(dict.fromkeys(written.split(",")[1:], 0))
    if not steps:
        raise SystemExit(f"no steps in what this printed: {' '.join(map(str, command))}")
    return steps, text[text.index("\n\n") :].strip()


def table(target):
    """Rows of a target's table, f32: kernel -> (cycles, instructions of the loop, multiply-adds of it), None = not said."""
    text = (HERE / "gpu_compile" / f"{target}.md").read_text().split("\n## ")[1]
    number = lambda cell: None if cell == "-" else float(cell)
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 14 and "." in cells[0]:
            rows[cells[0] + " "] = tuple(number(cells[i]) for i in (6, 7, 8))
    assert rows, f"{target}.md has no kernels: has its form changed?"
    return rows


def milliseconds(step, device, rows):
    """What each bound alone takes, and all together."""
    pattern, dispatches, pixels = KERNELS.get(step.op, (None, 1, None))
    _, channels, height, width = step.shape
    groups = 8 if channels > 16 else 3 if channels > 4 else 1
    if pattern:
        # Narrow tiles have twice the groups.
        pattern = pattern.format(groups="(8|16)" if groups == 8 else groups)
    found = [row for name, row in rows.items() if pattern and re.match(pattern, name)]
    if not found and rows and pattern:
        raise SystemExit(f"no kernel of {device.table}.md is like {pattern}")
    cycles, loop, products = found[0] if found else (None, None, None)
    bounds = {"multiply-adds": 0.0, "memory": 0.0, "latency": 0.0, "dispatch": dispatches * device.dispatch / 1e3}
    if step.macs:
        share = products / loop if loop else device.share
        share /= 1 + STAGED[groups] if step.op.startswith("conv3x3") else 1
        peak = device.cores * device.lanes * device.ghz * 1e9
        workgroups = math.ceil(height * width / pixels) if pixels else 1
        filled = workgroups / (math.ceil(workgroups / device.cores) * device.cores)
        bounds["multiply-adds"] = 1e3 * step.macs / (peak * share * filled)
    rate = device.cache_rate if step.bytes < device.cache * 1e6 / 2 else device.memory
    bounds["memory"] = step.bytes / (rate * 1e6)
    if step.op in CHAINS:
        bounds["latency"] = sum(row[0] or 0 for row in found) / (device.ghz * 1e6)
    longest = max((v, name) for name, v in bounds.items() if name != "dispatch")
    total = longest[0] + bounds["dispatch"]
    return total, longest[1] if longest[0] > bounds["dispatch"] else "dispatch"


def kind(step):
    """What rows are called: operator, and of convolutions whether many channels come out."""
    if step.op.startswith("conv3x3"):
        return f"{step.op} to {step.shape[1]}"
    return step.op


def measured(path):
    """Of what `sasnet bench --layers` printed: the device's name in `DEVICES`, or None, and milliseconds by operator."""
    text = Path(path).read_text()
    device = next((name for name in DEVICES if re.search(rf"^sasnet .* on .*{name}", text, re.M)), None)
    times = defaultdict(float)
    for op, ms in re.findall(r"^([a-z]\S*)(?: +[a-z]\S*)? +\d+ +\d+ +([\d.]+) ", text, re.M):
        times[op] += float(ms)
    if not times:
        raise SystemExit(f"{path} has no times by operator: `sasnet bench --layers` prints them")
    return device, times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the head of the file.")
    parser.add_argument("--sasnet", default=HERE.parent / "target/release/sasnet")
    parser.add_argument("--size", default="512x384")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--device", action="append", choices=DEVICES)
    parser.add_argument("--measured")
    args, options = parser.parse_known_args()
    times = {}
    if args.measured:
        device, times = measured(args.measured)
        args.device = args.device or [device]
        if args.device == [None]:
            nearest = f"name the nearest by --device: {', '.join(DEVICES)}"
            parser.error(f"there is no data sheet of the device of {args.measured}; {nearest}")
    steps, said = plan(args.sasnet, args.size, args.half, options)
    print(f"A model, not a measurement. {said.splitlines()[0]}{', maps in f16' if args.half else ''}\n")
    dispatches = sum(KERNELS.get(step.op, (None, 1, None))[1] for step in steps)
    for name in args.device or DEVICES:
        device, rows = DEVICES[name], table(DEVICES[name].table)
        sums = defaultdict(lambda: [0, 0.0, defaultdict(float)])
        for step in steps:
            total, bound = milliseconds(step, device, rows)
            entry = sums[kind(step)]
            entry[0] += 1
            entry[1] += total
            entry[2][bound] += total
        print(f"## {name} (model; kernels as compiled for {device.table})\n")
        print("| kind | calls | model ms | bound by |" + (" measured ms |" if times else ""))
        print("|---|---:|---:|---|" + ("---:|" if times else ""))
        left = dict(times)
        for what, (count, total, bounds) in sorted(sums.items(), key=lambda item: -item[1][1]):
            op = what.split(" ")[0]
            # A measured operator, of whatever shapes, stands in its first row.
            beside = f" {left.pop(op):.2f} |" if op in left else " |" if times else ""
            print(f"| {what} | {count} | {total:.2f} | {max(bounds, key=bounds.get)} |{beside}")
        total = sum(entry[1] for entry in sums.values())
        beside = f" {sum(times.values()):.2f} |" if times else ""
        print(f"| **all** | {len(steps)} ({dispatches} dispatches) | **{total:.2f}** | |{beside}\n")


if __name__ == "__main__":
    sys.exit(main())
