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
    """Mean absolute difference of two 8-bit pictures, in [0, 1]."""
    _checked(a, b)
    return float(np.abs(a.astype(np.float64) - b).mean() / 255.0)


def psnr(a: Picture, b: Picture) -> float:
    """10·log10(255²/MSE) in decibels, differences taken in float, never in uint8; infinite for identical pictures."""
    _checked(a, b)
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


def ssim(a: Picture, b: Picture) -> float:
    """SSIM of Wang 2004 on RGB: Gaussian window of 11, σ 1.5, population covariance, a 5-pixel border left out."""
    _checked(a, b)
    if min(a.shape[:2]) < SMALLEST:
        raise ValueError(f"SSIM needs pictures of at least {SMALLEST} pixels a side, got {a.shape[1]}×{a.shape[0]}")
    from skimage.metrics import structural_similarity  # half a second, which planning a run need not wait for

    return float(
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
        )
    )
