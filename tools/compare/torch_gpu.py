#!/usr/bin/env python3
"""Time and memory of sasnet next to PyTorch on one GPU: the same network, weights and inputs. Needs PyTorch and NumPy.

Smoothing and training in float32 with and without TF32 and in half precision, in both memory layouts, eager and as a
CUDA graph; `--compile` adds torch.compile. Answers are compared with the first contender's before a time counts. sasnet runs
before and after PyTorch, in a process of its own.
"""

import argparse
import gc
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import network
import torch
from torch.nn import functional as F


class Ops:
    conv = staticmethod(lambda x, w, b, pad: F.conv2d(x, w, b, padding=pad))
    dense = staticmethod(F.linear)
    leaky = staticmethod(lambda x: F.leaky_relu(x, 0.2))
    relu = staticmethod(torch.relu)
    exp = staticmethod(torch.exp)
    neg = staticmethod(torch.neg)
    add = staticmethod(torch.add)
    sub = staticmethod(torch.sub)
    sigmoid = staticmethod(torch.sigmoid)
    tanh_half = staticmethod(lambda x: torch.tanh(x / 2))
    mul = staticmethod(lambda a, b: a * (b[:, :, None, None] if b.dim() == 2 else b))
    concat = staticmethod(lambda parts: torch.cat(parts, 1))
    split = staticmethod(lambda x: (x[:, :3], x[:, 3:]))
    mean_pixels = staticmethod(lambda x: x.mean((2, 3)))
    max_pixels = staticmethod(lambda x: x.amax((2, 3)))
    mean_channels = staticmethod(lambda x: x.mean(1, keepdim=True))
    max_channels = staticmethod(lambda x: x.amax(1, keepdim=True))

    @staticmethod
    def haar(x):
        a, b, c, d = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
        return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 4

    @staticmethod
    def haar_inverse(y):
        l, p, q, r = y.chunk(4, 1)
        rows = [torch.stack(pair, -1) for pair in ((l + p + q + r, l - p + q - r), (l + p - q - r, l - p - q + r))]
        n, c, h, w = l.shape
        return torch.stack(rows, 3).reshape(n, c, 2 * h, 2 * w)


def smooth(params, x, z):
    return network.smooth(Ops, params, x, z)


class Setting:
    """Precision, layout, and how the kernels are started."""

    def __init__(self, precision, layout, start):
        self.precision, self.layout, self.start = precision, layout, start
        self.name = f"{precision}, {layout}, {start}"

    def activate(self):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "f32"

    def place(self, value, device, dtype=torch.float32):
        value = torch.from_numpy(value.copy()).to(device, dtype)
        channels_last = self.layout == "NHWC" and value.dim() == 4
        return value.contiguous(memory_format=torch.channels_last) if channels_last else value


def synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(run, device, runs):
    """Milliseconds of each run, after warm-up."""
    start = time.perf_counter()
    for i in range(3):
        run()
    synchronise(device)
    while time.perf_counter() - start < 0.5:
        run()
        synchronise(device)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        synchronise(device)
        times.append(1e3 * (time.perf_counter() - start))
    return times


