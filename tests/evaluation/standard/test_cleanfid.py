"""clean-fid's features from a small TorchScript network that is called as NVIDIA's Inception is."""

import cv2
import numpy as np
import pytest
import torch
from cleanfid.features import InceptionV3W
from cleanfid.utils import ResizeDataset
from PIL import Image
from torch import nn

from evaluation.metrics.choice import CLEAN_INCEPTION
from evaluation.metrics.standard.cleanfid import CleanFid
from preprocessing.cli import InputError
from tests.evaluation.layouts import write_clean_fid


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_clean_fid(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="module")
def reader(network):
    return CleanFid(network)


def test_features_are_those_of_the_package(reader, network, face, empty, tmp_path):
    pictures = [face, empty]
    files = [tmp_path / f"{i}.png" for i in range(2)]
    for path, picture in zip(files, pictures, strict=True):
        Image.fromarray(picture).save(path)
    theirs = InceptionV3W(str(network.parent), download=False)
    for reading, picture in zip(reader(pictures), ResizeDataset(files, "clean"), strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(reading, theirs(picture[None])[0].numpy(), atol=1e-5)


def test_a_batch_keeps_its_order_and_mixes_sizes(reader, face, empty):
    readings = reader([face, empty, face])
    assert [reading.shape for reading in readings] == [(2048,)] * 3 and reader([]) == []
    np.testing.assert_allclose(readings[0], readings[2], atol=1e-6)
    np.testing.assert_allclose(reader([empty])[0], readings[1], atol=1e-6)
    assert not np.allclose(readings[0], readings[1])


def test_shrinking_is_antialiased(reader):
    """Stripes of one pixel become an even grey."""
    stripes = np.zeros((1196, 1196, 3), np.uint8)
    stripes[:, ::2] = 255
    grey = np.full_like(stripes, 127)
    aliased = cv2.resize(stripes, (299, 299), interpolation=cv2.INTER_NEAREST)
    even, fine, coarse = reader([grey, stripes, aliased])
    assert np.linalg.norm(fine - even) < 0.1 * np.linalg.norm(coarse - even)


def test_other_files_are_refused(network, tmp_path):
    path = tmp_path / CLEAN_INCEPTION
    with pytest.raises(InputError, match=CLEAN_INCEPTION):
        CleanFid(path)
    path.write_bytes(network.read_bytes()[:5000])
    with pytest.raises(InputError, match=CLEAN_INCEPTION):
        CleanFid(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=CLEAN_INCEPTION):
        CleanFid(path)
    torch.jit.script(nn.ReLU()).save(str(path))
    with pytest.raises(InputError, match=CLEAN_INCEPTION):
        CleanFid(path)
    write_clean_fid(tmp_path, size=64)
    with pytest.raises(InputError, match=CLEAN_INCEPTION):
        CleanFid(path)
    renamed = path.rename(tmp_path / "network.pt")
    with pytest.raises(InputError, match=r"not network\.pt"):
        CleanFid(renamed)
