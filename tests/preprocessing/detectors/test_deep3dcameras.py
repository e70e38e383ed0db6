"""Deep3DFaceRecon's pose as EG3D's camera, beside Deep3DFaceRecon's own projection written out here."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from preprocessing.cameras import angles, intrinsics, label, project, split_label
from preprocessing.detectors.deep3dcameras import Deep3dCameras, cam2world
from preprocessing.detectors.deep3dfacerecon import FOCAL, SIDE, STANDARD_SCALE, Coefficients, Place, placed
from preprocessing.detectors.points import IBUG, MESH, as_ibug
from preprocessing.reference_face import reference_face, reference_world
from tests.preprocessing.layouts import noise, write_deep3d

POSES = [
    (np.zeros(3), np.zeros(3)),
    (np.array([0.1, -0.4, 0.2]), np.array([0.05, -0.08, 0.6])),
    (np.array([-0.3, 0.7, -0.1]), np.array([-0.1, 0.12, -0.9])),
]


def published_projection(points: np.ndarray, pose: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Deep3DFaceRecon's image [N, 2] in pixels of its crop, y down, of points [N, 3] of its face (decimetres, y up).

    Written out from ``models/bfm.py``: p·(Rz·Ry·Rx)ᵀ + t, z = 10 − z, then the focal length 1015 about the middle of
    224 pixels, y counted upwards.
    """
    cosine, sine = np.cos(pose), np.sin(pose)
    about_x = np.array([[1, 0, 0], [0, cosine[0], -sine[0]], [0, sine[0], cosine[0]]])
    about_y = np.array([[cosine[1], 0, sine[1]], [0, 1, 0], [-sine[1], 0, cosine[1]]])
    about_z = np.array([[cosine[2], -sine[2], 0], [sine[2], cosine[2], 0], [0, 0, 1]])
    moved = points @ (about_z @ about_y @ about_x).T + translation
    image = 1015 * moved[:, :2] / (10 - moved[:, 2:]) + 112
    return np.stack([image[:, 0], 224 - image[:, 1]], 1)


@pytest.mark.parametrize(("pose", "translation"), POSES)
def test_the_camera_sees_the_face_where_the_published_projection_puts_it(pose: np.ndarray, translation: np.ndarray):
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    camera = label(cam2world(pose, translation), intrinsics(FOCAL / SIDE))
    world = 0.27 * points + (0, 0.006, 0.161)
    assert project(world, camera) * 224 == pytest.approx(published_projection(points, pose, translation), abs=1e-3)


def test_a_worked_example_of_the_conversion():
    """Head turned by .3 about y: R = Ry(.3)ᵀ; the centre is R·(0, 0, 10)·.27 + (0, .006, .161)."""
    camera = cam2world(np.array([0, 0.3, 0]), np.zeros(3))
    assert camera[:3, 3] == pytest.approx([-2.7 * np.sin(0.3), 0.006, 2.7 * np.cos(0.3) + 0.161])
    assert camera[:3, 0] == pytest.approx([np.cos(0.3), 0, np.sin(0.3)])
    assert camera[:3, 1] == pytest.approx([0, -1, 0])
    assert camera[:3, 2] == pytest.approx([np.sin(0.3), 0, -np.cos(0.3)])
    assert angles(label(camera, intrinsics()))[0] == pytest.approx(-0.3)


def test_eg3ds_focal_length_is_that_of_the_networks_crop():
    assert pytest.approx(intrinsics()[0, 0], abs=1e-4) == FOCAL * (300 / STANDARD_SCALE) / 700


class Fixed(torch.nn.Module):
    """A network that always answers the same pose."""

    def __init__(self, pose: np.ndarray, translation: np.ndarray) -> None:
        super().__init__()
        self.pose, self.translation = pose, translation

    def forward(self, crops: torch.Tensor) -> Coefficients:
        turned, moved = (torch.tensor(values).expand(len(crops), 3) for values in (self.pose, self.translation))
        nothing = torch.zeros(len(crops), 1)
        return Coefficients(nothing, nothing, nothing, turned, nothing, moved)


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Deep3dCameras:
    return Deep3dCameras(*write_deep3d(tmp_path_factory.mktemp("deep3d")))


