"""SASNet and its training step in JAX."""

import jax
import jax.numpy as jnp
import network


class Ops:
    @staticmethod
    def conv(x, w, b, pad):
        dims = ("NCHW", "OIHW", "NCHW")
        y = jax.lax.conv_general_dilated(x, w, (1, 1), [(pad, pad)] * 2, dimension_numbers=dims)
        return y + b[None, :, None, None]

    dense = lambda x, w, b: x @ w.T + b
    leaky = lambda x: jnp.where(x >= 0, x, 0.2 * x)
    relu = jax.nn.relu
    exp = jnp.exp
    neg = jnp.negative
    add = jnp.add
    sub = jnp.subtract
    tanh_half = lambda x: jnp.tanh(x / 2)
    sigmoid = jax.nn.sigmoid
    mul = lambda a, b: a * (b[:, :, None, None] if b.ndim == 2 else b)
    concat = lambda parts: jnp.concatenate(parts, 1)
    split = lambda x: (x[:, :3], x[:, 3:])
    mean_pixels = lambda x: x.mean((2, 3))
    max_pixels = lambda x: x.max((2, 3))
    mean_channels = lambda x: x.mean(1, keepdims=True)
    max_channels = lambda x: x.max(1, keepdims=True)

    @staticmethod
    def haar(x):
        a, b, c, d = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
        return jnp.concatenate([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 4

    @staticmethod
    def haar_inverse(y):
        l, p, q, r = jnp.split(y, 4, 1)
        rows = [jnp.stack(pair, -1) for pair in ((l + p + q + r, l - p + q - r), (l + p - q - r, l - p - q + r))]
        n, c, h, w = l.shape
        return jnp.stack(rows, 3).reshape(n, c, 2 * h, 2 * w)


def smooth(params, x, z):
    return network.smooth(Ops, params, x, z)


def training_step(params, m, v, step, x, z, target, rate=2e-4, clip=10.0):
    """L1 loss, the norm clipped, Adam. Returns the new state, the loss and the norm."""
    loss, grads = jax.value_and_grad(lambda p: jnp.abs(smooth(p, x, z) - target).mean())(params)
    norm = jnp.sqrt(sum((g**2).sum() for g in grads.values()))
    factor = jnp.minimum(1.0, clip / (norm + 1e-6))
    grads = {k: g * factor for k, g in grads.items()}
    m = {k: 0.9 * m[k] + 0.1 * g for k, g in grads.items()}
    v = {k: 0.999 * v[k] + 0.001 * g**2 for k, g in grads.items()}
    mh, vh = 1 - 0.9**step, 1 - 0.999**step
    params = {k: params[k] - rate * (m[k] / mh) / (jnp.sqrt(v[k] / vh) + 1e-8) for k in params}
    return params, m, v, loss, norm
