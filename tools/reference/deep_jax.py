"""The deep methods that the paper's Tables 1 and 2 compare with, ResNet, JESSNet, DRF and DEAF, in JAX and float64, by JAX's own
convolutions and autodiff, and the fixtures that tests/fixtures/deep.rs compares with:

    python deep_jax.py ../../tests/fixtures [ARCHITECTURE ...]        (jax, numpy, safetensors)

Arrays are NCHW. Parameters (`p`) and running statistics (`s`) are dicts, named as in the weights file. Batch statistics are
made where `train` is set; every network returns (outputs, statistics after the step).

A fixture has inputs (float32) and float64 results: outputs at test time and in training, loss, gradients, the statistics after a
step, the losses of three steps and the parameters after them. Of parameters' gradients and trained parameters of more than SAMPLES
elements only SAMPLES are kept: of n elements, those at i n // SAMPLES. What lies between is in the gradient's norm.

Where a gradient jumps (a ReLU's or an absolute value's 0, ties of a maximum), float32 may take the other side; and Adam
divides a gradient that is nothing but rounding by itself. So seeds are tried until, in all training steps, nothing is closer
to a jump than MARGIN of its layer's largest value, and no gradient, with Adam's 1e-8 added, is smaller than SMALLEST of its
tensor's largest (exact zeros aside).
"""

import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)

BN_EPS, BN_KEEP = 1e-5, 0.9


class Config:
    """Width and depth; the defaults are the authors'."""

    def __init__(self, architecture, features=None, blocks=None):
        self.architecture = architecture
        self.features = features or {"resnet": 64, "jessnet": 64, "drf": 16, "deaf": 512}[architecture]
        self.blocks = blocks or {"resnet": (16,), "jessnet": (20, 3, 6), "drf": (), "deaf": ()}[architecture]
        # Variance that the running statistics take: of the batch (TensorFlow), or of its population (PyTorch).
        self.unbiased = architecture == "jessnet"


# Layers: (name, (out, in, k, k), has a bias, name of the batch normalisation behind it or None, resolution divisor)

def layers(c):
    f = c.features
    if c.architecture == "resnet":
        yield "head", (f, 3, 3, 3), True, None, 1
        for i in range(c.blocks[0]):
            for j in (1, 2):
                yield f"blocks.{i}.conv{j}", (f, f, 3, 3), False, f"blocks.{i}.bn{j}", 1
        yield "mid.conv", (f, f, 3, 3), False, "mid.bn", 1
        yield "tail1", (4 * f, f, 3, 3), True, None, 1
        yield "tail2", (4 * f, 4 * f, 3, 3), True, None, 1
        yield "out", (3, 4 * f, 1, 1), True, None, 1
    elif c.architecture == "jessnet":
        def rhdc(name):
            for j in (1, 2, 3):
                yield f"{name}.conv_3x3_{j}", (f, f, 3, 3), True, f"{name}.bn_conv_3x3_{j}", 1
        d, s, r = c.blocks
        yield "descriptor.conv_in", (f, 3, 3, 3), True, None, 1
        for i in range(d):
            yield from rhdc(f"descriptor.res16.{i}")
        yield "interpreter1.0", (f, f, 3, 3), True, "interpreter1.1", 1
        yield "interpreter1.3", (f, f, 3, 3), True, "interpreter1.4", 1
        yield "interpreter1.6", (1, f, 3, 3), True, None, 1
        yield "interpreter2.0", (f, f + 1, 3, 3), True, "interpreter2.1", 1
        for i in range(3, 3 + s):
            yield from rhdc(f"interpreter2.{i}")
        yield f"interpreter2.{3 + s}", (f, f, 3, 3), True, f"interpreter2.{4 + s}", 1
        yield f"interpreter2.{6 + s}", (3, f, 3, 3), True, None, 1
        yield "refine.0", (f, f + 4, 3, 3), True, "refine.1", 1
        for i in range(3, 3 + r):
            yield from rhdc(f"refine.{i}")
        yield f"refine.{3 + r}", (3, f, 3, 3), True, None, 1
    elif c.architecture == "drf":
        for name, o, i, k, div in (
                ("conv0", 3, 5, 3, 1), ("conv1", f, 12, 3, 1), ("conv2", f, 2, 5, 1), ("conv3", 2 * f, f, 3, 2),
                ("conv4", 2 * f, 2 * f, 3, 4), ("conv5", 2 * f, 2 * f, 3, 8), ("conv6", 4 * f, 2 * f, 3, 16),
                ("conv6s", 4 * f, 4 * f, 3, 8), ("conv7", 2 * f, 6 * f, 3, 4), ("conv8", f, 4 * f, 3, 2),
                ("conv9", 4 * f, 2 * f, 3, 1), ("conv10", 4 * f, f, 3, 1), ("conv11", 3, 4 * f, 3, 1)):
            yield name, (o, i, k, k), True, None, div
    else:
        yield "conv1", (f, 3, 16, 16), True, None, 1
        yield "conv2", (f, f, 1, 1), True, None, 1
        yield "conv3", (3, f, 8, 8), True, None, 1


