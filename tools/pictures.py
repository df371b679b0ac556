"""What the tools share: pictures, their ground truths, and scikit-image's PSNR and SSIM.

Needs: pip install numpy pillow scikit-image
"""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def load(path):
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def truth_of(stem, folders):
    """The ground truth of the picture `stem`: the same stem, or without the texture's name (`S3T7`, `photo_T07`)."""
    stems = [stem] + [m[1] for m in [re.fullmatch(r"(.+?)_?T\d+", stem)] if m]
    for folder in folders:
        for s in stems:
            for path in sorted(Path(folder).glob(f"{s}.*")):
                if path.suffix.lower() in EXTENSIONS:
                    return path
    raise SystemExit(f"no ground truth for {stem} in {', '.join(map(str, folders))}: expected {' or '.join(stems)}")


def psnr(a, b):
    """dB of two arrays on 0..255; infinite where they are equal."""
    mse = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return np.inf if mse == 0 else 10 * np.log10(255**2 / mse)


def ssim(a, b):
    """Wang's SSIM of two arrays on 0..255, averaged over channels."""
    return structural_similarity(
        np.asarray(a, np.float64),
        np.asarray(b, np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if np.ndim(a) == 3 else None,
    )


def luma(a):
    """Y of MATLAB's rgb2ycbcr (BT.601, 16..235), not rounded."""
    return 16 + np.asarray(a, np.float64) / 255 @ np.array([65.481, 128.553, 24.966])
