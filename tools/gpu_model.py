#!/usr/bin/env python3
"""A MODEL of how long smoothing a picture takes on GPUs that are not at hand, by kind of kernel, and what bounds each. Nothing of
it is measured: whoever quotes it says so. It needs Python alone.

    tools/gpu_model.py [--sasnet PROGRAM] [--size WIDTHxHEIGHT] [--half] [--device NAME]... [--measured BENCH.txt] [OPTION...]

Options of `sasnet plan` that choose the network may follow, as --blocks 4 --features 48; without: the paper's.

  --half      maps of all features are stored in f16, as the kernels `tiles-f16` do
  --matrix    the same, and the convolutions among many features are on cooperative matrices, as the kernels `matrix` do
  --measured  what `sasnet bench --layers` printed on a device: its times beside the model's, of that device or the one named

A kernel takes the longest of

  multiply-adds  those of the plan (`sasnet plan --steps`), by the device's peak (its data sheet) times their share of the inner
                 loop, and what is staged around it (a table of `tools/gpu_compile/`); workgroups that do not fill
                 all cores in their last round count as if they did
  memory         its maps in and out, by the rate of the cache where they fit in half of it, else of the memory
  latency        the loads that an invocation waits for one after the other, where they are many

and a fixed time for each dispatch with its barrier. Each is a least time; docs/kernels.md sets it beside the one GPU measured so far.
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
    """A data sheet: what makers publish, but for a dispatch's microseconds and a load's nanoseconds, which are assumed: of
    Hopper's second cache microbenchmarks have some 270 cycles, of other GPUs' 100 to 300 ns."""

    table: str  # the target of tools/gpu_compile/ whose compiler is nearest
    cores: int  # SM, CU, cores, subslices
    lanes: int  # f32 multiply-adds of a core in a cycle
    ghz: float
    memory: float  # GB/s
    cache: float  # MB of the last level
    cache_rate: float  # GB/s
    dispatch: float  # microseconds
    load: float  # nanoseconds that an invocation waits for a load from the cache
    matrix: int = 0  # multiply-adds of a core's matrix unit in a cycle, f16 into f32; 0: the kernels take none
    schedulers: int = 4  # subgroups of a core that issue an instruction in a cycle
    share: float = 0.85  # of multiply-adds in the inner loop where there is no table that tells


DEVICES = {
    # GH100 whitepaper; the table is an Ampere's. Of the matrix units' rate without sparsity, which takes instructions that
    # no shading language has, half is to be had by others.
    "H100": Device("0x172", 132, 128, 1.98, 3350, 50, 5500, 2.0, 150, 1024),
    "H200": Device("0x172", 132, 128, 1.98, 4800, 50, 5500, 2.0, 150, 1024),
    "RTX 4060": Device("0x172", 24, 128, 2.46, 272, 24, 1500, 2.0, 120, 256),
    # Two multiply-adds in a cycle only where the compiler pairs them, which it does not.
    "Radeon 780M": Device("phoenix", 12, 64, 2.7, 90, 2, 700, 3.0, 120, 256, 2),
    # Its compiler shows no machine code.
    "M2": Device("m1", 10, 128, 1.4, 100, 8, 250, 4.0, 200),
    "Iris Xe": Device("tgl", 6, 128, 1.3, 68, 3.8, 200, 4.0, 200),
    "Adreno 730": Device("730", 4, 256, 0.82, 51, 1, 150, 10.0, 300),
}


@dataclass
class Kernel:
    """What the model knows of an operator's kernels."""

    row: str  # of the table: a regular expression, with the groups of output channels in it
    dispatches: int = 1
    pixels: int | None = None  # of a workgroup
    loads: int = 0  # that an invocation waits for one after the other with 64 channels, as the shaders have them


KERNELS = {
    "conv3x3": Kernel(r"conv3x3\.forward GROUPS={groups} .*GATED=0", pixels=128),
    "conv3x3.with_stats": Kernel(r"conv3x3\.forward_stats GROUPS={groups} ", pixels=128),
    "conv3x3.gated": Kernel(r"conv3x3\.forward GROUPS={groups} .*GATED=1", pixels=128),
    # Two rounds of tiles, then the hidden layer, the gates and four times 16 channels.
    "attention.gate_and_stats": Kernel(r"spatial_attention\.gate_and_pool ", dispatches=2, pixels=64, loads=8),
    "spatial_attention.gate": Kernel(r"spatial_attention\.gates ", pixels=256, loads=1),
}
# What is staged around the inner loop, in parts of it: instructions of a chunk, as counted for sm_90.
STAGED = {8: 0.06, 3: 0.30, 1: 0.30}