def layout(c):
    """(name, shape) of all parameters, in order."""
    for name, shape, bias, bn, _ in layers(c):
        yield f"{name}.weight", shape
        if bias:
            yield f"{name}.bias", shape[:1]
        if bn:
            yield f"{bn}.weight", shape[:1]
            yield f"{bn}.bias", shape[:1]


def statistics(c):
    """Running statistics of a new network."""
    return {f"{bn}.running_{k}": jnp.full(shape[:1], v) for _, shape, _, bn, _ in layers(c) if bn
            for k, v in (("mean", 0.0), ("var", 1.0))}


def init(c, seed):
    """As SASNet's, U(+-1/sqrt(fan_in)), also of biases; batch normalisation 1 and 0."""
    rng = np.random.default_rng(seed)
    p = {}
    for name, shape, bias, bn, _ in layers(c):
        bound = 1 / math.sqrt(np.prod(shape[1:]))
        p[f"{name}.weight"] = rng.uniform(-bound, bound, shape)
        if bias:
            p[f"{name}.bias"] = rng.uniform(-bound, bound, shape[:1])
        if bn:
            p[f"{bn}.weight"], p[f"{bn}.bias"] = np.ones(shape[:1]), np.zeros(shape[:1])
    return {k: jnp.asarray(v) for k, v in p.items()}


# Operators

