"""sasnet's networks in PyTorch, from its weights files: every architecture, to smooth, to train on, to export. Needs torch and
safetensors; NumPy and Pillow to be run as a program:

    python sasnet_torch.py WEIGHTS.safetensors IN.png OUT.png

    model = sasnet_torch.load("small.safetensors")
    y = model.smooth(x)        # x (N, 3, H, W), float, RGB in [0, 1], any size: as `sasnet smooth --noise 0`
    y = model(x)               # the network alone, with gradients: sides are multiples of model.scale

Pictures are in the codes of their files (mostly sRGB), not in linear light. Names of parameters are those of the file, so that
`save` writes what sasnet reads. Each class has the formulas of the file of its name in src/net/.
"""

import math
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

BORDER = 8  # pixels of reflection around a picture


def load(path):
    """The network of a weights file, or of a checkpoint (its moving average, where there is one), in evaluation mode."""
    with safe_open(path, "pt") as file:
        said = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    prefix = "average." if any(name.startswith("average.") for name in tensors) else ""
    beside = ("average.", "adam.")
    own = {name.removeprefix(prefix): value for name, value in tensors.items()
           if name.startswith(prefix) and not name.removeprefix(prefix).startswith(beside)}
    name = said.get("architecture", "sasnet")
    if name not in ARCHITECTURES:
        raise ValueError(f"{path}: the architecture is {name}, not one of {', '.join(ARCHITECTURES)}")
    model = ARCHITECTURES[name](said)
    model.said = said
    model.fill(own)
    return model.eval()


