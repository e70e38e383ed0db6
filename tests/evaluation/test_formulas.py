"""The formulas by hand and against independent implementations: torchmetrics, pytorch-fid, SciPy, scikit-image, OpenCV.

Tolerances: references of 64 bits to rounding, torchmetrics' PSNR and cosine (32 bits inside) to 10⁻⁶, matrix roots to
10⁻⁶ of the value where covariances have full rank and 10⁻³ where they have not.
"""

import warnings

import cv2
import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy import linalg
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.regression import cosine_similarity
from torchmetrics.image import PeakSignalNoiseRatio
from torchmetrics.image.fid import FrechetInceptionDistance

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
SEEDS = range(5)


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
    assert frechet_distance(a, b) == pytest.approx(frechet_by_sqrtm(a, b), rel=1e-3)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    shifted = frechet_distance(a, a + 2)
    assert shifted == pytest.approx(64 * 4)


class Features(torch.nn.Module):
    """Stands for Inception in torchmetrics' FID: pictures [N, 3, 1, D] whose first channel holds the features."""

    num_features = 12

    def forward(self, pictures):
        return pictures[:, 0, 0].double()


@pytest.mark.parametrize("seed", SEEDS)
def test_frechet_distance_equals_torchmetrics_and_pytorch_fid(seed):
    generator = np.random.default_rng(seed)
    n, m = generator.integers(40, 200, 2)
    a = generator.normal(size=(n, 12)) @ generator.normal(size=(12, 12)) + generator.normal(size=12)
    b = generator.normal(size=(m, 12)) * generator.uniform(0.1, 3, 12)
    metric = FrechetInceptionDistance(Features(), normalize=True, input_img_size=(3, 1, 12)).set_dtype(torch.float64)
    for features, real in ((a, True), (b, False)):
        metric.update(torch.from_numpy(np.repeat(features[:, None, None], 3, axis=1)), real=real)
    assert frechet_distance(a, b) == pytest.approx(float(metric.compute()), rel=1e-6)
    moments = (a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytorch-fid calls SciPy's sqrtm the old way
        assert frechet_distance(a, b) == pytest.approx(calculate_frechet_distance(*moments), rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_frechet_distance_of_rank_deficient_sets_equals_the_root_by_eigenvalues(seed):
    """tr(Σ₁Σ₂)^½ is the sum of the roots of the eigenvalues of Σ₁Σ₂, which are real and ≥ 0, whatever the ranks."""
    generator = np.random.default_rng(seed)
    n, m, width = (*generator.integers(2, 20, 2).tolist(), 40)
    a, b = generator.normal(size=(n, width)), 2 * generator.normal(size=(m, width)) + 1
    sigma_a, sigma_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    half = linalg.eigh(sigma_a)
    root_a = half[1] * np.sqrt(np.maximum(half[0], 0)) @ half[1].T
    eigenvalues = np.maximum(np.linalg.eigvalsh(root_a @ sigma_b @ root_a), 0)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(sigma_a + sigma_b) - 2 * np.sum(np.sqrt(eigenvalues))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_frechet_distance_is_a_squared_distance(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(30, 6)), generator.gamma(1.0, size=(50, 6))
    turn = linalg.qr(generator.normal(size=(6, 6)))[0]
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a @ turn + 5, b @ turn + 5) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * frechet_distance(a, b))
    assert frechet_distance(a[generator.permutation(30)], b) == pytest.approx(frechet_distance(a, b))


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


@pytest.mark.parametrize("seed", SEEDS)
def test_cosine_identity_equals_torchmetrics(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(17, 128)), generator.normal(size=(17, 128)) + 0.3
    expected = cosine_similarity(torch.from_numpy(a), torch.from_numpy(b), reduction="mean")
    assert cosine_identity(a, b) == pytest.approx(float(expected), abs=1e-6)
    scale = generator.uniform(1e-60, 1e60, (17, 1))  # no length of an embedding matters
    assert cosine_identity(a * scale, b / scale) == pytest.approx(cosine_identity(a, b), rel=1e-9)
    assert cosine_identity(a, a) == pytest.approx(1) and cosine_identity(a, -a) == pytest.approx(-1)


@pytest.mark.parametrize("seed", SEEDS)
def test_pose_rmse_wraps_like_rotations(seed):
    """Wrapped differences of each angle are the angles of the relative rotation about that axis."""
    generator = np.random.default_rng(seed)
    a, b = generator.uniform(-720, 720, (2, 25, 3))
    turns = Rotation.from_euler("x", (a - b).reshape(-1, 1), degrees=True).as_rotvec(degrees=True)[:, 0].reshape(25, 3)
    expected = np.mean(np.sqrt(np.mean(turns**2, axis=1)))
    assert pose_rmse(a, b) == pytest.approx(expected) == pose_rmse(b, a)
    assert pose_rmse(a + 360, b - 1080) == pytest.approx(expected) and pose_rmse(a, a + 360) == pytest.approx(0)
    assert pose_rmse(a, a + 180) == pytest.approx(180)


