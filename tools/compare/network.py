"""What the comparisons share: weights files, initial weights, inputs, and SASNet as one function of any array library.

Needs NumPy alone. `src/net.rs` is the same page in Rust.
"""

import json
import struct
from pathlib import Path

import numpy as np

SAMPLE_STRIDE = 599  # of `answer.Samples` in `sasnet bench --json`
DTYPES = {"F32": np.float32, "F16": np.float16}


def read_weights(path):
    """A safetensors file: {name: float32 array}."""
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + size :]

    def tensor(info):
        start, end = info["data_offsets"]
        return np.frombuffer(body[start:end], DTYPES[info["dtype"]]).reshape(info["shape"]).astype(np.float32)

    return {name: tensor(info) for name, info in header.items() if not name.startswith("adam.")}


def write_weights(path, params):
    """Writes what `read_weights` reads, for a network of one scale with attention."""
    metadata = {"blocks": str(depth(params)), "attention": "cbam"}
    metadata["features"] = str(len(params["blocks.0.g1.conv1.bias"]))
    header, end = {"__metadata__": metadata}, 0
    for name, value in params.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [end, end + value.nbytes]}
        end += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in params.values()))


def initial_weights(blocks, features, seed=1):
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases."""
    rng = np.random.default_rng(seed)
    hidden = max(4, features // 16)
    params = {}
    for l in range(blocks):
        for g, ci, co in (("g1", 9, 3), ("g2", 3, 9), ("g3", 3, 9)):
            for layer, shape in (
                ("conv1", (features, ci, 3, 3)),
                ("conv2", (features, features, 3, 3)),
                ("channel.fc1", (hidden, features)),
                ("channel.fc2", (features, hidden)),
                ("spatial", (1, 2, 7, 7)),
                ("conv3", (co, ci + features, 3, 3)),
            ):
                bound = 1 / np.sqrt(np.prod(shape[1:]))
                for kind, size in (("weight", shape), ("bias", shape[:1])):
                    name = f"blocks.{l}.{g}.{layer}.{kind}"
                    params[name] = rng.uniform(-bound, bound, size).astype(np.float32)
    return params


def depth(params):
    """Blocks; refuses the networks that are not compared here."""
    blocks = 1 + max(int(name.split(".")[1]) for name in params)
    if params["blocks.%d.g1.conv1.weight" % (blocks - 1)].shape[1] != 9 or "blocks.0.g1.spatial.bias" not in params:
        raise SystemExit("only networks of scale x2 with attention are compared")
    return blocks


def picture(shape, step=7919):
    """The picture of `sasnet bench`; its target has the step 7907."""
    return (np.arange(np.prod(shape)) * step % 1000).astype(np.float32).reshape(shape) / np.float32(1000)


def haar_kernel():
    """(12, 3, 2, 2): the transform as a convolution of stride 2, band-major. Its inverse is 4 times its transpose."""
    signs = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32) / 4
    kernel = np.zeros((12, 3, 2, 2), np.float32)
    for band in range(4):
        for colour in range(3):
            kernel[3 * band + colour, colour] = signs[band].reshape(2, 2)
    return kernel


def smooth(ops, params, x, z):
    """x (N, 3, H, W), z (N, 9, H/2, W/2) in the noise's place -> y. `params` has values of the library, `ops` its
    functions. As `sasnet` runs it: the last forward block's g2 and g3, which feed z alone, are left out."""

    def subnet(name, x):
        p = lambda layer: (params[f"{name}.{layer}.weight"], params[f"{name}.{layer}.bias"])
        r = ops.leaky(ops.conv(x, *p("conv1"), 1))
        r = ops.leaky(ops.conv(r, *p("conv2"), 1))
        mlp = lambda v: ops.dense(ops.relu(ops.dense(v, *p("channel.fc1"))), *p("channel.fc2"))
        r = ops.mul(r, ops.sigmoid(ops.add(mlp(ops.mean_pixels(r)), mlp(ops.max_pixels(r)))))
        stats = ops.concat([ops.max_channels(r), ops.mean_channels(r)])
        r = ops.mul(r, ops.sigmoid(ops.conv(stats, *p("spatial"), 3)))
        return ops.conv(ops.concat([x, r]), *p("conv3"), 1)

    a1, a2 = ops.split(ops.haar(x))
    blocks = depth(params)
    for l in range(blocks):
        name = f"blocks.{l}."
        a1 = ops.add(a1, subnet(name + "g1", a2))
        if l + 1 < blocks:
            e = ops.exp(ops.tanh_half(subnet(name + "g2", a1)))
            a2 = ops.add(ops.mul(a2, e), subnet(name + "g3", a1))
    a2 = z
    for l in reversed(range(blocks)):
        name = f"blocks.{l}."
        e = ops.exp(ops.neg(ops.tanh_half(subnet(name + "g2", a1))))
        a2 = ops.mul(ops.sub(a2, subnet(name + "g3", a1)), e)
        a1 = ops.sub(a1, subnet(name + "g1", a2))
    return ops.haar_inverse(ops.concat([a1, a2]))