def seen(pose: np.ndarray, translation: np.ndarray, side: int) -> np.ndarray:
    """Landmarks [478, 3] in a picture of ``side`` pixels of the reference face in this pose."""
    camera = label(cam2world(pose, translation), intrinsics())
    return np.pad(project(reference_world(), camera) * side, ((0, 0), (0, 1)))


@pytest.mark.parametrize(("pose", "translation"), POSES)
@pytest.mark.parametrize("layout", [MESH, IBUG])
def test_in_eg3ds_own_crop_the_camera_is_eg3ds(finder: Deep3dCameras, pose, translation, layout):
    """A window laid as EG3D lays it about the landmarks has EG3D's camera, but for the whole pixels of both crops."""
    side = 2100
    landmarks = seen(pose, translation, side) if layout is MESH else as_ibug(seen(pose, translation, side))
    crop = placed((side, side), layout.five_points(landmarks)[:, :2], finder._standard)
    per_pixel = side / crop.wide  # of the picture, for one of the network's crop
    middle = (np.array([crop.left, crop.top]) + SIDE / 2) * per_pixel
    window = 700 / 300 * STANDARD_SCALE * per_pixel
    inside = (landmarks - (*(middle - window / 2), 0)) * (256 / window)
    finder._network = Fixed(pose, translation)
    (found,) = finder([noise(256)], [inside], [intrinsics()])
    assert found is not None
    expected = cam2world(pose, translation)
    turned = Rotation.from_matrix(expected[:3, :3].T @ split_label(found[0])[0][:3, :3]).magnitude()
    assert np.degrees(turned) < 0.5
    assert split_label(found[0])[0][:3, 3] == pytest.approx(expected[:3, 3], abs=0.03)


def test_a_window_of_another_size_and_place_sees_the_head_where_the_network_does(finder: Deep3dCameras):
    finder._network = Fixed(*POSES[1])
    landmarks = seen(*POSES[0], 256) * 0.8 + (40, 10, 0)
    place = placed((256, 256), MESH.five_points(landmarks)[:, :2], finder._standard)
    (found,) = finder([noise(256)], [landmarks], [intrinsics()])
    assert found is not None
    exact = project(reference_world(), label(cam2world(*POSES[1]), place.intrinsics())) * 256
    apart = np.linalg.norm(project(reference_world(), found[0]) * 256 - exact, axis=1)
    assert np.median(apart) < 0.6
    assert found[0][16:].reshape(3, 3) == pytest.approx(intrinsics())


def test_batches_and_faces_that_cannot_be_cropped(tmp_path):
    finder = Deep3dCameras(*write_deep3d(tmp_path))
    face = np.pad(reference_face()[:, :2] * (110, -110) + 128, ((0, 0), (0, 1)))
    away = face + np.array([100_000, 0, 0])
    windows, matrices = [noise(256, seed) for seed in range(3)], [intrinsics()] * 3
    first, none, third = finder(windows, [face, away, face], matrices)
    assert none is None and first is not None and third is not None
    (alone,) = finder(windows[2:], [face], matrices[2:])
    assert alone is not None and np.allclose(alone[0], third[0], atol=1e-4)
    assert not np.allclose(first[0], third[0], atol=1e-6)
    assert finder.name.startswith("deep3dfacerecon epoch_20.pth:")


def test_the_crops_place_gives_its_intrinsics():
    matrix = Place(wide=400, high=300, left=50, top=20).intrinsics()
    assert matrix[:2, 2] == pytest.approx([(50 + 112) / 400, (20 + 112) / 300])
    assert matrix[[0, 1], [0, 1]] == pytest.approx([1015 / 400, 1015 / 300])
