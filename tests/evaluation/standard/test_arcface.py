"""ArcFace's reader on a tiny ONNX network of the published layout: the mean colour of the face, spread over 512."""

import zipfile

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from evaluation.metrics.choice import BUFFALO
from evaluation.metrics.standard.arcface import TEMPLATE, W600K, ArcFace, aligned
from evaluation.metrics.standard.mtcnn import POINTS
from preprocessing.cli import InputError
from tests.evaluation.layouts import MIXING, onnx


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("arcface") / W600K
    path.write_bytes(onnx(MIXING))
    return path


@pytest.fixture(scope="module")
def reader(network, mtcnn):
    return ArcFace(network, mtcnn)


def test_the_face_is_aligned_as_insightface_does(face, mtcnn):
    points = mtcnn([face])[0][POINTS]
    fit = SimilarityTransform()
    assert fit.estimate(points, TEMPLATE)
    expected = cv2.warpAffine(face, fit.params[:2], (112, 112), borderValue=0.0)
    assert np.abs(aligned(face, points).astype(int) - expected).max() <= 1


def test_aligned_points_lie_on_the_template():
    canvas = np.zeros((200, 200, 3), np.uint8)
    dots = TEMPLATE @ np.array([[0, 1.5], [-1.5, 0]]) + (190, 10)  # a quarter turn
    for x, y in np.rint(dots).astype(int):
        canvas[y - 1 : y + 2, x - 1 : x + 2] = 255
    chip = aligned(canvas, dots)
    for x, y in np.rint(TEMPLATE).astype(int):
        assert chip[y, x, 0] > 150
    assert chip.mean() < 3


def test_embeddings_see_standardised_rgb_and_keep_their_order(reader, mtcnn, face, turned, empty):
    pictures = [face, empty, turned(10)]
    readings = reader(pictures)
    assert readings[1] is None and reader([]) == []
    for i in (0, 2):
        chip = aligned(pictures[i], mtcnn([pictures[i]])[0][POINTS])
        colour = (chip.astype(np.float64).mean(axis=(0, 1)) - 127.5) / 127.5
        np.testing.assert_allclose(readings[i], colour @ MIXING, atol=1e-4)
    np.testing.assert_array_equal(reader(pictures)[2], readings[2])


def test_the_pack_holds_the_network_too(network, reader, mtcnn, face, tmp_path):
    path = tmp_path / BUFFALO
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("det_10g.onnx", b"something else")
        pack.writestr(f"buffalo_l/{W600K}", network.read_bytes())
    np.testing.assert_array_equal(ArcFace(path, mtcnn)([face])[0], reader([face])[0])


def test_other_files_are_refused(network, mtcnn, tmp_path):
    path = tmp_path / W600K
    with pytest.raises(InputError, match=W600K):
        ArcFace(path, mtcnn)
    for data in (b"", network.read_bytes()[:3000], onnx(MIXING[:, :128]), onnx(MIXING, side=224)):
        path.write_bytes(data)
        with pytest.raises(InputError, match=W600K):
            ArcFace(path, mtcnn)


def test_other_packs_are_refused(network, mtcnn, tmp_path):
    path = tmp_path / BUFFALO
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("det_10g.onnx", b"something else")
    with pytest.raises(InputError, match=f"{BUFFALO} holds no {W600K}"):
        ArcFace(path, mtcnn)
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr(W600K, network.read_bytes())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=BUFFALO):
        ArcFace(path, mtcnn)
