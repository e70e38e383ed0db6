"""Registered weights: where they lie, how they are checked, and the real loaders on small random ones."""

import functools
import http.server
import threading

import lpips
import numpy as np
import pytest
import torch
import torchvision
from pytorch_fid import inception

from evaluation.measure import Sample, measured
from evaluation.metrics import weights
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import ALEXNET, INCEPTION, Choice
from evaluation.metrics.perceptual import Inception, Lpips
from preprocessing.cli import InputError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("alexnet") / ALEXNET
    network = torchvision.models.alexnet(weights=None).features
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, path)
    return path, network


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / INCEPTION
    with pytest.MonkeyPatch.context() as patch:
        # Weights of the right shapes without a download: the freshly initialised network is its own state.
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = inception.fid_inception_v3()
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    return path


def pictures(*shape):
    generator = np.random.default_rng(3)
    return [generator.integers(0, 255, shape, dtype=np.uint8) for _ in range(2)]


def test_the_registry_names_both_files():
    entries = weights.registry()
    assert {ALEXNET, INCEPTION} <= set(entries)
    for entry in entries.values():
        assert entry.url.endswith(entry.name) and entry.licence and entry.used_by
        assert len(entry.sha256) == 64 or entry.sha256.startswith("prefix:")


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("PLANEDICT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache_root() == tmp_path / "planedict"
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "mine"))
    assert weights.cache_root() == tmp_path / "mine"


def test_absent_and_wrong_files_have_their_reason(cache):
    assert "not in the cache" in weights.missing(ALEXNET)
    (cache / ALEXNET).write_bytes(b"something else")
    assert "sha256" in weights.missing(ALEXNET)
    assert "sha256" in Choice("auto").backend(METRICS["lpips"])[1]


def test_a_malformed_registry_is_refused(tmp_path):
    path = tmp_path / "weights.tsv"
    path.write_text("name\turl\nx\ty\n")
    with pytest.raises(InputError, match="sha256"):
        weights.registry(path)


@pytest.fixture
def server(tmp_path):
    """A local web server over a folder."""
    root = tmp_path / "served"
    root.mkdir()
    handler = functools.partial(QuietHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def entry(url, digest, gated=False):
    return weights.Weights("small.pth", f"{url}/small.pth", digest, None, "MIT", gated, "a test")


def test_weights_are_fetched_checked_and_loaded(cache, server):
    root, url = server
    torch.save({"w": torch.arange(3.0)}, root / "small.pth")
    digest = weights.sha256(root / "small.pth")
    path = weights.fetch(entry(url, digest))
    assert path == cache / "small.pth" and torch.equal(weights.load(path)["w"], torch.arange(3.0))
    assert weights.fetch(entry(url, f"prefix:{digest[:8]}")) == path


@pytest.mark.parametrize("fault", ["hash", "absent", "gated", "scheme"])
def test_a_wrong_download_leaves_nothing_behind(cache, server, fault):
    root, url = server
    if fault != "absent":
        (root / "small.pth").write_bytes(b"weights")
    bad = entry("nonsense" if fault == "scheme" else url, "f" * 64, gated=fault == "gated")
    with pytest.raises(InputError, match=r"small\.pth"):
        weights.fetch(bad)
    assert list(cache.iterdir()) == []


def test_the_command_lists_what_is_missing(cache, capsys):
    weights.main([])
    printed = capsys.readouterr().out
    assert ALEXNET in printed and INCEPTION in printed and printed.count("not in the cache") == len(weights.registry())


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


def test_present_weights_are_used(cache, alexnet, monkeypatch):
    (cache / ALEXNET).write_bytes(alexnet[0].read_bytes())
    entry = weights.registry()[ALEXNET]
    digest = weights.digest(entry.path)
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


def test_foreign_files_cannot_run_code(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"x": pytest.approx}, path)
    with pytest.raises(InputError, match=r"evil\.pth"):
        weights.load(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="list"):
        weights.load(path)
