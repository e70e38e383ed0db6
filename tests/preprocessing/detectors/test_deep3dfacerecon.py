"""Deep3DFaceRecon's alignment and network, with random weights of the published layout."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch import nn

from preprocessing.cli import InputError
from preprocessing.detectors.deep3dfacerecon import (
    CoefficientNetwork,
    Coefficients,
    aligned,
    load_matrices,
    load_network,
    load_standard_face,
)
from preprocessing.geometry import scaled_orthographic
from preprocessing.weights import DEEP3D_LANDMARKS, DEEP3D_NETWORK

STANDARD = np.array(
    [[-0.31, 0.29, 0.13], [0.31, 0.29, 0.13], [0.0, -0.05, 0.55], [-0.25, -0.38, 0.22], [0.25, -0.38, 0.22]]
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A checkpoint of 24 million parameters, all nought but the heads' offsets."""
    path = tmp_path_factory.mktemp("deep3d") / DEEP3D_NETWORK
    with torch.device("meta"):
        layout = CoefficientNetwork().state_dict()
    state = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in layout.items()}
    start = 0
    for name in [name for name in state if name.startswith("final_layers.") and name.endswith("bias")]:
        state[name] = torch.arange(start, start + len(state[name]), dtype=torch.float32)
        start += len(state[name])
    optimiser = torch.optim.Adam([nn.Parameter(torch.zeros(2))])
    torch.save({"net_recon": state, "opt_00": optimiser.state_dict(), "sched_00": {"step_size": 10}}, path)
    return path


def test_coefficients_are_split_in_the_order_of_the_outputs(network):
    with torch.inference_mode():
        coefficients = load_network(network)(torch.rand(2, 3, 64, 64))
    assert torch.equal(torch.cat(coefficients, dim=1), torch.arange(257.0).expand(2, 257))
    assert [part.shape[1] for part in coefficients] == [80, 64, 80, 3, 27, 3]
    assert coefficients._fields == Coefficients._fields and coefficients.angles[0, 0] == 224


def test_the_checkpoints_keys_are_the_published_ones(network):
    names = set(torch.load(network, weights_only=True)["net_recon"])
    assert {"backbone.conv1.weight", "backbone.layer4.2.bn3.running_var", "final_layers.6.weight"} <= names
    assert not any(name.startswith("backbone.fc") for name in names) and len(names) == 318 + 14


@pytest.mark.parametrize("fault", ["no entry", "another network", "another width", "truncated", "absent"])
def test_other_checkpoints_are_refused(network, tmp_path, fault):
    path = tmp_path / DEEP3D_NETWORK
    state = torch.load(network, weights_only=True)
    match fault:
        case "no entry":
            torch.save(state["net_recon"], path)
        case "another network":
            torch.save({"net_recon": {"fc.weight": torch.zeros(1)}}, path)
        case "another width":
            torch.save({"net_recon": state["net_recon"] | {"final_layers.0.bias": torch.zeros(100)}}, path)
        case "truncated":
            path.write_bytes(network.read_bytes()[:1_000_000])
    with pytest.raises(InputError, match=DEEP3D_NETWORK):
        load_network(path)


def seen(scale: float, at: tuple[float, float], roll: float = 0.0) -> np.ndarray:
    """The standard face's five points as a picture shows them: y down, ``scale`` pixels per unit."""
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return scale * (STANDARD[:, :2] * (1, -1)) @ turn.T + at


@pytest.mark.parametrize(
    ("scale", "at"), [(102.0, (130.3, 121.4)), (61.0, (80.3, 90.2)), (180.0, (250.1, 140.2)), (70.0, (10.4, 8.3))]
)
def test_the_crop_is_that_of_the_whole_resized_picture(scale, at):
    # Away from black and white, where Pillow cuts off what overshoots, and in which direction first is its choice.
    picture = np.random.default_rng(1).integers(90, 160, (301, 260, 3), dtype=np.uint8)
    crop = aligned(picture, seen(scale, at), STANDARD)
    ratio = 102 / scale
    wide, high = int(260 * ratio), int(301 * ratio)
    whole = Image.fromarray(picture).resize((wide, high), Image.Resampling.BICUBIC)
    left = int(wide / 2 - 112 + (at[0] - 130) * ratio)
    top = int(high / 2 - 112 + (at[1] + 1 - 150.5) * ratio)
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)))
    assert crop.shape == (224, 224, 3) and np.abs(crop.astype(int) - expected).max() <= 2


def test_the_face_lies_in_the_middle_at_the_standard_scale():
    points = seen(63.0, (150.0, 120.0), roll=0.3)
    picture = np.zeros((240, 320, 3), np.uint8)
    for x, y in np.rint(points).astype(int):
        picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    crop = aligned(picture, points, STANDARD)[..., 0].astype(float)
    centre = np.array([112.0, 112.0])
    expected = (points - (150, 120)) * 102 / 63 + centre
    for x, y in np.rint(expected).astype(int):
        patch = crop[y - 8 : y + 9, x - 8 : x + 9]
        offset = np.indices(patch.shape).reshape(2, -1) @ patch.ravel() / patch.sum() - 8
        assert np.abs(offset).max() < 2.5
    size, origin = scaled_orthographic(STANDARD * (1, -1, 1), expected)
    assert size == pytest.approx(102) and origin == pytest.approx(centre)


def test_a_tiny_face_needs_no_huge_picture_and_a_face_elsewhere_has_no_crop():
    picture = np.full((2000, 2000, 3), 90, np.uint8)
    assert np.all(aligned(picture, seen(0.5, (1000, 1000)), STANDARD) == 90)
    assert aligned(picture[:50, :50], seen(100.0, (900, 900)), STANDARD) is None


def test_the_standard_face_is_read_from_sixty_eight_points(tmp_path):
    points = np.random.default_rng(2).normal(size=(68, 3))
    savemat(tmp_path / DEEP3D_LANDMARKS, {"lm": points})
    five = load_standard_face(tmp_path / DEEP3D_LANDMARKS)
    np.testing.assert_allclose(five[0], (points[36] + points[39]) / 2)
    np.testing.assert_allclose(five[2:], points[[30, 48, 54]])
    assert len(five) == 5


def test_other_matlab_files_are_refused(tmp_path):
    path = tmp_path / DEEP3D_LANDMARKS
    with pytest.raises(InputError, match=DEEP3D_LANDMARKS):
        load_standard_face(path)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(InputError, match="called lm, but lacks"):
        load_standard_face(path)
    savemat(path, {"lm": np.zeros((5, 3))})
    with pytest.raises(InputError, match=r"not \[5 × 3\]"):
        load_standard_face(path)
    savemat(path, {"lm": np.array([["text"]], dtype=object)})
    with pytest.raises(InputError, match=DEEP3D_LANDMARKS):
        load_matrices(path, {"lm": (1, 1)})
    savemat(path, {"lm": np.random.default_rng(0).normal(size=(68, 3))}, do_compression=True)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=DEEP3D_LANDMARKS):
        load_standard_face(path)
