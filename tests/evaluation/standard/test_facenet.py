"""facenet-pytorch's readers: MTCNN's real weights, random ones of InceptionResnetV1's published layout."""

import cv2
import facenet_pytorch
import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.metrics.choice import VGGFACE2
from evaluation.metrics.faces import FaceReader
from evaluation.metrics.standard.facenet import Facenet, crop
from evaluation.metrics.standard.mtcnn import BOX, POINTS
from preprocessing.cli import InputError
from tests.evaluation.layouts import write_facenet

MESH_POINTS = ((33, 133), (263, 362), (1,), (61,), (291,))  # FaceMesh's eyes, nose and mouth


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return facenet_pytorch.InceptionResnetV1(pretrained=None).eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    return write_facenet(tmp_path_factory.mktemp("facenet"), network)


@pytest.fixture(scope="module")
def reader(weights, mtcnn):
    return Facenet(weights, detector=mtcnn)


def test_the_five_points_are_those_of_facemesh(mtcnn, face):
    (found,) = mtcnn([face])
    landmarks = FaceReader().read(face).landmarks[:, :2]
    expected = np.array([landmarks[list(group)].mean(axis=0) for group in MESH_POINTS])
    assert found.shape == (7, 2)
    np.testing.assert_allclose(found[POINTS], expected, atol=8)
    low, high = found[BOX]
    assert np.all(low < expected.min(axis=0)) and np.all(high > expected.max(axis=0))


def test_the_largest_of_two_faces_is_read(mtcnn, face):
    beside = np.zeros((256, 400, 3), np.uint8)
    beside[:, :256], beside[60:188, 264:392] = face, cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA)
    (alone,), (together,) = mtcnn([face]), mtcnn([beside])
    np.testing.assert_allclose(together[POINTS], alone[POINTS], atol=3)


def test_pictures_without_a_face_have_none(mtcnn, empty):
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    assert mtcnn([empty, noise, np.zeros((12, 300, 3), np.uint8)]) == [None] * 3
    assert mtcnn([]) == []


def test_the_crop_is_the_packages_own(mtcnn, face):
    theirs = facenet_pytorch.MTCNN(image_size=256, margin=0)(Image.fromarray(face))
    assert torch.equal(crop(face, mtcnn([face])[0]), theirs)


def test_a_box_beside_the_picture_has_no_crop(face):
    outside = np.vstack([[[-40.0, 10.0], [-2.0, 60.0]], np.zeros((5, 2))])
    assert crop(face, outside) is None


def test_embeddings_are_the_networks_and_keep_their_order(reader, network, mtcnn, face, turned, empty):
    rolled = turned(10)
    readings = reader([face, empty, rolled])
    assert readings[1] is None and not np.allclose(readings[0], readings[2])
    with torch.inference_mode():
        for picture, reading in ((face, readings[0]), (rolled, readings[2])):
            expected = network(crop(picture, mtcnn([picture])[0])[None])[0].numpy()
            np.testing.assert_allclose(reading, expected, atol=1e-5)
            assert np.linalg.norm(reading) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(reader([face, empty, rolled])[0], readings[0])
    assert reader([empty]) == [None] and reader([]) == []


@pytest.mark.parametrize("fault", ["another network", "another width", "nested", "truncated", "absent"])
def test_other_files_are_refused(weights, tmp_path, fault):
    path = tmp_path / VGGFACE2
    state = torch.load(weights, weights_only=True)
    match fault:
        case "another network":
            torch.save({"features.0.weight": torch.zeros(1)}, path)
        case "another width":
            torch.save(state | {"last_linear.weight": torch.zeros(128, 1792)}, path)
        case "nested":
            torch.save({"state_dict": state}, path)
        case "truncated":
            path.write_bytes(weights.read_bytes()[:500_000])
    with pytest.raises(InputError, match=VGGFACE2):
        Facenet(path)
