"""BiSeNet with random weights of the published layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preprocessing.cli import InputError
from preprocessing.detectors.backends import View
from preprocessing.detectors.bisenet import DEVIATION, MEAN, SIDE, BiSeNet, FaceParser
from preprocessing.detectors.regions import BACKGROUND, EYES, FACE, HAIR, MOUTH, PARTS, TORSO, ParsedRegions
from preprocessing.window import cut_box
from tests.preprocessing.layouts import noise, write_bisenet


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bisenet(tmp_path_factory.mktemp("bisenet"))


def test_the_layout_is_the_published_one(weights: Path):
    names = set(torch.load(weights, weights_only=True))
    assert {
        "cp.resnet.conv1.weight",
        "cp.resnet.layer4.0.downsample.1.running_var",
        "cp.arm16.conv_atten.weight",
        "cp.arm32.bn_atten.bias",
        "cp.conv_head16.conv.weight",
        "cp.conv_avg.bn.weight",
        "ffm.convblk.conv.weight",
        "ffm.conv2.weight",
        "conv_out.conv.bn.weight",
        "conv_out16.conv_out.weight",
        "conv_out32.conv_out.weight",
    } <= names
    assert not any(name.startswith("cp.resnet.fc") for name in names)


def test_classes_are_those_of_the_scores_at_512(weights: Path):
    picture = noise(SIDE // 4)
    network = BiSeNet().eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    large = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) / 255
    with torch.inference_mode():
        normalised = torch.tensor((large - MEAN) / DEVIATION).permute(2, 0, 1)[None].float()
        scores = network(normalised)[0].numpy()
    quarter = scores.reshape(19, SIDE // 4, 4, SIDE // 4, 4).mean((2, 4))
    (found,) = FaceParser(weights)([picture])
    assert found.dtype == np.uint8 and found.shape == picture.shape[:2]
    assert len(np.unique(found)) > 1
    assert (found == quarter.argmax(0)).mean() > 0.999


def test_nineteen_classes_become_six_labels():
    assert len(PARTS) == 19
    parts = {label: np.flatnonzero(label == PARTS).tolist() for label in range(7)}
    assert parts[BACKGROUND] == [0]
    assert parts[FACE] == [1, 2, 3, 6, 7, 8, 9, 10]
    assert parts[EYES] == [4, 5] and parts[MOUTH] == [11, 12, 13]
    assert parts[TORSO] == [14, 15, 16] and parts[HAIR] == [17, 18]


def test_regions_are_of_the_window(weights: Path):
    frame, box = noise(80, 1, wide=120), (30.0, 5.0, 94.0, 69.0)
    parse = ParsedRegions(weights)
    (mask,) = parse([View(frame, box, np.zeros((68, 3)))], 64)
    (classes,) = FaceParser(weights)([cut_box(frame, box, 64)])
    assert np.array_equal(mask, PARTS[classes])
    assert parse.name.startswith("face-parsing-bisenet 79999_iter.pth:")


def test_another_file_is_refused(weights: Path, tmp_path: Path):
    state = torch.load(weights, weights_only=True)
    del state["ffm.conv1.weight"]
    torch.save(state, tmp_path / "79999_iter.pth")
    with pytest.raises(InputError, match=r"79999_iter\.pth are not face-parsing.*BiSeNet: .*ffm\.conv1\.weight"):
        FaceParser(tmp_path / "79999_iter.pth")
