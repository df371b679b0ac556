"""RTV, SDF and ILS in JAX, in f32 on (H, W, 3): what a compiler makes of them for a CPU. Formulas are those of src/filters/."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NEIGHBOURS = [(0, 1), (1, 0), (1, 1), (1, -1)]  # each pair of eight neighbours once, as (dy, dx)
TO_XYZ = np.linalg.inv([[3.240479, -1.53715, -0.498535], [-0.969256, 1.875992, 0.041556], [0.055648, -0.204043, 1.057311]])


def there(x, dy, dx):
    """x at (y + dy, x + dx), 0 outside."""
    height, width = x.shape[:2]
    sides = [(max(-d, 0), max(d, 0)) for d in (dy, dx)] + [(0, 0)] * (x.ndim - 2)
    y = jnp.pad(x, sides)
    return y[max(dy, 0):max(dy, 0) + height, max(dx, 0):max(dx, 0) + width]


def inside(shape, dy, dx):
    """1 where (y + dy, x + dx) is a pixel."""
    return there(jnp.ones(shape, jnp.float32), dy, dx)


def solve(edges, f, start, tolerance):
    """Conjugate gradients on 1 + the Laplacian of [(dy, dx, weight)], with the diagonal as preconditioner."""
    edges = [(dy, dx, w * inside(w.shape, dy, dx)) for dy, dx, w in edges]
    diagonal = 1 + sum(w + there(w, -dy, -dx) for dy, dx, w in edges)

    def times(u):
        off = sum(w[..., None] * there(u, dy, dx) + there(w[..., None] * u, -dy, -dx) for dy, dx, w in edges)
        return diagonal[..., None] * u - off

    dot = lambda a, b: (a * b).sum((0, 1))
    limit = tolerance**2 * dot(f, f)
    inverse = 1 / diagonal[..., None]
    r = f - times(start)
    z = inverse * r

    def step(state):
        u, r, p, rz, k = state
        q = times(p)
        alpha = rz / jnp.maximum(dot(p, q), 1e-30)
        u, r = u + alpha * p, r - alpha * q
        z = inverse * r
        new = dot(r, z)
        return u, r, z + new / jnp.maximum(rz, 1e-30) * p, new, k + 1

    more = lambda state: jnp.any(dot(state[1], state[1]) > limit) & (state[4] < 5000)
    return lax.while_loop(more, step, (start, r, z, dot(r, z), 0))[0]


def blur(x, sigma, radius, mode):
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        sides = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded = jnp.pad(x, sides, mode=mode)
        x = sum(float(t) * lax.slice_in_dim(padded, k, k + x.shape[axis], axis=axis) for k, t in enumerate(taps))
    return x


@jax.jit
def rtv(f):
    """lambda 0.0035, sigma 2, 4 steps, solved to 1e-5."""
    u, sigma = f, 2.0
    for _ in range(4):
        difference = lambda a, dy, dx: (there(a, dy, dx) - a) * inside(a.shape[:2], dy, dx)[..., None]
        gx, gy = difference(u, 0, 1), difference(u, 1, 0)
        sharp = 1 / jnp.maximum(jnp.sqrt(gx * gx + gy * gy).mean(-1), 0.02)
        b = blur(u, sigma, (math.floor(5 * sigma + 0.5) | 1) // 2, "constant")
        weight = lambda dy, dx: 0.0035 / 2 * sharp / jnp.maximum(jnp.abs(difference(b, dy, dx)).mean(-1), 1e-3)
        u = solve([(0, 1, weight(0, 1)), (1, 0, weight(1, 0))], f, u, 1e-5)
        sigma = max(sigma / 2, 0.5)
    return u


def lab(rgb):
    c = jnp.clip(rgb, 0, 1)
    linear = ((c + 0.099) / 1.099) ** (1 / 0.45)
    linear = jnp.where(linear < 0.018, c / 4.5138, linear)
    t = linear @ jnp.asarray((TO_XYZ / np.array([[0.950456], [1.0], [1.088754]])).T, jnp.float32)
    x, y, z = jnp.moveaxis(jnp.where(t < 0.008856, t * (841 / 108) + 4 / 29, jnp.cbrt(t)), -1, 0)
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def pair_weights(feature, bandwidth):
    """exp(-bandwidth t) + 1e-5, t: squared distances, scaled to [0, 1] over all pairs."""
    shape = feature.shape[:2]
    d = [((there(feature, dy, dx) - feature) ** 2).sum(-1) for dy, dx in NEIGHBOURS]
    masks = [inside(shape, dy, dx) > 0 for dy, dx in NEIGHBOURS]
    low = jnp.stack([jnp.where(m, x, jnp.inf).min() for x, m in zip(d, masks)]).min()
    high = jnp.stack([jnp.where(m, x, -jnp.inf).max() for x, m in zip(d, masks)]).max()
    return [jnp.exp(-bandwidth * (x - low) / (high - low)) + 1e-5 for x in d]


@jax.jit
def sdf(f):
    """lambda 10, mu 50, nu 400, 10 steps, sigma_g 0.7, solved to 1e-6."""
    static = pair_weights(lab(blur(f, 0.7, math.ceil(3 * 0.7), "edge")), 50)

    def step(k, u):
        dynamic = pair_weights(lab(u), 400)
        edges = [(dy, dx, 10 * s * jnp.where(k == 0, 1 + 1e-5, t)) for (dy, dx), s, t in zip(NEIGHBOURS, static, dynamic)]
        return solve(edges, f, u, 1e-6)

    return lax.fori_loop(0, 10, step, f)


@jax.jit
def ils(f):
    """lambda 0.02, p 1, eps 1e-4, 10 iterations."""
    height, width = f.shape[:2]
    squares = lambda n, count: 4 * np.sin(np.pi * np.arange(count) / n) ** 2
    symbol = (squares(height, height)[:, None] + squares(width, width // 2 + 1))[..., None].astype(np.float32)
    weight, c = 0.02 / 2, 1e-4 ** (1 / 2 - 1)

    def step(_, u):
        h, v = (jnp.roll(u, -1, axis) - u for axis in (1, 0))
        h, v = (t * lax.rsqrt(t * t + 1e-4) for t in (h, v))
        b = -weight * (jnp.roll(h, 1, 1) - h + jnp.roll(v, 1, 0) - v)
        change = jnp.fft.rfft2(b, axes=(0, 1)) / (1 + weight * c * symbol)
        return u + jnp.fft.irfft2(change, (height, width), (0, 1))

    return lax.fori_loop(0, 10, step, f)
