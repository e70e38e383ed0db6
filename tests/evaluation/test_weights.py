"""The backends of registered weights, loaded from small random ones of the real layout."""

import lpips
import numpy as np
import pytest
import torch
import torchvision

from evaluation.measure import Sample, measured
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import ALEXNET, Choice
from evaluation.metrics.perceptual import Inception, Lpips
from preprocessing import weights
from preprocessing.cli import InputError
from preprocessing.registered import digest as digest_of
from tests.evaluation.layouts import write_alexnet, write_inception


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory):
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None).features
    return write_alexnet(tmp_path_factory.mktemp("alexnet"), network), network


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    return write_inception(tmp_path_factory.mktemp("inception"))


def pictures(*shape):
    generator = np.random.default_rng(3)
    return [generator.integers(0, 255, shape, dtype=np.uint8) for _ in range(2)]


def test_weights_that_are_not_there_or_wrong_are_the_reason(cache):
    assert "not in the cache" in Choice("auto").backend(METRICS["lpips"])[1]
    (cache / ALEXNET).write_bytes(b"something else")
    assert "sha256" in Choice("auto").backend(METRICS["lpips"])[1]


def test_lpips_equals_its_package_on_the_same_backbone(alexnet):
    path, network = alexnet
    a, b = pictures(64, 64, 3)
    mine = Lpips(path)
    reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    layers = [layer for layer in network if isinstance(layer, torch.nn.Conv2d)]
    theirs = [layer for layer in reference.net.modules() if isinstance(layer, torch.nn.Conv2d)]
    for target, source in zip(theirs, layers, strict=True):
        target.load_state_dict(source.state_dict())
    with torch.inference_mode():
        x, y = (torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in (a, b))
        assert mine([a], [b])[0] == pytest.approx(float(reference(x, y)), rel=1e-4)
    assert mine([a, a], [a, b])[0] == 0 < mine([a, a], [a, b])[1]


def test_pictures_too_small_for_lpips_are_left_out_of_a_batch(alexnet):
    lpips_of, sides = Lpips(alexnet[0]), (30, 31, 40)
    small, least, large = lpips_of(*([pictures(side, side, 3)[i] for side in sides] for i in range(2)))
    assert small == "LPIPS needs pictures of at least 31 pixels a side, got 30×30"
    assert least > 0 and large > 0


def test_present_weights_are_used(cache, alexnet, monkeypatch):
    (cache / ALEXNET).write_bytes(alexnet[0].read_bytes())
    entry = weights.registry()[ALEXNET]
    digest = digest_of(entry.path)
    monkeypatch.setitem(weights.registry(), ALEXNET, weights.Weights(ALEXNET, "", digest, None, "", False, ""))
    a, b = pictures(64, 64, 3)
    (result,) = measured(Choice(), [METRICS["lpips"]], [Sample(a, b)])
    value = result.values["lpips"]
    assert value.used and value.value > 0


def test_inception_features(inception_file):
    features = np.stack(Inception(inception_file)(pictures(40, 40, 3)))
    assert features.shape == (2, 2048) and np.isfinite(features).all()


@pytest.mark.parametrize(
    ("loader", "state"), [(Lpips, {"features.0.weight": torch.zeros(1)}), (Inception, {"a": torch.zeros(1)})]
)
def test_files_of_another_network_are_refused(tmp_path, loader, state):
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(InputError, match=r"other\.pth"):
        loader(path)