# The kernel on matrices: multiply-adds of a turn of a subgroup's loop (8 products of 16x16x16), what is staged around it, in
# parts of it (by 0x172's code), and loads that an invocation waits for: of four chunks three times inputs, and each tap's weights.
MATRIX = Kernel(r"conv3x3_matrix16\.forward_hidden(_stats)? ", pixels=128, loads=48)
MATRIX_TURN = 8 * 16**3
MATRIX_STAGED = 2.9


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


def table(target, family=None):
    """Rows of a target's table, those of a family or f32's: kernel -> (instructions of the loop, multiply-adds of it), None =
    not said."""
    text = (HERE / "gpu_compile" / f"{target}.md").read_text()
    parts = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    number = lambda cell: None if cell == "-" else float(cell)
    rows = {}
    for line in parts.get(family or next(iter(parts)), "").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 14 and "." in cells[0]:
            rows[cells[0] + " "] = tuple(number(cells[i]) for i in (7, 8))
    assert rows, f"{target}.md has no kernels: has its form changed?"
    return rows


def milliseconds(step, device, rows, matrices):
    """What all bounds together take, and the name of the longest. On matrices where rows of them are given."""
    kernel = KERNELS.get(step.op, Kernel(""))
    _, channels, height, width = step.shape
    groups = 8 if channels > 16 else 3 if channels > 4 else 1
    on_matrices = matrices and step.op == "conv3x3.with_stats"
    if on_matrices:
        kernel, rows = MATRIX, matrices
    # Narrow tiles have twice the groups.
    pattern = kernel.row.format(groups="(8|16)" if groups == 8 else groups)
    found = [row for name, row in rows.items() if pattern and re.match(pattern, name)]
    if not found and rows and pattern:
        raise SystemExit(f"no kernel of {device.table}.md is like {pattern}")
    loop, products = found[0] if found else (None, None)
    bounds = {"multiply-adds": 0.0, "memory": 0.0, "dispatch": kernel.dispatches * device.dispatch / 1e3}
    if step.macs:
        # Multiply-adds of a core in a cycle.
        if on_matrices:
            issued = device.schedulers * MATRIX_TURN / (loop * (1 + MATRIX_STAGED))
            rate = min(issued, device.matrix)
        else:
            staged = STAGED[groups] if step.op.startswith("conv3x3") else 0
            rate = device.lanes * (products / loop if loop else device.share) / (1 + staged)
        workgroups = math.ceil(height * width / kernel.pixels) if kernel.pixels else 1
        filled = workgroups / (math.ceil(workgroups / device.cores) * device.cores)
        bounds["multiply-adds"] = 1e3 * step.macs / (device.cores * device.ghz * 1e9 * rate * filled)
    rate = device.cache_rate if step.bytes < device.cache * 1e6 / 2 else device.memory
    bounds["memory"] = step.bytes / (rate * 1e6)
    bounds["latency"] = kernel.loads * device.load / 1e6
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
    parser.add_argument("--matrix", action="store_true")
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
    steps, said = plan(args.sasnet, args.size, args.half or args.matrix, options)
    how = ", on matrices of f16" if args.matrix else ", maps in f16" if args.half else ""
    print(f"A model, not a measurement. {said.splitlines()[0]}{how}\n")
    dispatches = sum(KERNELS.get(step.op, Kernel("")).dispatches for step in steps)
    for name in args.device or DEVICES:
        device, rows = DEVICES[name], table(DEVICES[name].table)
        if args.matrix and not device.matrix:
            print(f"## {name}: left out, no table has its matrices\n")
            continue
        matrices = table(device.table, "matrix") if args.matrix else {}
        sums = defaultdict(lambda: [0, 0.0, defaultdict(float)])
        for step in steps:
            total, bound = milliseconds(step, device, rows, matrices)
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
