"""Identity shapes from random weights of Deep3DFaceRecon's layout and a small random morphable model."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from evaluation.metrics.choice import BFM
from evaluation.metrics.standard.deep3d import Deep3d
from evaluation.metrics.standard.mtcnn import POINTS
from preprocessing.cli import InputError
from preprocessing.detectors.deep3dfacerecon import CoefficientNetwork, aligned, load_standard_face
from tests.evaluation.layouts import VERTICES, write_deep3d


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Network, morphable model and landmarks as a user has them, and the model's arrays."""
    return write_deep3d(tmp_path_factory.mktemp("deep3d"))


@pytest.fixture(scope="module")
def reader(files, mtcnn):
    return Deep3d(*files[:3], detector=mtcnn)


def test_shapes_are_the_mean_and_the_basis_times_the_coefficients(reader, files, mtcnn, face, turned, empty):
    network, _, landmarks, model = files
    reference = CoefficientNetwork().eval()
    reference.load_state_dict(torch.load(network, weights_only=True)["net_recon"])
    pictures = [turned(0), empty, face]
    shapes = reader(pictures)
    assert shapes[1] is None and reader([empty]) == [None] and reader([]) == []
    mean, basis = model["meanshape"].reshape(VERTICES, 3), model["idBase"].reshape(VERTICES, 3, 80)
    for i in (0, 2):
        crop = aligned(pictures[i], mtcnn([pictures[i]])[0][POINTS], load_standard_face(landmarks))
        with torch.inference_mode():
            coefficients = reference(torch.from_numpy(crop).permute(2, 0, 1)[None] / 255).identity[0].double().numpy()
        expected = mean - mean.mean(axis=0) + basis @ coefficients
        np.testing.assert_allclose(shapes[i], expected, atol=1e-4)
    np.testing.assert_array_equal(reader(pictures)[2], shapes[2])


def test_other_models_are_refused(files, tmp_path, mtcnn):
    network, _, landmarks, model = files
    path = tmp_path / BFM
    faults = (
        ({"shapeMU": model["meanshape"]}, "meanshape"),
        (model | {"idBase": np.zeros((3 * VERTICES, 199))}, "idBase"),
        (model | {"idBase": np.zeros((3 * VERTICES - 3, 80))}, "not three each"),
    )
    for matrices, named in faults:
        savemat(path, matrices)
        with pytest.raises(InputError, match=f"{BFM}.*{named}"):
            Deep3d(network, path, landmarks, detector=mtcnn)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=BFM):
        Deep3d(network, path, landmarks, detector=mtcnn)