def capture(run):
    """The run as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def smoothing(args, setting, arrays):
    device = args.device
    dtype = torch.float16 if setting.precision == "f16" else torch.float32
    height, width = args.size
    params = {name: setting.place(value, device, dtype) for name, value in arrays.items()}
    x = setting.place(network.picture((1, 3, height, width)), device, dtype)
    z = setting.place(0 * network.picture((1, 9, height // 2, width // 2)), device, dtype)
    forward = torch.compile(smooth) if setting.start == "compiled" else smooth
    output = torch.empty_like(x)
    with torch.inference_mode():
        run = lambda: output.copy_(forward(params, x, z))
        run = capture(run) if setting.start == "CUDA graph" else run
        times = measure(run, device, args.runs)
        return {"samples": output.float().cpu().contiguous().flatten()[:: network.SAMPLE_STRIDE].tolist()}, times


def training(args, setting, arrays):
    device, crop = args.device, args.crop
    params = {name: setting.place(value, device).requires_grad_() for name, value in arrays.items()}
    x, target = (setting.place(network.picture((args.batch, 3, crop, crop), k), device) for k in (7919, 7907))
    z = setting.place(0 * network.picture((args.batch, 9, crop // 2, crop // 2)), device)
    graphed = setting.start == "CUDA graph"
    adam = torch.optim.Adam(params.values(), lr=2e-4, fused=device.type == "cuda", capturable=graphed)
    forward = torch.compile(smooth) if setting.start == "compiled" else smooth
    said = {name: torch.zeros((), device=device) for name in ("loss", "gradient_norm")}
    half = setting.precision == "bf16"

    def run():
        adam.zero_grad(set_to_none=True)
        # A graph must not keep what the cache of an earlier run holds.
        with torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=not graphed):
            loss = (forward(params, x, z) - target).abs().mean()
        loss.backward()
        said["gradient_norm"].copy_(torch.nn.utils.clip_grad_norm_(params.values(), 10.0))
        said["loss"].copy_(loss.detach())
        adam.step()

    run()
    answer = {name: value.item() for name, value in said.items()}
    return answer, measure(capture(run) if graphed else run, device, args.runs)


def measured(args, what, setting, arrays):
    """A row; where PyTorch fails, with its words."""
    device = args.device
    if setting.start == "compiled":
        torch._dynamo.reset()  # it compiles a function a few times only
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    row = {"name": "PyTorch " + setting.name}
    try:
        setting.activate()
        answer, times = what(args, setting, arrays)
    except Exception as error:  # a setting that this build does not have must not cost the others
        return {**row, "failed": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    row.update(answer=answer, ms=times)
    if device.type == "cuda":
        row["allocated"], row["reserved"] = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return row


class DeviceMemory(threading.Thread):
    """The most memory in use on the GPU while it runs, over what was in use before (nvidia-smi, MB)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.before = self.most = self.used()
        self.over = threading.Event()

    @staticmethod
    def used():
        command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        try:
            return int(subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.split()[0])
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            return None

    def run(self):
        while self.before is not None and not self.over.wait(0.1):
            self.most = max(self.most, self.used() or 0)

    def end(self):
        self.over.set()
        self.join()
        return None if self.before is None else (self.most - self.before) * 1 << 20


def sasnet(args, weights, options, adapter, extra):
    """A row of `sasnet bench`."""
    command = [*shlex.split(args.vulkan), args.sasnet, "bench", "--json", "--adapter", adapter, "--runs", args.runs]
    command = [str(word) for word in [*command, "--weights", weights, *options, *shlex.split(extra)]]
    memory = DeviceMemory()
    memory.start()
    done = subprocess.run(command, capture_output=True, text=True)
    used = memory.end()
    name = f"sasnet, {adapter}{' ' + extra if extra else ''}"
    if done.returncode:
        return {"name": name, "failed": " ".join(done.stderr.split())[-300:]}
    report = json.loads(done.stdout)
    answer = report["answer"]
    row = {"name": name, "ms": report["run"]["all"], "report": report}
    row["answer"] = {"samples": answer["Samples"]} if "Samples" in answer else answer["Step"]
    row["allocated"], row["reserved"] = report["device_bytes"] or report["allocated_bytes"], used
    return row


def error_of(answer, first):
    if "samples" in first:
        largest = max(abs(v) for v in first["samples"])
        return max(abs(a - b) for a, b in zip(answer["samples"], first["samples"], strict=True)) / largest
    return max(abs(answer[k] / first[k] - 1) for k in first)


