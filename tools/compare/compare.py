#!/usr/bin/env python3
"""Time and memory of sasnet next to ONNX Runtime, OpenVINO, ncnn, JAX and burn on this machine: the same network,
weights and inputs. See README.md.

Every contender runs in a process of its own, one after the other, round after round, so that all meet the machine in
the same moods. Ratios are taken within a round. Answers are compared before a time counts.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import network
import numpy as np

HERE = Path(__file__).parent
TOLERANCE = 1e-4  # of the largest value, f32 against f32


said = []


def say(text):
    print(text, flush=True)
    said.append(text + "\n")


def run(args, command):
    """What a process prints, as JSON; None, and its complaint on stderr, where it fails."""
    print("  " + " ".join(str(word) for word in command), file=sys.stderr, flush=True)
    done = subprocess.run(shlex.split(args.prefix) + [str(word) for word in command], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    try:
        text = done.stdout if done.stdout.lstrip().startswith("{") else lines[-1]
        return json.loads(text)
    except (IndexError, ValueError):
        print(f"    failed ({done.returncode}): {' '.join(done.stderr.split())[-300:]}", file=sys.stderr)


def sasnet(args, program, adapter, options):
    """`sasnet bench` in the words of contenders.py."""
    vulkan = shlex.split(args.vulkan) if adapter != "cpu" else []
    command = [*vulkan, program, "bench", "--json", "--adapter", adapter, "--runs", args.runs]
    report = run(args, [*command, "--weights", args.weights, *options])
    if report is None:
        return None
    times = report["with_transfer"] or report["run"]
    answer = report["answer"]
    result = {
        "name": "sasnet, " + report["device"]["name"].split(" (")[0],
        "version": report["version"] + (" on " + report["device"]["driver"] if "driver" in report["device"] else ""),
        "ms": times["all"],
        "process_bytes": report["process_bytes"],
        "report": report,
    }
    if "Samples" in answer:
        result["samples"] = answer["Samples"]
        inner = [layer for layer in report["layers"] if layer["name"].startswith("conv3x3") and "conv2" in layer["name"]]
        if all(layer["ms"] for layer in inner):
            result["conv_ms"] = sum(layer["ms"] for layer in inner) / sum(layer["calls"] for layer in inner)
    else:
        result.update(answer["Step"])
    return result


def contender(args, name, model, shape, prefix=()):
    python = [*prefix, sys.executable, HERE / "contenders.py", name, "--runs", args.runs, "--threads", args.threads]
    shape = ",".join(str(n) for n in shape)
    return run(args, [*python, "--shape", shape, "--model", model, "--weights", args.weights])


def wrong(result, first):
    """How an answer differs from the first one's; None where it agrees."""
    if "samples" in result and "samples" in first:
        ours, theirs = np.array(first["samples"]), np.array(result["samples"])
        error = abs(ours - theirs).max() / abs(ours).max() if ours.shape == theirs.shape else np.inf
    else:
        error = max(abs(result[k] / first[k] - 1) for k in ("loss", "gradient_norm"))
    return None if error <= TOLERANCE else f"its answer differs by {error:.1e}"


def table(title, rounds):
    """Over all rounds. The ratio of medians is the median of the rounds' ratios; that of the fastest suffers less where
    the machine has other work."""
    names = list(dict.fromkeys(name for results in rounds for name in results))
    first = names[0]
    say(f"\n{title}; ratios to {first}\n")
    say("| | version | median ms | ratio | fastest ms | ratio | peak memory, MB |\n|---|---|---|---|---|---|---|")
    fastest = lambda name: min(t for r in rounds if r.get(name) for t in r[name]["ms"])
    for name in names:
        results = [results[name] for results in rounds if results.get(name)]
        if not results or "wrong" in results[0]:
            say(f"| {name} | {results[0]['wrong'] if results else 'failed'} | | | | | |")
            continue
        median = statistics.median(t for r in results for t in r["ms"])
        both = [r for r in rounds if r.get(name) and r.get(first)]
        ratio = statistics.median(statistics.median(r[name]["ms"]) / statistics.median(r[first]["ms"]) for r in both)
        memory = max(r.get("process_bytes") or 0 for r in results) / 1e6
        memory, best = f"{memory:.0f}" if memory else "", fastest(name)
        times = f"{median:.1f} | {ratio:.2f} | {best:.1f} | {best / fastest(first):.2f}"
        say(f"| {name} | {results[0]['version']} | {times} | {memory} |")