def save(model, path):
    """Writes a weights file."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path, metadata=model.said)


def reflected(n, side):
    """The pixel of a side of n that each pixel of the padded side is."""
    period = 2 * n - 2
    places = (torch.arange(side) - BORDER) % max(period, 1)
    return torch.minimum(places, period - places)


class Network(nn.Module):
    scale = 1  # sides of what it takes are multiples of it

    def fill(self, tensors):
        """Takes parameters by their names: all of its own, and no others."""
        missing, unknown = self.load_state_dict(tensors, strict=False)
        # PyTorch itself adds these to tensors that have no version.
        unknown = [name for name in unknown if not name.endswith("num_batches_tracked")]
        if missing or unknown:
            raise ValueError(f"tensors that are missing: {missing}; that do not belong to the network: {unknown}")

    @torch.no_grad()
    def smooth(self, x):
        """x (N, 3, H, W) in [0, 1], any size -> the same, smoothed, as `sasnet smooth` does it without noise."""
        h, w = x.shape[2:]
        side = lambda n: n + 2 * BORDER + -(n + 2 * BORDER) % self.scale
        padded = x[:, :, reflected(h, side(h)).to(x.device)][:, :, :, reflected(w, side(w)).to(x.device)]
        return self(padded)[:, :, BORDER : BORDER + h, BORDER : BORDER + w].clamp(0, 1)


def conv3(inputs, outputs, dilation=1, bias=True):
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)


def norm(features, folded):
    """A batch normalisation, whose file does not count batches; nothing where it is folded into the convolution before."""
    if folded:
        return nn.Identity()
    layer = nn.BatchNorm2d(features)
    layer.num_batches_tracked = None
    return layer


def numbers(said):
    return [int(n) for n in said["blocks"].split(",")]


class Subnet(nn.Module):
    """Two convolutions, CBAM's channel and spatial attention, and a convolution of that beside the input."""

    def __init__(self, inputs, outputs, features, attention):
        super().__init__()
        self.conv1, self.conv2 = conv3(inputs, features), conv3(features, features)
        if attention:
            hidden = max(4, features // 16)
            self.channel = nn.ModuleDict({"fc1": nn.Linear(features, hidden), "fc2": nn.Linear(hidden, features)})
            self.spatial = nn.Conv2d(2, 1, 7, padding=3)
        self.conv3 = conv3(inputs + features, outputs)

    def forward(self, x):
        r = F.leaky_relu(self.conv1(x), 0.2)
        r = F.leaky_relu(self.conv2(r), 0.2)
        if hasattr(self, "channel"):
            mlp = lambda v: self.channel["fc2"](F.relu(self.channel["fc1"](v)))
            gate = torch.sigmoid(mlp(r.mean((2, 3))) + mlp(r.amax((2, 3))))
            r = r * gate[:, :, None, None]
            r = r * torch.sigmoid(self.spatial(torch.cat([r.amax(1, True), r.mean(1, True)], 1)))
        return self.conv3(torch.cat([x, r], 1))


def haar(x):
    a, b, c, d = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
    return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 4


def haar_inverse(y):
    l, p, q, r = y.chunk(4, 1)
    n, c, h, w = l.shape
    cells = torch.stack([l + p + q + r, l - p + q - r, l + p - q - r, l - p - q + r], -1)
    return cells.reshape(n, c, h, w, 2, 2).transpose(3, 4).reshape(n, c, 2 * h, 2 * w)


class Sasnet(Network):
    """`noise`, where z is dropped: what stands in its place, (N, 3 scale^2 - 3, H / scale, W / scale); None: zeros."""

    def __init__(self, said):
        super().__init__()
        self.counts, features, attention = numbers(said), int(said["features"]), said["attention"] == "cbam"
        self.scale, z = 2 ** len(self.counts), 0
        self.blocks = nn.ModuleList()
        for level, count in enumerate(self.counts):
            z = 3 * 4 ** (level + 1) - 3
            subnet = lambda ci, co: Subnet(ci, co, features, attention)
            self.blocks.extend(
                nn.ModuleDict({"g1": subnet(z, 3), "g2": subnet(3, z), "g3": subnet(3, z)}) for _ in range(count)
            )
        if said.get("latent", "drop") == "keep":
            self.latent = Subnet(3 + z, z, features, attention)

    def levels(self):
        """The blocks of each scale."""
        first = [sum(self.counts[:i]) for i in range(len(self.counts) + 1)]
        return [self.blocks[a:b] for a, b in zip(first, first[1:])]

    def forward(self, x, noise=None):
        a1, a2 = x, x[:, :0]
        for blocks in self.levels():
            y = haar(torch.cat([a1, a2], 1))
            a1, a2 = y[:, :3], y[:, 3:]
            for g in blocks:
                a1 = a1 + g["g1"](a2)
                a2 = a2 * torch.exp(torch.tanh(g["g2"](a1) / 2)) + g["g3"](a1)
        if hasattr(self, "latent"):
            a2 = a2 * torch.sigmoid(self.latent(torch.cat([a1, a2], 1)))
        else:
            a2 = torch.zeros_like(a2) if noise is None else noise
        for blocks in reversed(self.levels()):
            for g in reversed(blocks):
                a2 = (a2 - g["g3"](a1)) * torch.exp(-torch.tanh(g["g2"](a1) / 2))
                a1 = a1 - g["g1"](a2)
            y = haar_inverse(torch.cat([a1, a2], 1))
            a1, a2 = y[:, :3], y[:, 3:]
        return a1


class Pair(nn.Module):
    """A level of a U-net: two convolutions, after a transposed one on the way up."""

    def __init__(self, inputs, features, up):
        super().__init__()
        if up:
            self.transposed = nn.ConvTranspose2d(2 * features, features, 2, 2)
        self.conv1, self.conv2 = conv3(inputs, features), conv3(features, features)

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))))


class Unet(Network):
    scale = 16

    def __init__(self, said):
        super().__init__()
        f = [int(said["features"]) << level for level in range(5)]
        self.skips = said["architecture"] == "unet"
        self.down = nn.ModuleList(Pair(f[level - 1] if level else 3, f[level], False) for level in range(5))
        self.up = nn.ModuleList(Pair((1 + self.skips) * f[level], f[level], True) for level in range(4))
        self.out = nn.Conv2d(f[0], 3, 1)

    def forward(self, x):
        r, skips = self.down[0](x), []
        for down in self.down[1:]:
            skips.append(r)
            r = down(F.max_pool2d(r, 2))
        for up, skip in zip(reversed(self.up), reversed(skips)):
            r = up.transposed(r)
            r = up(torch.cat([skip, r], 1) if self.skips else r)
        return self.out(r)


