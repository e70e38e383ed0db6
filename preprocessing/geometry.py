"""Similarities of point sets: Procrustes alignment, its generalised mean, and the scaled orthographic fit (POS)."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Similarity:
    """x ↦ scale · rotation · x + translation in D dimensions."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Apply to points [N, D]."""
        return self.scale * points @ self.rotation.T + self.translation


def procrustes(source: np.ndarray, target: np.ndarray) -> Similarity:
    """Least-squares similarity (no reflection) that takes ``source`` [N, D] to ``target`` [N, D] (Umeyama 1991)."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(b.T @ a)
    sign = np.ones(len(singular))
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign) @ vt
    scale = float((singular * sign).sum() / (a**2).sum())
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def generalised_procrustes(shapes: np.ndarray, rounds: int = 50, tolerance: float = 1e-9) -> np.ndarray:
    """Mean shape [N, D] of shapes [M, N, D] up to similarity: align all to the mean, average, repeat.

    The result is centred with unit root-mean-square size, oriented like the first shape.
    """
    mean = _normalised(shapes[0])
    for _ in range(rounds):
        new = _normalised(np.mean([procrustes(shape, mean)(shape) for shape in shapes], axis=0))
        new = _normalised(procrustes(new, mean)(new))
        if np.abs(new - mean).max() < tolerance:
            return new
        mean = new
    return mean


def _normalised(shape: np.ndarray) -> np.ndarray:
    centred = shape - shape.mean(0)
    return centred / np.sqrt((centred**2).sum(1).mean())


def scaled_orthographic(points: np.ndarray, image: np.ndarray) -> tuple[float, np.ndarray]:
    """POS fit: pixels per unit and the image position [2] of the origin of ``points`` [N, 3] seen at ``image`` [N, 2].

    ``image`` has y down, ``points`` y up. The two rows of the projection are solved freely and the scale is the
    mean of their lengths, as in POS (DeMenthon & Davis 1995).
    """
    design = np.hstack([points, np.ones((len(points), 1))])
    solution, *_ = np.linalg.lstsq(design, image, rcond=None)
    scale = float(np.linalg.norm(solution[:3], axis=0).mean())
    return scale, solution[3]