def test_pose_rmse_is_a_mean_of_roots_and_wraps():
    assert pose_rmse([[3, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 6, 0]]) == pytest.approx((np.sqrt(3) + np.sqrt(12)) / 2)
    assert pose_rmse([[179, 0, 0]], [[-179, 0, 0]]) == pytest.approx(2 / np.sqrt(3))
    assert pose_rmse([[-180, 360, 0]], [[180, 0, -720]]) == pytest.approx(0)


def test_action_unit_consistency_needs_more_than_one_half():
    assert action_unit_consistency([[0.5, 0.9], [0.2, 0.6]], [[0.49, 0.51], [0.7, 0.6]]) == pytest.approx(0.75)


def test_vertex_distance_is_a_mean_of_lengths():
    assert vertex_distance(np.zeros((1, 2, 3)), [[[3, 4, 0], [0, 0, 1]]]) == pytest.approx(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_distances_equal_scipys(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 6, 50, 3))
    expected = np.mean([np.diagonal(cdist(x, y)) for x, y in zip(a, b, strict=True)])
    assert vertex_distance(a, b) == pytest.approx(expected) == vertex_distance(b, a)
    assert eye_tracking_error(a[:, :2, :2], b[:, :2, :2]) == pytest.approx(
        np.mean([np.diagonal(cdist(x, y)) for x, y in zip(a[:, :2, :2], b[:, :2, :2], strict=True)])
    )
    assert vertex_distance(a, a + np.array([0.03, 0.04, 0])) == pytest.approx(0.05) and vertex_distance(a, a) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_action_unit_consistency_is_one_minus_the_hamming_distance(seed):
    a, b = np.random.default_rng(seed).uniform(size=(2, 20, 13))
    hamming = np.diagonal(cdist(a > 0.5, b > 0.5, "hamming"))
    assert action_unit_consistency(a, b) == pytest.approx(1 - hamming.mean()) == action_unit_consistency(b, a)
    assert action_unit_consistency(a, a) == 1


@pytest.mark.parametrize(
    ("formula", "shape", "words"),
    [
        (frechet_distance, (4, 3), "features"),
        (cosine_identity, (4, 3), "face embeddings"),
        (pose_rmse, (4, 3), "head angles"),
        (action_unit_consistency, (4, 3), "action units"),
        (vertex_distance, (4, 5, 3), "vertices"),
        (eye_tracking_error, (4, 2, 2), "pupils"),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_values_that_are_not_finite_are_named(formula, shape, words, bad, side):
    pair = [np.ones(shape), np.full(shape, 2.0)]
    pair[side][2].flat[-1] = bad
    with pytest.raises(ValueError, match=rf"{words}.*image 2"):
        formula(*pair)


def test_vertices_have_three_coordinates():
    with pytest.raises(ValueError, match="vertices"):
        vertex_distance(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)))


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


def pictures(seed):
    generator = np.random.default_rng(seed)
    height, width = generator.integers(24, 70, 2)
    smooth = cv2.GaussianBlur(generator.uniform(0, 255, (height, width, 3)), (7, 7), 2)
    other = np.clip(smooth + generator.normal(0, 15, smooth.shape), 0, 255)
    return smooth.round().astype(np.uint8), other.round().astype(np.uint8)


def as_tensor(picture):
    return torch.from_numpy(np.moveaxis(picture, 2, 0)[None].astype(np.float64))


@pytest.mark.parametrize("seed", SEEDS)
def test_ssim_equals_torchmetrics_inside_the_border(seed):
    a, b = pictures(seed)
    _, full = structural_similarity_index_measure(
        as_tensor(a), as_tensor(b), gaussian_kernel=True, sigma=1.5, kernel_size=11, data_range=255.0,
        return_full_image=True,
    )  # fmt: skip
    # The whole map is reflected at the border, which we leave out; torchmetrics' own mean crops that map once more.
    assert ssim(a, b) == pytest.approx(float(full[0, :, 5:-5, 5:-5].mean()), abs=1e-9) == ssim(b, a)


@pytest.mark.parametrize("seed", SEEDS)
def test_psnr_equals_scikit_image_and_torchmetrics(seed):
    a, b = pictures(seed)
    metric = PeakSignalNoiseRatio(data_range=255.0)
    metric.update(as_tensor(a), as_tensor(b))
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), rel=1e-12)
    assert psnr(a, b) == pytest.approx(float(metric.compute()), rel=1e-6) == psnr(b, a)  # its sums are 32 bits


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
