"""The metrics as formulas: NumPy arrays in, one float out. No detector and no alignment lives here.

Definitions and the decisions behind them: ``docs/metrics.md``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def _pair(a: ArrayLike, b: ArrayLike, dimensions: int, what: str) -> tuple[Array, Array]:
    """Both arrays as float64, checked to be non-empty, of equal shape and of the given number of dimensions."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{what}: shapes differ, {first.shape} against {second.shape}")
    if first.ndim != dimensions or first.shape[0] == 0:
        raise ValueError(f"{what}: expected a non-empty array of {dimensions} dimensions, got shape {first.shape}")
    return first, second


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Fréchet distance ‖Δμ‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) of two sets of features [N, D] and [M, D] (Heusel 2017).

    Covariances are unbiased (N − 1). The trace of the matrix root is the sum of the singular values of A·Bᵀ, where
    Σ₁ = AᵀA and Σ₂ = BᵀB, so that no complex square root of a rank-deficient matrix is ever taken.
    Raises ValueError for fewer than two images on either side or for different widths.
    """
    a, b = np.asarray(features_a, dtype=np.float64), np.asarray(features_b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be [N, D] and [M, D] with one D, got {a.shape} and {b.shape}")
    if len(a) < 2 or len(b) < 2:
        raise ValueError("a covariance needs at least two images on each side")
    difference = a.mean(axis=0) - b.mean(axis=0)
    root_a = (a - a.mean(axis=0)) / np.sqrt(len(a) - 1)
    root_b = (b - b.mean(axis=0)) / np.sqrt(len(b) - 1)
    traces = float(np.sum(root_a**2) + np.sum(root_b**2))
    width = a.shape[1]
    # Any R with RᵀR = Σ serves: beyond D images the triangular factor is the smaller one.
    small_a: Array = np.linalg.qr(root_a).R if len(a) > width else root_a
    small_b: Array = np.linalg.qr(root_b).R if len(b) > width else root_b
    cross = float(np.linalg.svd(small_a @ small_b.T, compute_uv=False).sum())
    return max(0.0, float(difference @ difference) + traces - 2.0 * cross)


def cosine_identity(source: ArrayLike, generated: ArrayLike) -> float:
    """CSIM: mean cosine of two stacks of face embeddings [N, D]. Zero vectors raise ValueError."""
    a, b = _pair(source, generated, 2, "face embeddings")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if np.any(lengths == 0):
        raise ValueError("face embeddings: a zero vector has no direction")
    return float(np.mean(np.sum(a * b, axis=1) / lengths))


def pose_rmse(driver_degrees: ArrayLike, generated_degrees: ArrayLike) -> float:
    """PRMSE: mean over images of √(Σ wrap(Δ)²/3) over three head angles in degrees [N, 3], wrapped to ±180."""
    a, b = _pair(driver_degrees, generated_degrees, 2, "head angles")
    if a.shape[1] != 3:
        raise ValueError(f"head angles: expected three per image, got {a.shape[1]}")
    difference = (a - b + 180.0) % 360.0 - 180.0
    return float(np.mean(np.sqrt(np.sum(difference**2, axis=1) / 3.0)))


def action_unit_consistency(driver: ArrayLike, generated: ArrayLike) -> float:
    """AUCON: share of images and action units [N, K] that agree on being active, active meaning more than .5."""
    a, b = _pair(driver, generated, 2, "action units")
    return float(np.mean((a > 0.5) == (b > 0.5)))


def vertex_distance(a: ArrayLike, b: ArrayLike) -> float:
    """AVD: mean Euclidean distance of corresponding vertices [N, V, 3], in the unit given (decimetres)."""
    first, second = _pair(a, b, 3, "vertices")
    return float(np.mean(np.linalg.norm(first - second, axis=2)))


def eye_tracking_error(driver: ArrayLike, generated: ArrayLike) -> float:
    """ET: mean distance in pixels of pupils [N, 2, 2] (image, eye, xy) of eye-aligned pictures, mean over both eyes."""
    a, b = _pair(driver, generated, 3, "pupils")
    if a.shape[1:] != (2, 2):
        raise ValueError(f"pupils: expected [N, 2, 2], got {a.shape}")
    return float(np.mean(np.linalg.norm(a - b, axis=2)))
