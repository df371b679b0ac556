#!/usr/bin/env python3
"""Runs one contender of `compare.py` in a process of its own and prints what it measured as JSON.

A run takes its inputs from NumPy arrays and leaves its output in one, as `sasnet bench` does.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import network
import numpy as np


def onnxruntime(model, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs)))[0]


def openvino(model, threads):
    import openvino as ov

    core = ov.Core()
    # Without the hint it may choose bf16 where the processor has it.
    config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", config).create_infer_request()
    return lambda *inputs: request.infer(list(inputs), share_inputs=True)[0].copy()


def ncnn(model, threads, vulkan=False):
    import ncnn as library

    stem = Path(model).with_suffix("")
    net = library.Net()
    options = net.opt
    options.num_threads = threads
    options.use_vulkan_compute = vulkan
    # f32 as everyone.
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(options, option, False)
    if net.load_param(f"{stem}.ncnn.param") or net.load_model(f"{stem}.ncnn.bin"):
        raise SystemExit("ncnn cannot load the model")

    def run(*inputs):
        extractor = net.create_extractor()
        for i, value in enumerate(inputs):
            extractor.input(f"in{i}", library.Mat(value[0]))
        return np.array(extractor.extract("out0")[1])[None]

    return run


def ncnn_vulkan(model, threads):
    import ncnn as library

    if library.get_gpu_count() == 0:
        raise SystemExit("ncnn finds no Vulkan device")
    return ncnn(model, threads, vulkan=True)


def jax_smoothing(params):
    import jax
    import jax_model

    params = {name: jax.numpy.asarray(value) for name, value in params.items()}
    smooth = jax.jit(jax_model.smooth)
    return lambda x, z: np.asarray(smooth(params, x, z))


def jax_training(params):
    import jax
    import jax_model

    step = jax.jit(jax_model.training_step, donate_argnums=(0, 1, 2))
    params = {name: jax.numpy.asarray(value) for name, value in params.items()}
    zeros = lambda: {name: jax.numpy.zeros_like(value) for name, value in params.items()}
    state = [params, zeros(), zeros(), 0]

    def run(x, z, target):
        *state[:3], loss, norm = step(*state[:3], state[3] + 1, x, z, target)
        state[3] += 1
        jax.block_until_ready(state[:3])
        return float(loss), float(norm)

    return run


def prepare(kind, model, height, width):
    """Makes the ONNX file of the network of a weights file, or of `conv`, and by pnnx ncnn's files."""
    import onnx
    import onnx_model
    from onnx import TensorProto, helper, numpy_helper

    if kind == "conv":
        rng = np.random.default_rng(1)
        w, b = rng.uniform(-0.04, 0.04, (64, 64, 3, 3)), rng.uniform(-0.04, 0.04, 64)
        constants = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in (("w", w), ("b", b))]
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4),
            helper.make_node("LeakyRelu", ["c"], ["y"], alpha=0.2),
        ]
        info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, height, width])
        graph = helper.make_graph(nodes, "conv", [info("x")], [info("y")], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
        shapes = f"[1,64,{height},{width}]f32"
        # For burn.
        values = [network.picture((1, 64, height, width)), w, b]
        Path(model).with_suffix(".f32").write_bytes(b"".join(v.astype("<f4").tobytes() for v in values))
    else:
        onnx_model.export(network.read_weights(kind), height, width, model)
        shapes = f"[1,3,{height},{width}]f32,[1,9,{height // 2},{width // 2}]f32"
    # In its folder: it leaves files where it is. Where it fails, ncnn will say that the model is missing.
    command = [Path(sys.executable).parent / "pnnx", Path(model).name, f"inputshape={shapes}", "fp16=0"]
    subprocess.run(command, cwd=Path(model).parent, capture_output=True)


def status(key):
    """A line of the process's memory in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return 1024 * int(line.split()[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("contender")
    parser.add_argument("--model", help="ONNX file of smoothing or of the convolution")
    parser.add_argument("--weights", help="safetensors")
    parser.add_argument("--prepare", help="make --model: `conv`, or a weights file")
    parser.add_argument("--shape", type=lambda text: [int(n) for n in text.split(",")], help="of the first input")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    n, c, h, w = args.shape
    if args.prepare:
        return prepare(args.prepare, args.model, h, w)

    inputs = [network.picture(args.shape)]
    if args.contender == "jax-training":
        run = jax_training(network.read_weights(args.weights))
    elif args.contender == "jax":
        run = jax_smoothing(network.read_weights(args.weights))
    else:
        run = globals()[args.contender.replace("-", "_")](args.model, args.threads)
    if c == 3:
        inputs.append(np.zeros((n, 9, h // 2, w // 2), np.float32))
    if args.contender == "jax-training":
        inputs.append(network.picture(args.shape, 7907))

    # Loading and compiling are over, their memory does not count.
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    answer = run(*inputs)
    while time.perf_counter() - start < 0.5:
        run(*inputs)
    times = []
    for _ in range(args.runs):
        start = time.perf_counter()
        run(*inputs)
        times.append(1e3 * (time.perf_counter() - start))
    library = args.contender.split("-")[0]
    report = {"name": library, "version": version(library), "ms": times, "process_bytes": status("VmHWM:")}
    if isinstance(answer, tuple):
        report["loss"], report["gradient_norm"] = answer
    else:
        assert answer.shape[-2:] == (h, w), answer.shape
        report["samples"] = answer.ravel()[:: network.SAMPLE_STRIDE].tolist()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
