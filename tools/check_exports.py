#!/usr/bin/env python3
"""Checks that every architecture is the same in PyTorch (`sasnet_torch.py`), in ONNX Runtime (`sasnet weights --onnx`) and in
`sasnet smooth`, and that PyTorch's agrees with the fixtures of independent models: each to 1e-5.

    pip install numpy onnx onnxruntime safetensors tifffile torch
    tools/check_exports.py [target/release/sasnet]

Prints a row a network and size: the largest differences from PyTorch's result, and fails where one is above.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import sasnet_torch
import tifffile
import torch
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5
SIZES = [(1, 1), (3, 40), (33, 50), (64, 96), (151, 77)]
SASNET = {"attention": "cbam", "features": "8"}
NETWORKS = [
    SASNET | {"blocks": "2"},
    SASNET | {"blocks": "2", "attention": "none", "latent": "keep"},
    SASNET | {"blocks": "1,1", "latent": "keep"},
    SASNET | {"blocks": "1,1,1"},
    {"architecture": "unet", "features": "4"},
    {"architecture": "autoencoder", "features": "4"},
    {"architecture": "resnet", "blocks": "2", "features": "8"},
    {"architecture": "resnet", "blocks": "2", "features": "8", "folded": "true"},
    {"architecture": "jessnet", "blocks": "1,1,1", "features": "8"},
    {"architecture": "drf", "features": "4"},
    {"architecture": "deaf", "features": "8", "beta": "167.77216"},
    {"architecture": "deaf", "features": "8", "beta": "4194.304"},  # its solve multiplies roundings by beta
]


def network(said):
    """A network at random, its statistics of normalisation, too."""
    model = sasnet_torch.ARCHITECTURES[said.get("architecture", "sasnet")](said)
    model.said = said
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.2, 0.2), (module.running_mean, -0.2, 0.2),
                                     (module.running_var, 0.5, 1.5)):
                torch.nn.init.uniform_(value, low, high)
    return model.eval()


def fixture(path):
    """The largest error of a network's result, where the fixture holds one's parameters."""
    with safe_open(path, "np") as file:
        said, names = file.metadata(), set(file.keys())
        if "dy" in names or not any(name.startswith("param.") for name in names):
            return None
        get = file.get_tensor
        tensors = {name.split(".", 1)[1]: torch.from_numpy(get(name)) for name in names
                   if name.startswith(("param.", "stats."))}
        model = network(said)
        model.fill(tensors)
        x, y = torch.from_numpy(get("x")), get("test.y" if "test.y" in names else "y")
        with torch.no_grad():
            got = model(x, torch.from_numpy(get("noise"))) if "noise" in names else model(x)
    return np.abs(got.numpy() - y).max()


def smoothed(sasnet, weights, x, folder):
    """What `sasnet smooth` makes of a picture (3, H, W)."""
    paths = [folder / name for name in ("in.tif", "out.tif")]
    tifffile.imwrite(paths[0], x.transpose(1, 2, 0), photometric="rgb")
    subprocess.run([sasnet, "smooth", "-q", "--adapter", "cpu", "--noise", "0", "--tiff-compression", "none", "--weights", weights,
                    paths[0], "-o", paths[1]], check=True)
    return tifffile.imread(paths[1]).transpose(2, 0, 1)


def main():
    sasnet = sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/sasnet"
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    worst = 0.0
    for path in sorted((ROOT / "tests/fixtures").glob("*.safetensors")):
        error = fixture(path)
        if error is not None:
            print(f"PyTorch and {path.stem}: {error:.1e}")
            worst = max(worst, error)
    print("\n| network | size | ONNX Runtime | sasnet smooth |\n|---|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = [ROOT / "weights/small.safetensors", ROOT / "weights/soft.safetensors"]
        for i, said in enumerate(NETWORKS):
            files.append(folder / f"{i}.safetensors")
            sasnet_torch.save(network(said), files[-1])
        for file in files:
            out = folder / "out.onnx"
            subprocess.run([sasnet, "weights", file, "--onnx", out], check=True, capture_output=True)
            onnx.checker.check_model(out, full_check=True)
            session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
            model = sasnet_torch.load(file)
            name = " ".join(f"{k} {v}" for k, v in model.said.items()) if file.parent == folder else file.stem
            for h, w in SIZES:
                # Structure and texture; two pictures in a batch.
                coarse = rng.random((2, 3, h // 8 + 2, w // 8 + 2)).repeat(8, 2).repeat(8, 3)[:, :, :h, :w]
                x = np.clip(coarse + 0.1 * rng.standard_normal(coarse.shape), 0, 1).astype(np.float32)
                y = model.smooth(torch.from_numpy(x)).numpy()
                assert y.std() > 0 or (h, w) == (1, 1), f"{name}: a flat result compares nothing"
                of_onnx, own = session.run(None, {"x": x})[0], smoothed(sasnet, file, x[0], folder)
                errors = [np.abs(of_onnx - y).max(), np.abs(own - y[0]).max()]
                print(f"| {name} | {h}x{w} | {errors[0]:.1e} | {errors[1]:.1e} |", flush=True)
                worst = max(worst, *errors)
    print(f"\nlargest difference: {worst:.1e}")
    if not worst <= TOLERANCE:
        raise SystemExit(f"above {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