class ResNet(Network):
    def __init__(self, said):
        super().__init__()
        (count,), f, folded = numbers(said), int(said["features"]), said.get("folded") == "true"
        conv = lambda: conv3(f, f, bias=folded)
        self.head = conv3(3, f)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"conv1": conv(), "bn1": norm(f, folded), "conv2": conv(), "bn2": norm(f, folded)})
            for _ in range(count)
        )
        self.mid = nn.ModuleDict({"conv": conv(), "bn": norm(f, folded)})
        self.tail1, self.tail2 = conv3(f, 4 * f), conv3(4 * f, 4 * f)
        self.out = nn.Conv2d(4 * f, 3, 1)

    def forward(self, x):
        r = first = F.relu(self.head(2 * x - 1))
        for b in self.blocks:
            r = r + b["bn2"](b["conv2"](F.relu(b["bn1"](b["conv1"](r)))))
        r = self.mid["bn"](self.mid["conv"](r)) + first
        return x + torch.tanh(self.out(F.relu(self.tail2(F.relu(self.tail1(r)))))) / 2


class Dilated(nn.Module):
    """A JESSNet's block: three convolutions, of dilations 1, 2 and 3."""

    def __init__(self, features, folded):
        super().__init__()
        for d in (1, 2, 3):
            setattr(self, f"conv_3x3_{d}", conv3(features, features, d))
            setattr(self, f"bn_conv_3x3_{d}", norm(features, folded))

    def forward(self, x):
        t = x
        for d in (1, 2, 3):
            t = F.relu(getattr(self, f"bn_conv_3x3_{d}")(getattr(self, f"conv_3x3_{d}")(t)))
        return x + t


class JessNet(Network):
    def __init__(self, said):
        super().__init__()
        (a, b, c), f, folded = numbers(said), int(said["features"]), said.get("folded") == "true"
        cbr = lambda inputs: [conv3(inputs, f), norm(f, folded), nn.ReLU()]
        blocks = lambda count: [Dilated(f, folded) for _ in range(count)]
        self.descriptor = nn.ModuleDict({"conv_in": conv3(3, f), "res16": nn.Sequential(*blocks(a))})
        self.interpreter1 = nn.Sequential(*cbr(f), *cbr(f), conv3(f, 1))
        self.interpreter2 = nn.Sequential(*cbr(f + 1), *blocks(b), *cbr(f), conv3(f, 3))
        self.refine = nn.Sequential(*cbr(f + 4), *blocks(c), conv3(f, 3))

    def forward(self, x):
        r = self.descriptor["res16"](self.descriptor["conv_in"](x))
        edge = self.interpreter1(r)
        first = self.interpreter2(torch.cat([r, edge], 1))
        return first + self.refine(torch.cat([r, edge, first], 1))


def grey_gradient(x):
    grey = 0.2989 * x[:, :1] + 0.5870 * x[:, 1:2] + 0.1140 * x[:, 2:]
    along = lambda dim: torch.gradient(grey, dim=dim)[0]  # central, one-sided at the border
    return torch.cat([along(3), along(2)], 1)


def enlarge(x, s):
    """Bilinear; sample j lies at j / s, and what lies beyond the map counts as 0."""
    c = x.shape[1]
    tent = 1 - (torch.arange(1 - s, s, dtype=x.dtype, device=x.device) / s).abs()
    kernel = (tent[:, None] * tent).expand(c, 1, -1, -1)
    return F.conv_transpose2d(x, kernel, stride=s, padding=s - 1, output_padding=s - 1, groups=c)


def sweep(x, g, dim, back):
    """h' = x + g (h - x) along a dimension."""
    steps = list(zip(x.unbind(dim), g.unbind(dim)))
    h, all_h = torch.zeros_like(steps[0][0]), []
    for row, gate in reversed(steps) if back else steps:
        h = row + gate * (h - row)
        all_h.append(h)
    return torch.stack(all_h[::-1] if back else all_h, dim)


