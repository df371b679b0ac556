"""SASNet at any scale, with z kept, in JAX and float64, by JAX's own convolutions and autodiff, and the fixtures that
tests/fixtures.rs compares with:

    python sasnet_jax.py ../../tests/fixtures        (jax, numpy, safetensors)

A fixture has inputs and parameters (float32) and float64 results: y_cor, z, what of it is structure (`latent`), y, loss,
gradients, the losses of five training steps and the parameters after them.

Where a LeakyReLU's or ReLU's input is close to 0, or two maxima are close to each other, rounding decides which way the
gradient goes, and float32 may differ from float64. So seeds are tried until no such distance, in any of the training steps,
is smaller than MARGIN times the largest value of its layer.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)

MARGIN = 3e-6
STEPS, RATE, CLIP = 5, 2e-4, 1.0


def z_channels(level):
    return 3 * 4 ** (level + 1) - 3


def layout(blocks, features, attention):
    """(name, shape) of all parameters, in order; a bias follows its weight."""
    hidden = max(4, features // 16)

    def block(name, c_in, c_out):
        layers = [("conv1", (features, c_in, 3, 3)), ("conv2", (features, features, 3, 3))]
        if attention:
            layers += [("channel.fc1", (hidden, features)), ("channel.fc2", (features, hidden)),
                       ("spatial", (1, 2, 7, 7))]
        for layer, shape in layers + [("conv3", (c_out, c_in + features, 3, 3))]:
            yield f"{name}.{layer}.weight", shape
            yield f"{name}.{layer}.bias", shape[:1]

    levels = [level for level, count in enumerate(blocks) for _ in range(count)]
    for l, level in enumerate(levels):
        z = z_channels(level)
        for g, c_in, c_out in ("g1", z, 3), ("g2", 3, z), ("g3", 3, z):
            yield from block(f"blocks.{l}.{g}", c_in, c_out)
    z = z_channels(len(blocks) - 1)
    yield from block("latent", 3 + z, z)


def haar(x):
    """Each cell [[a, b], [c, d]] gives its mean and its three differences, band by band."""
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    bands = a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d
    return jnp.concatenate(bands, 1) / 4


def haar_inverse(y):
    n, c, h, w = y.shape
    mean, across, down, both = y.reshape(n, 4, c // 4, h, w).swapaxes(0, 1)
    rows = [[mean + across + down + both, mean - across + down - both],
            [mean + across - down - both, mean - across - down + both]]
    return jnp.stack([jnp.stack(row, -1) for row in rows], 3).reshape(n, c // 4, 2 * h, 2 * w)


class Network:
    """The parameters p; `margins` collects how near its activations and maxima come to where they turn."""

    def __init__(self, p, blocks):
        self.p, self.blocks, self.margins = p, blocks, []

    def conv(self, x, name):
        weight = self.p[f"{name}.weight"]
        dims = ("NCHW", "OIHW", "NCHW")
        y = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=dims)
        return y + self.p[f"{name}.bias"][:, None, None]

    def turn(self, v, slope):
        self.margins.append(jnp.abs(v).min() / jnp.abs(v).max())
        return jnp.where(v >= 0, v, slope * v)

    def maximum(self, v, axes):
        """The maximum over axes that come last."""
        flat = v.reshape(*v.shape[:-len(axes)], -1)
        first, second = jax.lax.top_k(flat, 2)[0].swapaxes(0, -1)[:2]
        self.margins.append((first - second).min() / jnp.abs(v).max())
        return flat.max(-1)

    def gates(self, r, name):
        p = self.p

        def mlp(v):
            v = self.turn(v @ p[f"{name}.channel.fc1.weight"].T + p[f"{name}.channel.fc1.bias"], 0)
            return v @ p[f"{name}.channel.fc2.weight"].T + p[f"{name}.channel.fc2.bias"]

        r = r * jax.nn.sigmoid(mlp(r.mean((2, 3))) + mlp(self.maximum(r, (2, 3))))[:, :, None, None]
        stats = jnp.stack([self.maximum(jnp.moveaxis(r, 1, -1), (3,)), r.mean(1)], 1)
        return r * jax.nn.sigmoid(self.conv(stats, f"{name}.spatial"))

    def residual(self, x, name):
        r = self.turn(self.conv(x, f"{name}.conv1"), 0.2)
        r = self.turn(self.conv(r, f"{name}.conv2"), 0.2)
        if f"{name}.spatial.weight" in self.p:
            r = self.gates(r, name)
        return self.conv(jnp.concatenate([x, r], 1), f"{name}.conv3")

    def scale(self, a1, l):
        return jnp.exp(jnp.tanh(self.residual(a1, f"blocks.{l}.g2") / 2))

    def down(self, x):
        l = 0
        for count in self.blocks:
            y = haar(x)
            a1, a2 = y[:, :3], y[:, 3:]
            for l in range(l, l + count):
                a1 = a1 + self.residual(a2, f"blocks.{l}.g1")
                a2 = a2 * self.scale(a1, l) + self.residual(a1, f"blocks.{l}.g3")
            l, x = l + 1, jnp.concatenate([a1, a2], 1)
        return a1, a2

    def up(self, a1, a2):
        l = sum(self.blocks)
        for count in reversed(self.blocks):
            for l in range(l - 1, l - 1 - count, -1):
                a2 = (a2 - self.residual(a1, f"blocks.{l}.g3")) / self.scale(a1, l)
                a1 = a1 - self.residual(a2, f"blocks.{l}.g1")
            x = haar_inverse(jnp.concatenate([a1, a2], 1))
            a1, a2 = x[:, :3], x[:, 3:]
        return x

    def forward(self, x):
        y_cor, z = self.down(x)
        latent = z * jax.nn.sigmoid(self.residual(jnp.concatenate([y_cor, z], 1), "latent"))
        return {"y_cor": y_cor, "z": z, "latent": latent, "y": self.up(y_cor, latent)}


def adam(p, g, m, v, step):
    """PyTorch's, after the clip of the gradient's norm."""
    norm = jnp.sqrt(sum((d ** 2).sum() for d in g.values()))
    g = {k: d * jnp.minimum(1.0, CLIP / (norm + 1e-6)) for k, d in g.items()}
    m = {k: 0.9 * m[k] + 0.1 * g[k] for k in p}
    v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in p}
    hat = lambda k: (m[k] / (1 - 0.9 ** step)) / (jnp.sqrt(v[k] / (1 - 0.999 ** step)) + 1e-8)
    return {k: p[k] - RATE * hat(k) for k in p}, m, v


def single(a):
    return np.asarray(a, np.float32).astype(np.float64)


def fixture(path, blocks, features, attention, n, h, w):
    @jax.jit
    def step(p, x, target):
        def loss(p, x):
            network = Network(p, blocks)
            results = network.forward(x)
            return jnp.abs(results["y"] - target).mean(), (results, jnp.array(network.margins).min())
        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(p, x)

    for seed in range(100000):
        rng = np.random.default_rng(seed)
        x, target = (single(rng.uniform(0, 1, (n, 3, h, w))) for _ in range(2))
        start = {}
        for name, shape in layout(blocks, features, attention):
            # A bias has its weight's bound.
            bound = 1 / np.sqrt(np.prod(shape[1:])) if name.endswith("weight") else bound
            start[name] = single(rng.uniform(-bound, bound, shape))
        p, m = start, {k: jnp.zeros_like(d) for k, d in start.items()}
        v, losses, results = dict(m), [], {}
        for i in range(1, STEPS + 1):
            (loss, (values, margin)), (g, gx) = step(p, x, target)
            if margin < MARGIN:
                break
            losses.append(loss)
            if i == 1:
                results = values | {"loss": loss.reshape(1), "grad.x": gx} | {f"grad.{k}": d for k, d in g.items()}
            p, m, v = adam(p, g, m, v, i)
        else:
            break
    network = Network(start, blocks)
    results |= {"haar": haar(x), "round_trip": network.up(*network.down(x)), "train.losses": np.array(losses)}
    results |= {f"trained.{k}": d for k, d in p.items()}
    results |= {"x": x.astype(np.float32), "target": target.astype(np.float32)}
    results |= {f"param.{k}": d.astype(np.float32) for k, d in start.items()}
    metadata = {"blocks": ",".join(map(str, blocks)), "features": features, "latent": "keep", "lr": RATE, "clip": CLIP,
                "attention": "cbam" if attention else "none", "seed": seed}
    tensors = {k: np.ascontiguousarray(d) for k, d in results.items()}
    save_file(tensors, str(path), metadata={k: str(d) for k, d in metadata.items()})
    print(path.name, path.stat().st_size, "bytes, seed", seed, "losses", *map(float, losses))


if __name__ == "__main__":
    out = Path(sys.argv[1])
    fixture(out / "keep_l2_f8.safetensors", (2,), 8, True, 2, 20, 28)
    fixture(out / "keep_x4_f4_no_attention.safetensors", (1, 1), 4, False, 1, 16, 24)
