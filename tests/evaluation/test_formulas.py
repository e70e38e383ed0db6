"""The formulas against independent implementations and hand-computed values."""

import cv2
import numpy as np
import pytest
from scipy import linalg
from skimage import data

from evaluation.metrics import (
    action_unit_consistency,
    cosine_identity,
    eye_tracking_error,
    frechet_distance,
    l1,
    pose_rmse,
    psnr,
    ssim,
    vertex_distance,
)

RANDOM = np.random.default_rng(0)


def frechet_by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    sigma_a, sigma_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(sigma_a @ sigma_b)
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(sigma_a + sigma_b - 2 * root.real))


@pytest.mark.parametrize(("n", "m", "width"), [(300, 200, 8), (64, 50, 48), (90, 70, 64)])
def test_frechet_distance_equals_the_matrix_root(n, m, width):
    a = RANDOM.normal(size=(n, width)) @ RANDOM.normal(size=(width, width))
    b = RANDOM.normal(size=(m, width)) * 1.5 + 0.3
    assert frechet_distance(a, b) == pytest.approx(frechet_by_sqrtm(a, b), rel=1e-6)


def test_frechet_distance_of_fewer_images_than_features():
    a, b = RANDOM.normal(size=(10, 64)), RANDOM.normal(size=(12, 64))
    regularised = frechet_by_sqrtm(np.vstack([a] * 1), b)
    assert frechet_distance(a, b) == pytest.approx(regularised, rel=1e-3)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    shifted = frechet_distance(a, a + 2)
    assert shifted == pytest.approx(64 * 4)


def test_frechet_distance_of_two_gaussians_in_one_dimension():
    a = np.array([[0.0], [2.0]])  # mean 1, variance 2
    b = np.array([[0.0], [4.0]])  # mean 2, variance 8
    assert frechet_distance(a, b) == pytest.approx(1 + 2 + 8 - 2 * 4)


@pytest.mark.parametrize(
    "bad", [(np.zeros((1, 3)), np.zeros((4, 3))), (np.zeros((4, 3)), np.zeros((4, 2))), (np.zeros(3), np.zeros(3))]
)
def test_frechet_distance_refuses(bad):
    with pytest.raises(ValueError):
        frechet_distance(*bad)


def test_cosine_identity():
    assert cosine_identity([[1, 0], [1, 1]], [[2, 0], [1, 0]]) == pytest.approx((1 + np.sqrt(0.5)) / 2)
    with pytest.raises(ValueError, match="zero"):
        cosine_identity([[0, 0]], [[1, 0]])


def test_pose_rmse_is_a_mean_of_roots_and_wraps():
    assert pose_rmse([[3, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 6, 0]]) == pytest.approx((np.sqrt(3) + np.sqrt(12)) / 2)
    assert pose_rmse([[179, 0, 0]], [[-179, 0, 0]]) == pytest.approx(2 / np.sqrt(3))
    assert pose_rmse([[-180, 360, 0]], [[180, 0, -720]]) == pytest.approx(0)


def test_action_unit_consistency_needs_more_than_one_half():
    assert action_unit_consistency([[0.5, 0.9], [0.2, 0.6]], [[0.49, 0.51], [0.7, 0.6]]) == pytest.approx(0.75)


def test_vertex_distance_is_a_mean_of_lengths():
    assert vertex_distance(np.zeros((1, 2, 3)), [[[3, 4, 0], [0, 0, 1]]]) == pytest.approx(3)


def test_eye_tracking_error_is_a_mean_over_eyes():
    assert eye_tracking_error(np.zeros((1, 2, 2)), [[[3, 4], [0, 1]]]) == pytest.approx(3)
    with pytest.raises(ValueError):
        eye_tracking_error(np.zeros((1, 2)), np.zeros((1, 2)))


@pytest.mark.parametrize(
    "formula", [cosine_identity, pose_rmse, action_unit_consistency, vertex_distance, eye_tracking_error]
)
def test_formulas_refuse_empty_and_unequal_arrays(formula):
    shape = {"vertex_distance": (0, 4, 3), "eye_tracking_error": (0, 2, 2)}.get(formula.__name__, (0, 3))
    with pytest.raises(ValueError):
        formula(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError):
        formula(np.ones((2, *shape[1:])), np.ones((3, *shape[1:])))


def ssim_by_filters(a: np.ndarray, b: np.ndarray) -> float:
    """Wang 2004 written out with OpenCV's Gaussian, one channel at a time."""
    values = []
    for x, y in zip(np.moveaxis(a.astype(np.float64), 2, 0), np.moveaxis(b.astype(np.float64), 2, 0), strict=True):

        def blur(image: np.ndarray) -> np.ndarray:
            return cv2.GaussianBlur(image, (11, 11), 1.5)

        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        values.append(
            (((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))[5:-5, 5:-5].mean()
        )
    return float(np.mean(values))


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    clean = np.ascontiguousarray(data.astronaut()[0:150, 150:300])
    noise = np.random.default_rng(1).normal(0, 12, clean.shape)
    return clean, np.clip(clean + noise, 0, 255).round().astype(np.uint8)


def test_ssim_equals_an_independent_implementation(noisy):
    assert ssim(*noisy) == pytest.approx(ssim_by_filters(*noisy), abs=1e-7)
    assert ssim(noisy[0], noisy[0]) == pytest.approx(1)


def test_psnr_does_not_wrap(noisy):
    clean, other = noisy
    expected = 10 * np.log10(255**2 / np.mean((clean.astype(float) - other.astype(float)) ** 2))
    assert psnr(clean, other) == pytest.approx(expected) == psnr(other, clean)
    assert psnr(clean, clean) == np.inf
    assert psnr(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)) == pytest.approx(0)


def test_l1_is_in_units_of_the_full_range():
    assert l1(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)) == pytest.approx(0.2)


@pytest.mark.parametrize("formula", [l1, psnr, ssim])
def test_pixel_metrics_refuse_other_sizes_and_floats(formula):
    with pytest.raises(ValueError, match="size"):
        formula(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 21, 3), np.uint8))
    with pytest.raises(ValueError, match="8-bit"):
        formula(np.zeros((20, 20, 3)), np.zeros((20, 20, 3)))


def test_ssim_refuses_pictures_below_its_window():
    with pytest.raises(ValueError, match="11"):
        ssim(np.zeros((10, 20, 3), np.uint8), np.zeros((10, 20, 3), np.uint8))