def conv(p, name, x, dilation=1, pad=None, bias=True):
    w = p[f"{name}.weight"]
    pad = dilation * (w.shape[2] // 2) if pad is None else pad
    y = lax.conv_general_dilated(x, w, (1, 1), [(pad, pad)] * 2, rhs_dilation=(dilation, dilation),
                                 dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return y + p[f"{name}.bias"][:, None, None] if bias else y


class Kinks(list):
    """Smallest distances from where a gradient jumps, of the largest value there: what a fixture's seed is chosen by."""

    def note(self, distance, scale):
        self.append(distance.min() / jnp.abs(scale).max())

    def smallest(self):
        return jnp.stack(list(self)).min()


def relu(v, kinks=None):
    if kinks is not None:
        kinks.note(jnp.abs(v), v)
    return jnp.maximum(v, 0)


def absolute(v, kinks=None):
    if kinks is not None:
        kinks.note(jnp.abs(v), v)
    return jnp.abs(v)


def max_pool(x, kinks=None):
    n, c, h, w = x.shape
    x = x[:, :, :h // 2 * 2, :w // 2 * 2]
    cells = x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)
    if kinks is not None:
        s = jnp.sort(cells)
        kinks.note(jnp.where(s[..., -1] != 0, s[..., -1] - s[..., -2], jnp.inf), x)
    return cells.max(-1)


def batch_norm(p, s, new, name, x, train, unbiased):
    if train:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        n = x.size / x.shape[1]
        for k, v in (("mean", mean), ("var", var * (n / (n - 1) if unbiased else 1.0))):
            new[f"{name}.running_{k}"] = BN_KEEP * s[f"{name}.running_{k}"] + (1 - BN_KEEP) * lax.stop_gradient(v)
    else:
        mean, var = s[f"{name}.running_mean"], s[f"{name}.running_var"]
    scale = p[f"{name}.weight"] / jnp.sqrt(var + BN_EPS)
    return (x - mean[:, None, None]) * scale[:, None, None] + p[f"{name}.bias"][:, None, None]


# ResNet

def resnet(c, p, s, x, train, kinks=None):
    new = {}

    def conv_bn(conv_name, bn, v):
        return batch_norm(p, s, new, bn, conv(p, conv_name, v, bias=False), train, c.unbiased)

    r = first = relu(conv(p, "head", 2 * x - 1), kinks)
    for i in range(c.blocks[0]):
        t = relu(conv_bn(f"blocks.{i}.conv1", f"blocks.{i}.bn1", r), kinks)
        r = r + conv_bn(f"blocks.{i}.conv2", f"blocks.{i}.bn2", t)
    r = conv_bn("mid.conv", "mid.bn", r) + first
    r = relu(conv(p, "tail1", r), kinks)
    r = relu(conv(p, "tail2", r), kinks)
    return {"y": x + jnp.tanh(conv(p, "out", r)) / 2}, new


OFFSETS = [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (1, 2), (1, -2), (2, 1), (2, -1), (2, 2), (2, -2)]


def neighbour_differences(e, dy, dx):
    """e[p + (dy, dx)] - e[p], wherever both are in the image."""
    h, w = e.shape[2:]
    a = e[:, :, dy:, max(dx, 0):w + min(dx, 0)]
    b = e[:, :, :h - dy, max(-dx, 0):w - max(dx, 0)]
    return a - b


def resnet_loss(c, outputs, target, kinks=None):
    e = outputs["y"] - target
    total = absolute(e, kinks).mean()
    for dy, dx in OFFSETS:
        total += 2 * absolute(neighbour_differences(e, dy, dx), kinks).mean()
    return total


# JESSNet

def jessnet(c, p, s, x, train, kinks=None):
    new = {}
    d, n2, n3 = c.blocks

    def cbr(v, name, bn, dilation=1):
        q = dict(p)
        if train:  # the batch's mean takes it away again: its gradient is exactly 0
            q[f"{name}.bias"] = lax.stop_gradient(p[f"{name}.bias"])
        return relu(batch_norm(p, s, new, bn, conv(q, name, v, dilation), train, c.unbiased), kinks)

    def rhdc(v, name):
        t = v
        for j in (1, 2, 3):
            t = cbr(t, f"{name}.conv_3x3_{j}", f"{name}.bn_conv_3x3_{j}", j)
        return v + t

    r = conv(p, "descriptor.conv_in", x)
    for i in range(d):
        r = rhdc(r, f"descriptor.res16.{i}")
    t = cbr(cbr(r, "interpreter1.0", "interpreter1.1"), "interpreter1.3", "interpreter1.4")
    edge = conv(p, "interpreter1.6", t)
    r = jnp.concatenate([r, edge], 1)
    t = cbr(r, "interpreter2.0", "interpreter2.1")
    for i in range(3, 3 + n2):
        t = rhdc(t, f"interpreter2.{i}")
    t = cbr(t, f"interpreter2.{3 + n2}", f"interpreter2.{4 + n2}")
    first = conv(p, f"interpreter2.{6 + n2}", t)
    t = cbr(jnp.concatenate([r, first], 1), "refine.0", "refine.1")
    for i in range(3, 3 + n3):
        t = rhdc(t, f"refine.{i}")
    return {"edge": edge, "first": first, "y": first + conv(p, f"refine.{3 + n3}", t)}, new


def gaussian(size=11, sigma=1.5):
    g = np.exp(-(np.arange(size) - size // 2) ** 2 / (2 * sigma ** 2))
    return g / g.sum()


def blur(x):
    """Separable 11-tap Gaussian of each channel, zero outside the image; its own adjoint."""
    n, c, h, w = x.shape
    k = jnp.asarray(gaussian(), x.dtype)
    y = lax.conv_general_dilated(x.reshape(n * c, 1, h, w), k.reshape(1, 1, 11, 1), (1, 1), [(5, 5), (0, 0)])
    return lax.conv_general_dilated(y, k.reshape(1, 1, 1, 11), (1, 1), [(0, 0), (5, 5)]).reshape(n, c, h, w)


C1, C2 = 0.01 ** 2, 0.03 ** 2


def ssim(x, t):
    a, b = blur(x), blur(t)
    xx, tt, xt = blur(x * x) - a * a, blur(t * t) - b * b, blur(x * t) - a * b
    return ((2 * a * b + C1) * (2 * xt + C2) / ((a * a + b * b + C1) * (xx + tt + C2))).mean()


def ssim_pyramid(x, t, kinks=None):
    total = ssim(x, t)
    for _ in range(3):
        x, t = max_pool(x, kinks), max_pool(t)
        total += ssim(x, t)
    return total


def edges(target):
    """Edge labels (N, 1, H, W) of the smooth picture: Sobel of its blue channel in code values, mirrored at the border."""
    b = jnp.clip(jnp.round(255 * target[:, 2:3]), 0, 255)
    v = jnp.pad(b, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    cols = v[:, :, :-2] + 2 * v[:, :, 1:-1] + v[:, :, 2:]
    rows = v[:, :, :, :-2] + 2 * v[:, :, :, 1:-1] + v[:, :, :, 2:]
    gx, gy = cols[:, :, :, 2:] - cols[:, :, :, :-2], rows[:, :, 2:] - rows[:, :, :-2]
    # Half of the sum, rounded to even, is 50 or more.
    return (jnp.minimum(jnp.abs(gx), 255) + jnp.minimum(jnp.abs(gy), 255) >= 99).astype(target.dtype)


def edge_loss(logits, labels):
    """Balanced cross-entropy, mean over all pixels."""
    positive = labels.mean()
    weight = jnp.where(labels > 0, 1 - positive, positive)
    return (weight * (jax.nn.softplus(logits) - labels * logits)).mean()


def jessnet_loss(c, outputs, target, kinks=None):
    labels = edges(target)
    total = 0.001 * 2 * 128 * 128 * edge_loss(outputs["edge"], labels)
    for name in ("first", "y"):
        total += absolute(outputs[name] - target, kinks).mean()
        total += 0.1 * (4 - ssim_pyramid(outputs[name], target, kinks))
    return total


# DRF

def image_gradient(v):
    """(dx, dy): central differences, one-sided at the border."""
    def along(axis):
        v_ = jnp.moveaxis(v, axis, -1)
        mid = (v_[..., 2:] - v_[..., :-2]) / 2
        d = jnp.concatenate([v_[..., 1:2] - v_[..., :1], mid, v_[..., -1:] - v_[..., -2:-1]], -1)
        return jnp.moveaxis(d, -1, axis)
    return along(3), along(2)


def resize_matrix(n, scale):
    u = np.zeros((n * scale, n))
    for j in range(n * scale):
        i, f = j // scale, j % scale / scale
        u[j, i] += 1 - f
        if i + 1 < n:
            u[j, i + 1] += f
    return u


def resize(x, scale):
    """Bilinear; sample j of the result is at j / scale; a tap outside the map is 0."""
    uy, ux = (jnp.asarray(resize_matrix(n, scale), x.dtype) for n in x.shape[2:])
    return jnp.einsum("jh,nchw,iw->ncji", uy, x, ux)


def sweep(x, g, axis, reverse):
    """h_t = (1 - g_t) x_t + g_t h_(t-1), h_(-1) = 0, along an axis."""
    def step(h, xg):
        h = xg[0] + xg[1] * (h - xg[0])
        return h, h
    xs, gs = jnp.moveaxis(x, axis, 0), jnp.moveaxis(g, axis, 0)
    _, h = lax.scan(step, jnp.zeros_like(xs[0]), (xs, gs), reverse=reverse)
    return jnp.moveaxis(h, 0, axis)


def maximum_of(maps, kinks=None):
    """Of equal ones the first takes the gradient."""
    stack = jnp.stack(maps)
    if kinks is not None:
        s = jnp.sort(stack, 0)
        kinks.note(s[-1] - s[-2], stack)
    return stack.max(0)


def drf(c, p, s, x, train, kinks=None):
    f = c.features
    gray = 0.2989 * x[:, :1] + 0.5870 * x[:, 1:2] + 0.1140 * x[:, 2:3]
    grad = jnp.concatenate(image_gradient(gray), 1)
    c0 = conv(p, "conv0", jnp.concatenate([x - 0.5, grad], 1))
    p1 = max_pool(c0, kinks)
    p2 = max_pool(p1, kinks)
    p3 = max_pool(p2, kinks)
    v = conv(p, "conv1", jnp.concatenate([c0, resize(p1, 2), resize(p2, 4), resize(p3, 8)], 1))

    c2 = relu(conv(p, "conv2", grad), kinks)
    c3 = relu(conv(p, "conv3", max_pool(c2, kinks)), kinks)
    c4 = relu(conv(p, "conv4", max_pool(c3, kinks)), kinks)
    c5 = relu(conv(p, "conv5", max_pool(c4, kinks)), kinks)
    c6 = relu(conv(p, "conv6", max_pool(c5, kinks)), kinks)
    c6 = relu(conv(p, "conv6s", resize(c6, 2)), kinks)
    c7 = relu(conv(p, "conv7", jnp.concatenate([c4, resize(c6, 2)], 1)), kinks)
    c8 = relu(conv(p, "conv8", jnp.concatenate([c3, resize(c7, 2)], 1)), kinks)
    g = jnp.tanh(conv(p, "conv9", jnp.concatenate([c2, resize(c8, 2)], 1)))
    x1, y1, x2, y2 = (g[:, i * f:(i + 1) * f] for i in range(4))

    maps = [sweep(sweep(v, a, axis, back), b, axis, back)
            for a, b, axis in ((x1, x2, 3), (y1, y2, 2)) for back in (False, True)]
    r = relu(conv(p, "conv10", maximum_of(maps, kinks)), kinks)
    return {"y": jax.nn.sigmoid(conv(p, "conv11", r)), "gates": g}, {}


def drf_loss(c, outputs, target, kinks=None):
    return ((outputs["y"] - target) ** 2).sum(1).mean() / 2


# DEAF

def differences(x):
    """Forward, periodic: (dx, dy)."""
    return jnp.roll(x, -1, 3) - x, jnp.roll(x, -1, 2) - x


def coverage(n):
    """How many of n - 7 windows of 8 cover each of n."""
    i = np.arange(n)
    return np.minimum(i, n - 8) - np.maximum(i - 7, 0) + 1


def deaf_net(p, dy, kinks=None):
    """Vertical differences (N, 3, H, W) of a picture -> those of the smooth one."""
    h, w = dy.shape[2:]
    r = relu(conv(p, "conv1", 2 * dy, pad=4), kinks)
    r = relu(conv(p, "conv2", r), kinks)
    r = conv(p, "conv3", r, pad=7, bias=False)
    count = jnp.asarray(np.outer(coverage(h), coverage(w)), dy.dtype)
    return (r / count + p["conv3.bias"][:, None, None]) / 2


def transposed(v):
    return v.swapaxes(2, 3)


def reconstruct(x, dx, dy, beta):
    """argmin |u - x|^2 + beta (|Dx u - dx|^2 + |Dy u - dy|^2), D periodic; across the border the picture's own differences."""
    ox, oy = differences(x)
    dx = dx.at[:, :, :, -1].set(ox[:, :, :, -1])
    dy = dy.at[:, :, -1, :].set(oy[:, :, -1, :])
    b = x + beta * (jnp.roll(dx, 1, 3) - dx + jnp.roll(dy, 1, 2) - dy)
    h, w = x.shape[2:]
    ly, lx = (2 - 2 * np.cos(2 * np.pi * np.arange(n) / n) for n in (h, w))
    return jnp.fft.ifft2(jnp.fft.fft2(b) / (1 + beta * (ly[:, None] + lx[None, :]))).real


BETA = 8.388608e2 / 5


def deaf(c, p, s, x, train, kinks=None, beta=BETA):
    dx, dy = differences(x)
    fy = deaf_net(p, dy, kinks)
    fx = transposed(deaf_net(p, transposed(dx), kinks))
    out = {"dx": fx, "dy": fy}
    if not train:
        out["y"] = reconstruct(x, fx, fy, beta)
    return out, {}


def deaf_loss(c, outputs, target, kinks=None):
    dx, dy = differences(target)
    return sum((4 * (outputs[k] - t) ** 2).sum(1).mean() / 2 for k, t in (("dx", dx), ("dy", dy)))


NETWORKS = {"resnet": (resnet, resnet_loss), "jessnet": (jessnet, jessnet_loss), "drf": (drf, drf_loss),
            "deaf": (deaf, deaf_loss)}


def forward(c, p, s, x, train=False, kinks=None):
    return NETWORKS[c.architecture][0](c, p, s, x, train, kinks)


def loss(c, outputs, target, kinks=None):
    return NETWORKS[c.architecture][1](c, outputs, target, kinks)


def adam(p, g, m, v, step, rate, clip):
    """PyTorch's, after the clip of the gradient's norm."""
    norm = jnp.sqrt(sum((d ** 2).sum() for d in g.values()))
    g = {k: d * jnp.minimum(1.0, clip / (norm + 1e-6)) for k, d in g.items()}
    m = {k: 0.9 * m[k] + 0.1 * g[k] for k in p}
    v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in p}
    hat = lambda k: (m[k] / (1 - 0.9 ** step)) / (jnp.sqrt(v[k] / (1 - 0.999 ** step)) + 1e-8)
    return {k: p[k] - rate * hat(k) for k in p}, m, v, norm


# Fixtures

SAMPLES, MARGIN, SMALLEST = 120, 3e-6, 1e-5
STEPS, RATE, CLIP = 3, 2e-4, 10.0


def f32(a):
    return np.asarray(a).astype(np.float32).astype(np.float64)


def pictures(rng, n, h, w):
    """Piecewise flat ones, in whole code values, and the same with a texture."""
    y, x = np.mgrid[0:h, 0:w]
    gt = np.zeros((n, 3, h, w))
    for i in range(n):
        for _ in range(6):
            a, b, c = rng.normal(size=3)
            gt[i, :, a * (x - w / 2) + b * (y - h / 2) + c * 4 > 0] = rng.uniform(0.1, 0.9, 3)
    gt = np.round(255 * gt) / 255
    texture = 0.08 * np.sin(x * 1.7 + y * 0.6) + 0.05 * rng.normal(size=(n, 1, h, w))
    return f32(np.clip(gt + texture, 0, 1)), f32(gt)


def sample(a):
    a = np.asarray(a).reshape(-1)
    return a if a.size <= SAMPLES else a[np.arange(SAMPLES) * a.size // SAMPLES]


def fixture(path, c, n, h, w, first=1):
    @jax.jit
    def step(p, s, x, target):
        def of(p, x):
            kinks = Kinks()
            outputs, after = forward(c, p, s, x, True, kinks)
            value = loss(c, outputs, target, kinks)
            return value, (outputs, after, kinks.smallest())
        (value, (outputs, after, margin)), (g, gx) = jax.value_and_grad(of, argnums=(0, 1), has_aux=True)(p, x)
        size = [jnp.where(d == 0, jnp.inf, jnp.abs(d) + 1e-8).min() / jnp.maximum(jnp.abs(d).max(), 1e-300) for d in g.values()]
        return value, outputs, after, g, gx, margin, jnp.array(size).min()

    for seed in range(first, 100000):
        rng = np.random.default_rng(seed)
        x, target = pictures(rng, n, h, w)
        p0 = {k: jnp.asarray(f32(v)) for k, v in init(c, seed).items()}
        s0 = statistics(c)
        for k in p0 | s0:
            # Not those of a new network, so that nothing is 0 or 1 by chance.
            if k in s0:
                s0[k] = jnp.asarray(f32(s0[k] + rng.uniform(-0.2, 0.2, s0[k].shape)))
            elif p0[k].ndim == 1 and k.endswith("weight") or k.removesuffix("bias") + "running_mean" in s0:
                p0[k] = jnp.asarray(f32(p0[k] + rng.uniform(-0.2, 0.2, p0[k].shape)))
        p, s, m = p0, s0, {k: jnp.zeros_like(d) for k, d in p0.items()}
        v, losses, a = dict(m), [], {}
        for i in range(1, STEPS + 1):
            value, outputs, after, g, gx, margin, smallest = step(p, s, x, target)
            if margin < MARGIN or smallest < SMALLEST:
                break
            losses.append(value)
            p, m, v, norm = adam(p, g, m, v, i, RATE, CLIP)
            s = after
            if i == 1:
                # Without normalisation these are the outputs at test time.
                a = {f"train.{k}": d for k, d in outputs.items() if s0}
                a |= {"loss": value.reshape(1), "norm": norm.reshape(1), "grad.x": gx}
                a |= {f"grad.{k}": sample(d) for k, d in g.items()} | {f"stats_after.{k}": d for k, d in after.items()}
        else:
            break
    a |= {f"test.{k}": d for k, d in forward(c, p0, s0, jnp.asarray(x))[0].items() if k != "gates"}
    a |= {"train.losses": np.array(losses)}
    a |= {f"trained.{k}": sample(d) for k, d in p.items()}
    a = {k: np.asarray(d, np.float64) for k, d in a.items()}
    a |= {"x": np.asarray(x, np.float32), "target": np.asarray(target, np.float32)}
    a |= {f"param.{k}": np.asarray(d, np.float32) for k, d in p0.items()}
    a |= {f"stats.{k}": np.asarray(d, np.float32) for k, d in s0.items()}
    meta = {"architecture": c.architecture, "features": c.features, "blocks": ",".join(map(str, c.blocks)), "lr": RATE,
            "clip": CLIP, "beta": BETA, "seed": seed}
    assert all(np.isfinite(d).all() for d in a.values())
    save_file({k: np.ascontiguousarray(d) for k, d in a.items()}, str(path), metadata={k: str(d) for k, d in meta.items()})
    print(path.name, path.stat().st_size, "bytes, seed", seed, "losses", *map(float, losses), "norm", float(a["norm"][0]),
          "margin of the last step", float(margin), flush=True)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, c, n, h, w in (("resnet", Config("resnet", 8, (2,)), 2, 16, 12),
                             ("jessnet", Config("jessnet", 8, (1, 1, 1)), 2, 8, 24),
                             ("drf", Config("drf", 4), 2, 16, 32),
                             ("deaf", Config("deaf", 8), 2, 20, 16)):
        if name in sys.argv[2:] or len(sys.argv) == 2:
            fixture(out / f"{name}_f{c.features}.safetensors", c, n, h, w)