def table(title, rows):
    print(f"\n{title}\n")
    print("| | median ms | min to max | ratio | allocated, MB | held, MB | error |\n|---|---|---|---|---|---|---|")
    first = next((row for row in rows if "failed" not in row), None)
    for row in rows:
        if "failed" in row:
            print(f"| {row['name']} | failed: {row['failed']} | | | | | |")
            continue
        error = error_of(row["answer"], first["answer"])
        # Lower precision may differ; that it is the same network is still to be seen.
        half = any(kernel in row["name"] for kernel in ("tiles-f16", "matrix"))
        exact = row["name"].startswith("sasnet") and not half or " f32" in row["name"]
        row["error"], row["wrong"] = error, not error <= (1e-4 if exact else 0.2)
        median, ms = statistics.median(row["ms"]), row["ms"]
        ratio = median / statistics.median(first["ms"])
        mb = lambda key: f"{row[key] / 1e6:.0f}" if row.get(key) else ""
        verdict = f"{error:.1e}" + (" WRONG" if row["wrong"] else "")
        time = f"{median:.2f} | {min(ms):.2f} to {max(ms):.2f} | {ratio:.2f}" if not row["wrong"] else " | |"
        print(f"| {row['name']} | {time} | {mb('allocated')} | {mb('reserved')} | {verdict} |")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--sasnet", type=Path, help="the binary; without it PyTorch runs alone")
    parser.add_argument(
        "--adapter", action="append", help="the GPU for sasnet, as in `sasnet devices`; may be given again"
    )
    parser.add_argument(
        "--bench", action="append", help="further options of `sasnet bench`; may be given again", default=[""]
    )
    parser.add_argument(
        "--vulkan", default="", help="command that starts a program on the Vulkan driver, where one is needed"
    )
    parser.add_argument("--weights", help="safetensors; default: initial weights")
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--size", default="512x384", type=lambda t: tuple(int(n) for n in reversed(t.split("x"))))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="torch.compile, too: minutes")
    parser.add_argument("--only", default="smooth,train")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    args = parser.parse_args()
    cuda = args.device.type == "cuda"
    torch.backends.cudnn.benchmark = True

    folder = tempfile.TemporaryDirectory()
    weights = args.weights or Path(folder.name) / "initial.safetensors"
    if not args.weights:
        network.write_weights(weights, network.initial_weights(args.blocks, args.features))
    arrays = network.read_weights(weights)
    name = torch.cuda.get_device_name() if cuda else "the CPU"
    adapters = args.adapter or (["NVIDIA"] if cuda else ["cpu"])
    starts = (["eager", "CUDA graph"] if cuda else ["eager"]) + (["compiled"] if args.compile else [])
    half = {"smooth": ["f16"] if cuda else [], "train": ["bf16"]}
    height, width = args.size
    parts = {
        "smooth": (f"Smoothing {width}x{height}", smoothing, ["--size", f"{width}x{height}"]),
        "train": (
            f"A training step, {args.batch} samples of {args.crop}x{args.crop}",
            training,
            ["--train", "--batch", args.batch, "--crop", args.crop],
        ),
    }
    print(f"{time.strftime('%Y-%m-%d')}, PyTorch {torch.__version__} on {name}, CUDA {torch.version.cuda},", end=" ")
    print(f"cuDNN {torch.backends.cudnn.version()}; {args.runs} runs each after warm-up")
    everything = {}
    for part in args.only.split(","):
        title, what, options = parts[part]
        ours = lambda: (
            [sasnet(args, weights, options, a, e) for a in adapters for e in args.bench] if args.sasnet else []
        )
        rows = ours()
        for precision in ["f32"] + (["TF32"] if cuda else []) + half[part]:
            for layout in ("NCHW", "NHWC"):
                for start in starts:
                    rows.append(measured(args, what, Setting(precision, layout, start), arrays))
        rows += [{**row, "name": row["name"] + ", again"} for row in ours()]
        table(title, rows)
        everything[part] = rows
        if args.json:
            args.json.write_text(json.dumps(everything, indent=1, default=str))
    bad = [row["name"] for rows in everything.values() for row in rows if row.get("wrong")]
    if bad:
        sys.exit(f"wrong: {', '.join(bad)}")


if __name__ == "__main__":
    main()
