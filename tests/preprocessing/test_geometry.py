"""Similarities recovered from points that were moved by a known one."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocessing.geometry import Similarity, generalised_procrustes, procrustes, scaled_orthographic

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(30, 3)) * (1, 0.7, 0.4)


def moved(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rotation = Rotation.from_rotvec(rng.normal(size=3) * 0.5).as_matrix()
    return Similarity(float(rng.uniform(0.5, 2)), rotation, rng.normal(size=3))(points)


def test_procrustes_recovers_a_similarity():
    rotation = Rotation.from_euler("xyz", [10, 40, -80], degrees=True).as_matrix()
    truth = Similarity(1.7, rotation, np.array([1.0, -2, 3]))
    found = procrustes(POINTS, truth(POINTS))
    assert found.scale == pytest.approx(1.7)
    assert np.allclose(found.rotation, rotation)
    assert np.allclose(found(POINTS), truth(POINTS))


def test_procrustes_never_mirrors():
    found = procrustes(POINTS, POINTS * (-1, 1, 1))
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_the_generalised_mean_is_the_shape_all_share():
    shapes = np.stack([moved(POINTS, RNG) for _ in range(12)])
    mean = generalised_procrustes(shapes)
    assert np.allclose(procrustes(mean, POINTS)(mean), POINTS, atol=1e-6)
    assert np.sqrt((mean**2).sum(1).mean()) == pytest.approx(1)
    noisy = shapes + RNG.normal(size=shapes.shape) * 0.05
    mean = generalised_procrustes(noisy)
    assert np.abs(procrustes(mean, POINTS)(mean) - POINTS).max() < 0.12


@pytest.mark.parametrize("yaw", [0, 30, -50])
def test_the_orthographic_fit_finds_scale_and_origin_at_any_angle(yaw: float):
    rotation = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    image = 80 * (POINTS @ rotation.T)[:, :2] + (320, 240)
    scale, origin = scaled_orthographic(POINTS, image)
    assert scale == pytest.approx(80)
    assert np.allclose(origin, [320, 240])
