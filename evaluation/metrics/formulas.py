"""The metrics as formulas: NumPy arrays in, one float out. No detector and no alignment lives here.

Definitions and the decisions behind them: ``docs/metrics.md``. Every formula raises ValueError, naming what is wrong,
for shapes that do not fit, for no images at all, and for values that are not finite: a NaN would otherwise pass for a
disagreement in one formula and spoil the mean in the next. An image without a measurement must be left out and counted
before.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def _finite(values: ArrayLike, what: str) -> Array:
    """The values as float64; the first image with a NaN or an infinity raises ValueError."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        first = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim else 0
        raise ValueError(f"{what}: image {first} holds a value that is not finite")
    return array


def _pair(a: ArrayLike, b: ArrayLike, dimensions: int, what: str) -> tuple[Array, Array]:
    """Both arrays as float64, checked to be finite, non-empty, of equal shape and of the given number of dimensions."""
    first, second = _finite(a, what), _finite(b, what)
    if first.shape != second.shape:
        raise ValueError(f"{what}: shapes differ, {first.shape} against {second.shape}")
    if first.ndim != dimensions or first.size == 0:
        raise ValueError(f"{what}: expected a non-empty array of {dimensions} dimensions, got shape {first.shape}")
    return first, second


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Fréchet distance ‖Δμ‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) of two sets of features [N, D] and [M, D]; ≥ 0, unit squared.

    The squared 2-Wasserstein distance of the Gaussians fitted to both sets (Dowson and Landau 1982), FID where the
    features are Inception's (Heusel et al. 2017). Covariances are unbiased (N − 1), as in pytorch-fid. The
    trace of the matrix root is the sum of the singular values of A·Bᵀ, where Σ₁ = AᵀA and Σ₂ = BᵀB, so that no complex
    square root of a rank-deficient matrix is ever taken: exact also for fewer images than features.

    Raises ValueError for fewer than two images on either side, for different widths, and for values not finite.
    """
    a, b = _finite(features_a, "features, first set"), _finite(features_b, "features, second set")
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
    """CSIM: mean over images of a·b / (‖a‖‖b‖) of face embeddings [N, D] of source and output; −1 to 1, no unit.

    Paper, "Metrics", after Ha et al. 2020 and Hong et al. 2022 (DaGAN). The embeddings' lengths do not matter.

    Raises ValueError for a zero vector, for unequal or empty arrays, and for values not finite.
    """
    a, b = _pair(source, generated, 2, "face embeddings")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if np.any(lengths == 0):
        raise ValueError("face embeddings: a zero vector has no direction")
    return float(np.mean(np.sum(a * b, axis=1) / lengths))


def pose_rmse(driver_degrees: ArrayLike, generated_degrees: ArrayLike) -> float:
    """PRMSE: mean over images of √(Σ wrap(Δ)²/3) over three head angles [N, 3] in degrees; 0 to 180 degrees.

    Paper, "Metrics", after Ha et al. 2020: a root per image, then the mean, and degrees, in which alone the paper's
    1.6–4.2 make sense. Differences are wrapped to [−180, 180): 179° and −179° are 2° apart.

    Raises ValueError for other than three angles, for unequal or empty arrays, and for values not finite.
    """
    a, b = _pair(driver_degrees, generated_degrees, 2, "head angles")
    if a.shape[1] != 3:
        raise ValueError(f"head angles: expected three per image, got {a.shape[1]}")
    difference = (a - b + 180.0) % 360.0 - 180.0
    return float(np.mean(np.sqrt(np.sum(difference**2, axis=1) / 3.0)))


def action_unit_consistency(driver: ArrayLike, generated: ArrayLike) -> float:
    """AUCON: share of images and action units [N, K], each in 0–1, that agree on being active; 0 to 1, no unit.

    Paper, "Metrics", after Ha et al. 2020 (MarioNETte). Active is more than .5: exactly .5 is not.

    Raises ValueError for unequal or empty arrays and for values not finite.
    """
    a, b = _pair(driver, generated, 2, "action units")
    return float(np.mean((a > 0.5) == (b > 0.5)))


def vertex_distance(a: ArrayLike, b: ArrayLike) -> float:
    """AVD: mean over images and vertices of ‖a − b‖ of two face shapes [N, V, 3], in the unit given (decimetres).

    Paper, "Metrics", after HiDeNeRF (Li et al. 2023). What is to be passed are shapes without pose and expression.

    Raises ValueError for other than three coordinates, for unequal or empty arrays, and for values not finite.
    """
    first, second = _pair(a, b, 3, "vertices")
    if first.shape[2] != 3:
        raise ValueError(f"vertices: expected [N, V, 3], got {first.shape}")
    return float(np.mean(np.linalg.norm(first - second, axis=2)))


def eye_tracking_error(driver: ArrayLike, generated: ArrayLike) -> float:
    """ET: mean over images and both eyes of the pupils' distance, [N, 2, 2] as (image, eye, xy), in pixels.

    Paper, "Metrics", where it is proposed: eye locations of aligned face images, here eye-aligned pictures of 256².

    Raises ValueError for other shapes, for unequal or empty arrays, and for values not finite.
    """
    a, b = _pair(driver, generated, 3, "pupils")
    if a.shape[1:] != (2, 2):
        raise ValueError(f"pupils: expected [N, 2, 2], got {a.shape}")
    return float(np.mean(np.linalg.norm(a - b, axis=2)))