def operators(name, result):
    """Where the time of our run goes."""
    report = result["report"]
    total = sum(o["ms"] or 0 for o in report["operators"])
    peak = report["peak_gflops"]
    say(f"\n{name} by operator; the peak is {peak:.0f} GFLOP/s, measured with {report['peak_of']}\n")
    say("| | calls | ms | share | GMAC | GFLOP/s | of the peak |\n|---|---|---|---|---|---|---|")
    for o in report["operators"]:
        ms, gmac = o["ms"] or 0, o["macs"] / 1e9
        rate = f"{2e3 * gmac / ms:.0f} | {2e5 * gmac / ms / peak:.0f} %" if gmac >= 0.001 and ms else " | "
        say(f"| {o['name']} | {o['calls']} | {ms:.2f} | {100 * ms / total:.1f} % | {gmac:.3f} | {rate} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sasnet", default=HERE / "../../target/release/sasnet", type=Path, help="the binary")
    parser.add_argument(
        "--vulkan", default="", help="command that starts a program on a software Vulkan driver, where one is needed"
    )
    parser.add_argument("--burn", type=Path, help="the binary of tools/compare/burn, to compare its convolution, too")
    parser.add_argument("--before", type=Path, help="an older binary, which takes turns with this one on the CPU")
    parser.add_argument("--against", default="onnxruntime,openvino,ncnn,jax", help="who else, of those of the default")
    parser.add_argument("--adapter", default="", help="the GPU for sasnet; empty: the CPU alone")
    parser.add_argument("--weights", help="safetensors; default: initial weights of the paper's network")
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--size", default="512x384")
    parser.add_argument("--batch", type=int, default=16, help="samples of the training step")
    parser.add_argument("--crop", type=int, default=128, help="side of a sample")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1, help="timed runs of a process, after warm-up")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="smooth,conv,train", help="what to compare")
    parser.add_argument("--record", type=Path, help="file for what is printed")
    parser.add_argument("--prefix", default="", help="command in front of every measured one, as in `taskset -c 0,1`")
    args = parser.parse_args()
    args.sasnet = args.sasnet.resolve()
    args.burn = args.burn and args.burn.resolve()
    args.before = args.before and args.before.resolve()
    width, height = (int(side) for side in args.size.split("x"))
    parts = args.only.split(",")

    folder = tempfile.TemporaryDirectory(prefix="compare-")
    of = args.weights or f"initial weights, {args.blocks} blocks, {args.features} features"
    if not args.weights:
        args.weights = Path(folder.name) / "initial.safetensors"
        network.write_weights(args.weights, network.initial_weights(args.blocks, args.features))
    prepare = [sys.executable, HERE / "contenders.py", "all", "--prepare"]
    net, conv = (Path(folder.name) / f"{name}.onnx" for name in ("net", "conv"))
    vulkan = shlex.split(args.vulkan)
    size = ["--size", args.size]
    smooths, convs, trains = [], [], []
    if "smooth" in parts:
        subprocess.run([*prepare, args.weights, "--model", net, "--shape", f"1,3,{height},{width}"], check=True)
    if "conv" in parts:
        subprocess.run([*prepare, "conv", "--model", conv, "--shape", f"1,64,{height // 2},{width // 2}"], check=True)

    def round_of(rounds, entries):
        results = {}
        for name, call in entries:
            if any(r.get(name) is None or "wrong" in r[name] for r in rounds):
                continue  # it failed before
            results[name] = call()
            first = next((r for r in results.values() if r and "wrong" not in r), None)
            if results[name] and (problem := wrong(results[name], first)):
                results[name] = {"wrong": problem}
        rounds.append(results)

    shape, inner = (1, 3, height, width), (1, 64, height // 2, width // 2)
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
        if "smooth" in parts:
            devices = [("sasnet, CPU", "cpu"), ("sasnet, GPU", args.adapter)]
            programs = [("", args.sasnet), (", before", args.before)]
            ours = [
                (name + when, lambda program=program, adapter=adapter: sasnet(args, program, adapter, size))
                for name, adapter in devices
                for when, program in programs
                if adapter and program
            ]
            theirs = [name for name in args.against.split(",") if name]
            round_of(smooths, ours + [(n, lambda n=n: contender(args, n, net, shape)) for n in theirs])
        if "conv" in parts:
            entries = [(n, lambda n=n: contender(args, n, conv, inner)) for n in ("onnxruntime", "openvino", "ncnn")]
            if args.adapter:
                entries.append(("ncnn, Vulkan", lambda: contender(args, "ncnn-vulkan", conv, inner, vulkan)))
            if args.burn:
                kind = "software" if vulkan else "gpu"
                what = [conv.with_suffix(".f32"), ",".join(str(n) for n in inner), args.runs, network.SAMPLE_STRIDE, kind]
                burn = [*vulkan, args.burn, *what]
                entries.append(("burn, Vulkan", lambda: run(args, burn)))
            round_of(convs, entries)
            # Ours from within the network: the mean of all such layers.
            within = {n: r for n, r in (smooths[-1] if smooths else {}).items() if r and "conv_ms" in r}
            ours = {n: {**r, "ms": [r["conv_ms"]], "process_bytes": 0} for n, r in within.items()}
            convs[-1] = ours | convs[-1]
        if "train" in parts:
            step = ["--train", "--batch", args.batch, "--crop", args.crop]
            sample = (args.batch, 3, args.crop, args.crop)
            entries = [
                (f"sasnet, CPU{stored}{when}", lambda program=program, more=more: sasnet(args, program, "cpu", step + more))
                for stored, more in (("", []), (", activations stored", ["--store-activations"]))
                for when, program in (("", args.sasnet), (", before", args.before))
                if program
            ]
            if "jax" in args.against.split(","):
                entries.append(("jax", lambda: contender(args, "jax-training", net, sample)))
            round_of(trains, entries)

    processor = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=HERE)
    say(f"# {time.strftime('%Y-%m-%d')}, {processor}, {args.threads} threads\n")
    say(f"Commit {commit.stdout.strip()}, Linux {platform.release()}, Python {platform.python_version()}.")
    say(f"{args.rounds} rounds of {args.runs} timed runs in a process each, after warm-up; {of}.")
    say(
        f"`compare.py {' '.join(shlex.quote(word) for word in sys.argv[1:])}`; what is what: `tools/compare/README.md`."
    )
    if smooths:
        table(f"Smoothing {width}x{height}, f32", smooths)
    if convs:
        table(f"The inner convolution alone, 64 to 64 channels of {width // 2}x{height // 2}, with LeakyReLU", convs)
    if trains:
        table(f"A training step, {args.batch} samples of {args.crop}x{args.crop}", trains)
    for rounds, what in ((smooths, "smoothing"), (trains, "the training step")):
        for name, result in (rounds[-1] if rounds else {}).items():
            if result and "report" in result:
                operators(f"{name}, {what}", result)
    if args.record:
        args.record.write_text("".join(said))


if __name__ == "__main__":
    main()
