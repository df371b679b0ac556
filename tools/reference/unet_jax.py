"""The U-net and the auto-encoder of src/net/unet.rs in JAX and float64, by JAX's own convolutions and autodiff, and the
fixtures that tests/fixtures.rs compares with:

    python unet_jax.py ../../tests/fixtures        (jax, numpy, safetensors)

A fixture has the inputs (float32) and float64 results. The parameters are a formula (`parameters`), and of tensors of more
than SAMPLES elements only SAMPLES of them are kept, evenly spread: five levels of features would be megabytes. That the
elements between are right, too, is in the gradient's norm.

Where a ReLU's input is close to 0, or the two largest elements of a pooled cell are close to each other, rounding decides
which way the gradient goes, and float32 may differ from float64. So seeds are tried until no input of a ReLU, and no
difference in a cell (of zeros, past which no gradient goes, aside), in any of the training steps is smaller than MARGIN
times the largest value of its layer.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)

LEVELS = 5
SAMPLES = 150
MARGIN = 3e-6
STEPS, RATE, CLIP = 5, 2e-4, 1.0


def layout(features, skips):
    """(name, shape) of all parameters, in order; a bias follows its weight."""
    layers = []
    for level in range(LEVELS):
        f = features << level
        layers += [(f"down.{level}.conv1", (f, f // 2 if level else 3, 3, 3)), (f"down.{level}.conv2", (f, f, 3, 3))]
    for level in reversed(range(LEVELS - 1)):
        f = features << level
        layers += [(f"up.{level}.transposed", (2 * f, f, 2, 2)),
                   (f"up.{level}.conv1", (f, 2 * f if skips else f, 3, 3)), (f"up.{level}.conv2", (f, f, 3, 3))]
    layers.append(("out", (3, features, 1, 1)))
    for name, shape in layers:
        yield f"{name}.weight", shape
        yield f"{name}.bias", (shape[1] if "transposed" in name else shape[0],)


def parameters(features, skips, seed):
    """A linear congruential generator's numbers in [-1, 1), times sqrt(6 / fan_in) of the weight, all in float32."""
    state, params = seed, {}
    for name, shape in layout(features, skips):
        if name.endswith("weight"):
            bound = np.float32(np.sqrt(6 / np.prod(shape[1:])))
        values = []
        for _ in range(np.prod(shape)):
            state = (state * 1664525 + 1013904223) % 2**32
            values.append((state >> 8) / 2**23 - 1)
        params[name] = (np.array(values, np.float32) * bound).reshape(shape).astype(np.float64)
    return params


def conv(x, p, name):
    dims = ("NCHW", "OIHW", "NCHW")
    y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "SAME", dimension_numbers=dims)
    return y + p[f"{name}.bias"][:, None, None]


def transposed(x, p, name):
    """Each pixel makes a cell of its own: x (N, C, h, w), weight (C, O, 2, 2) -> (N, O, 2h, 2w)."""
    n, _, h, w = x.shape
    y = jnp.einsum("nchw,coij->nohiwj", x, p[f"{name}.weight"]).reshape(n, -1, 2 * h, 2 * w)
    return y + p[f"{name}.bias"][:, None, None]


def forward(p, x, skips):
    """y, and the smallest margin."""
    margins, kept = [], []

    def relu_conv(x, name):
        v = conv(x, p, name)
        margins.append(jnp.abs(v).min() / jnp.abs(v).max())
        return jax.nn.relu(v)

    def pool(x):
        n, c, h, w = x.shape
        cells = x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)
        first, second = jnp.sort(cells)[..., -1], jnp.sort(cells)[..., -2]
        margins.append(jnp.where(first > 0, first - second, jnp.inf).min() / x.max())
        return cells.max(-1)

    def convs(x, name):
        return relu_conv(relu_conv(x, f"{name}.conv1"), f"{name}.conv2")

    r = convs(x, "down.0")
    for level in range(1, LEVELS):
        kept.append(r)
        r = convs(pool(r), f"down.{level}")
    for level in reversed(range(LEVELS - 1)):
        up = transposed(r, p, f"up.{level}.transposed")
        r = convs(jnp.concatenate([kept[level], up], 1) if skips else up, f"up.{level}")
    return conv(r, p, "out"), jnp.array(margins).min()


def adam(p, g, m, v, step):
    """PyTorch's, after the clip of the gradient's norm."""
    norm = jnp.sqrt(sum((d ** 2).sum() for d in g.values()))
    g = {k: d * jnp.minimum(1.0, CLIP / (norm + 1e-6)) for k, d in g.items()}
    m = {k: 0.9 * m[k] + 0.1 * g[k] for k in p}
    v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in p}
    hat = lambda k: (m[k] / (1 - 0.9 ** step)) / (jnp.sqrt(v[k] / (1 - 0.999 ** step)) + 1e-8)
    return {k: p[k] - RATE * hat(k) for k in p}, m, v, norm


def picture(rng, shape):
    return rng.uniform(0, 1, shape).astype(np.float32).astype(np.float64)


def sample(a):
    """Evenly spread elements, as tests/fixtures.rs takes them."""
    a = np.asarray(a).reshape(-1)
    return a if a.size <= SAMPLES else a[np.arange(SAMPLES) * a.size // SAMPLES]


def fixture(path, features, skips, n, h, w):
    @jax.jit
    def step(p, x, target):
        def loss(p, x):
            y, margin = forward(p, x, skips)
            return jnp.abs(y - target).mean(), (y, margin)
        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(p, x)

    for seed in range(100000):
        rng = np.random.default_rng(seed)
        x, target = picture(rng, (n, 3, h, w)), picture(rng, (n, 3, h, w))
        p = parameters(features, skips, seed)
        m = {k: jnp.zeros_like(d) for k, d in p.items()}
        v, losses, results = dict(m), [], {}
        for i in range(1, STEPS + 1):
            (loss, (y, margin)), (g, gx) = step(p, x, target)
            if margin < MARGIN:
                break
            losses.append(loss)
            p, m, v, norm = adam(p, g, m, v, i)
            if i == 1:
                results = {"y": np.asarray(y), "norm": norm.reshape(1), "grad.x": np.asarray(gx)}
                results |= {f"grad.{k}": sample(d) for k, d in g.items()}
        else:
            break
    results |= {"x": x.astype(np.float32), "target": target.astype(np.float32), "train.losses": np.array(losses)}
    results |= {f"trained.{k}": sample(d) for k, d in p.items()}
    metadata = {"architecture": "unet" if skips else "autoencoder", "features": features, "lr": RATE, "clip": CLIP,
                "seed": seed}
    tensors = {k: np.ascontiguousarray(d) for k, d in results.items()}
    save_file(tensors, str(path), metadata={k: str(d) for k, d in metadata.items()})
    print(path.name, path.stat().st_size, "bytes, seed", seed, "losses", *map(float, losses))


if __name__ == "__main__":
    out = Path(sys.argv[1])
    fixture(out / "unet_f8.safetensors", 8, True, 1, 32, 48)
    fixture(out / "autoencoder_f8.safetensors", 8, False, 2, 32, 32)
