"""Metrics of pixels: L1, PSNR and SSIM of two pictures of one size."""

import math

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # [H, W, 3], RGB
SMALLEST = 11  # side of SSIM's window


def _checked(a: Picture, b: Picture) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures differ in size: {a.shape} against {b.shape}")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError("pictures must be 8-bit")


def l1(a: Picture, b: Picture) -> float:
    """Mean absolute difference of two 8-bit pictures [H, W, 3], over 255: in [0, 1].

    Raises ValueError for pictures of different sizes or not 8-bit.
    """
    _checked(a, b)
    return float(np.abs(a.astype(np.float64) - b).mean() / 255.0)


def psnr(a: Picture, b: Picture) -> float:
    """10·log10(255²/MSE) in decibels over all pixels and channels of two 8-bit pictures [H, W, 3].

    Differences are taken in float: those of uint8 wrap. Infinite for identical pictures; 0 at the least. The metric of
    a set is the mean over images, not the PSNR of the pooled MSE (docs/metrics.md).

    Raises ValueError for pictures of different sizes or not 8-bit.
    """
    _checked(a, b)
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


def ssim(a: Picture, b: Picture) -> float:
    """SSIM of two 8-bit pictures [H, W, 3], the mean over RGB; −1 to 1, 1 for identical pictures.

    Wang et al. 2004, equation 13: Gaussian window of 11 pixels, σ 1.5, K₁ .01, K₂ .03, range 255, population
    covariance; the border of 5 pixels, where the window leaves the picture, does not count. scikit-image with these
    arguments (its own defaults are others).

    Raises ValueError for pictures of different sizes, not 8-bit, or below 11 pixels a side.
    """
    _checked(a, b)
    if min(a.shape[:2]) < SMALLEST:
        raise ValueError(f"SSIM needs pictures of at least {SMALLEST} pixels a side, got {a.shape[1]}×{a.shape[0]}")
    from skimage.metrics import structural_similarity  # half a second, which planning a run need not wait for

    return float(
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
        )
    )