class Drf(Network):
    scale = 16

    def __init__(self, said):
        super().__init__()
        r = int(said["features"])
        self.conv2 = nn.Conv2d(2, r, 5, padding=2)
        layers = {"conv0": (5, 3), "conv1": (12, r), "conv3": (r, 2 * r), "conv4": (2 * r, 2 * r), "conv5": (2 * r, 2 * r),
                  "conv6": (2 * r, 4 * r), "conv6s": (4 * r, 4 * r), "conv7": (6 * r, 2 * r), "conv8": (4 * r, r),
                  "conv9": (2 * r, 4 * r), "conv10": (r, 4 * r), "conv11": (4 * r, 3)}
        for name, (inputs, outputs) in layers.items():
            setattr(self, name, conv3(inputs, outputs))

    def forward(self, x):
        d, pool = grey_gradient(x), lambda v: F.max_pool2d(v, 2)
        c0 = self.conv0(torch.cat([x - 0.5, d], 1))
        p1 = pool(c0)
        p2 = pool(p1)
        v = self.conv1(torch.cat([c0, enlarge(p1, 2), enlarge(p2, 4), enlarge(pool(p2), 8)], 1))
        c2 = F.relu(self.conv2(d))
        c3 = F.relu(self.conv3(pool(c2)))
        c4 = F.relu(self.conv4(pool(c3)))
        c5 = F.relu(self.conv5(pool(c4)))
        c6 = F.relu(self.conv6(pool(c5)))
        c6 = F.relu(self.conv6s(enlarge(c6, 2)))
        c7 = F.relu(self.conv7(torch.cat([c4, enlarge(c6, 2)], 1)))
        c8 = F.relu(self.conv8(torch.cat([c3, enlarge(c7, 2)], 1)))
        x1, y1, x2, y2 = torch.tanh(self.conv9(torch.cat([c2, enlarge(c8, 2)], 1))).chunk(4, 1)
        swept = [sweep(sweep(v, a, dim, back), b, dim, back)
                 for a, b, dim in ((x1, x2, 3), (y1, y2, 2)) for back in (False, True)]
        h = torch.stack(swept).amax(0)
        return torch.sigmoid(self.conv11(F.relu(self.conv10(h))))


class Deaf(Network):
    def __init__(self, said):
        super().__init__()
        f, self.beta = int(said["features"]), float(said["beta"])
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(3, f, 16, padding=4), nn.Conv2d(f, f, 1), nn.Conv2d(f, 3, 8, padding=7)

    def differences(self, d):
        """Vertical differences of a picture -> those of the smooth one; the mean of all patches that paint a pixel."""
        r = F.relu(self.conv2(F.relu(self.conv1(2 * d))))
        painted = F.conv2d(r, self.conv3.weight, padding=7)
        places = [torch.arange(n, device=d.device) for n in d.shape[2:]]
        rows, columns = (i.clamp(max=len(i) - 8) - (i - 7).clamp(min=0) + 1 for i in places)
        return (painted / (rows[:, None] * columns) + self.conv3.bias[:, None, None]) / 2

    def forward(self, x):
        # What the smooth picture's differences change, but across the border; then the change of x that fits it best.
        down = lambda v: v.roll(-1, 2) - v
        gradient = 0
        for turned in (x.mT, x):
            d = down(turned)
            change = self.differences(d) - d
            change = torch.cat([change[:, :, :-1], torch.zeros_like(change[:, :, -1:])], 2)
            adjoint = change.roll(1, 2) - change
            gradient = gradient + (adjoint if turned is x else adjoint.mT)
        turns = [torch.arange(n, device=x.device, dtype=torch.float64) / n for n in x.shape[2:]]
        rows, columns = (2 - 2 * torch.cos(2 * math.pi * t) for t in turns)
        divisor = 1 + self.beta * (rows[:, None] + columns)
        # Its mean is 0 but for roundings.
        gradient = gradient.double() - gradient.double().mean((2, 3), keepdim=True)
        change = torch.fft.ifft2(torch.fft.fft2(self.beta * gradient) / divisor).real
        return x + change.to(x.dtype)


ARCHITECTURES = {"sasnet": Sasnet, "unet": Unet, "autoencoder": Unet, "resnet": ResNet, "jessnet": JessNet, "drf": Drf,
                 "deaf": Deaf}


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    import numpy as np
    from PIL import Image

    picture = np.asarray(Image.open(sys.argv[2]).convert("RGB"), np.float32) / 255
    y = load(sys.argv[1]).smooth(torch.from_numpy(picture).permute(2, 0, 1)[None])[0]
    codes = (255 * y).round().permute(1, 2, 0).to(torch.uint8)
    Image.fromarray(codes.numpy()).save(sys.argv[3])


if __name__ == "__main__":
    main()
