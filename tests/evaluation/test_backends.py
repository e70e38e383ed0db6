"""Every standard backend through the public command, with random weights in the published layouts."""

import json
from dataclasses import replace

import cv2
import facenet_pytorch
import numpy as np
import pytest
import torch
import torchvision

from evaluation import readings
from evaluation.metrics.backends import READERS, Remembering
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import FILES, VGGFACE2, Choice
from evaluation.pictures import digest, read_picture
from evaluation.score import main
from preprocessing import weights
from preprocessing.registered import UNVERIFIED
from tests.evaluation import layouts
from tests.evaluation.test_readings import openface_csv

OUTSIDE = {"py-feat", "openface"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Every registered file of the metrics, of random numbers; the registry knows none of their hashes."""
    root = tmp_path_factory.mktemp("cache")
    folder = root / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    layouts.write_alexnet(folder, torchvision.models.alexnet(weights=None).features)
    layouts.write_inception(folder)
    layouts.write_clean_fid(folder)
    layouts.write_facenet(folder, facenet_pytorch.InceptionResnetV1(pretrained=None).eval())
    layouts.write_buffalo(folder)
    layouts.write_deep3d(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANEDICT_CACHE", str(root))
        for files in FILES.values():
            for name in files:
                entry = replace(weights.registry()[name], sha256=UNVERIFIED, bytes=None)
                patch.setitem(weights.registry(), name, entry)
        yield root


def test_every_backend_is_known_and_can_be_built():
    for metric in METRICS.values():
        for name in metric.backends:
            assert name in READERS or name in OUTSIDE or metric.key in ("l1", "ssim", "psnr", "lpips"), name
    registered = weights.registry()
    assert all(name in registered for files in FILES.values() for name in files)


@pytest.mark.parametrize(
    ("settings", "backends"),
    [
        ({}, {"lpips": "lpips-alex", "fid": "pytorch-fid", "csim": "facenet-vggface2", "et": "gazetracking"}),
        ({"backends": {"csim": "arcface-r50", "fid": "clean-fid"}}, {"csim": "arcface-r50", "fid": "clean-fid"}),
        ({"backends": {"et_width": "gazetracking"}}, {"avd": "deep3dfacerecon-bfm09", "et_width": "gazetracking"}),
    ],
)
def test_standard_backends_measure(cache, tmp_path, turned, settings, backends):
    for folder, shift in (("generated", 3), ("target", 0), ("source", -4)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            picture = cv2.cvtColor(turned(2 * i + shift), cv2.COLOR_RGB2BGR)
            assert cv2.imwrite(str(tmp_path / folder / f"{i}.png"), picture)
    call = [f"--{name}={tmp_path / name}" for name in ("generated", "target", "source")]
    call += ["--metrics", *backends, "--backend", "standard", "--settings", json.dumps(settings)]
    main([*call, "--output", str(tmp_path / "scores.json")])
    metrics = json.loads((tmp_path / "scores.json").read_text())["metrics"]
    for key, backend in backends.items():
        assert metrics[key]["backend"] == backend and metrics[key]["n_used"] == 3, metrics[key]["reason"]
        assert np.isfinite(metrics[key]["value"])


def test_readings_made_outside_measure(cache, tmp_path, turned, monkeypatch):
    """OpenFace's files, through export, collect and the public command; other backends are as without them."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "empty"))
    call = []
    for folder, shift in (("generated", 3), ("target", 0)):
        (tmp_path / folder).mkdir()
        for i in range(2):
            picture = cv2.cvtColor(turned(2 * i + shift), cv2.COLOR_RGB2BGR)
            assert cv2.imwrite(str(tmp_path / folder / f"{i}.png"), picture)
        call += [f"--{folder}={tmp_path / folder}"]
    readings.main(["export", *call, f"--output={tmp_path / 'pictures'}"])
    exported = sorted((tmp_path / "pictures").iterdir())
    generated = {digest(read_picture(tmp_path / "generated" / f"{i}.png")) for i in range(2)}
    for path in exported:  # every generated head is turned by a tenth of a radian more, one of 18 units differs
        pose, unit = (0.1, 1) if path.stem in generated else (0.0, 0)
        openface_csv(tmp_path / "csv" / f"{path.stem}.csv", [(0, 0.9, 1, (0, 0, pose), unit)])
    collect = ["collect", "--backend=openface", f"--pictures={tmp_path / 'pictures'}", f"--csv={tmp_path / 'csv'}"]
    readings.main([*collect, f"--output={tmp_path / 'readings.parquet'}"])
    call += ["--metrics", "prmse", "aucon", "et", f"--output={tmp_path / 'scores.json'}"]
    main([*call, f"--readings={tmp_path / 'readings.parquet'}"])
    metrics = json.loads((tmp_path / "scores.json").read_text())["metrics"]
    assert metrics["prmse"]["backend"] == metrics["aucon"]["backend"] == "openface"
    assert metrics["prmse"]["value"] == pytest.approx(np.degrees(0.1) / np.sqrt(3), abs=1e-4)
    assert metrics["aucon"]["value"] == 0 and metrics["et"]["backend"] == "gazetracking"
    assert cv2.imwrite(str(tmp_path / "target" / "1.png"), cv2.cvtColor(turned(40), cv2.COLOR_RGB2BGR))
    with pytest.raises(SystemExit):
        main([*call, f"--readings={tmp_path / 'readings.parquet'}"])


def test_auto_takes_what_is_at_hand(cache, tmp_path, monkeypatch):
    assert Choice("auto").backend(METRICS["csim"]) == ("facenet-vggface2", "")
    assert Choice("auto").backend(METRICS["aucon"]) == ("AUCON-geo", "")
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    assert Choice("auto").backend(METRICS["csim"]) == ("dlib-128", "")
    assert Choice("auto", (("csim", "arcface-r50"),)).backend(METRICS["csim"])[1].startswith("weights buffalo_l.zip")


def test_auto_does_not_pass_over_a_wrong_file(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    entry = weights.registry()[VGGFACE2]
    monkeypatch.setitem(weights.registry(), VGGFACE2, replace(entry, sha256="0" * 64))
    entry.path.parent.mkdir()
    entry.path.write_bytes(b"something else")
    backend, reason = Choice("auto").backend(METRICS["csim"])
    assert backend == "facenet-vggface2" and VGGFACE2 in reason and "another sha256" in reason
    assert Choice("embedded").backend(METRICS["csim"]) == ("dlib-128", "")


def test_a_memory_of_readings_does_not_grow():
    read = []
    reader = Remembering(lambda pictures: read.extend(pictures) or [float(p[0, 0, 0]) for p in pictures], kept=3)
    pictures = [np.full((2, 2, 3), i, np.uint8) for i in range(6)]
    assert reader(pictures[:2]) == [0, 1] and reader([pictures[1], pictures[1]]) == [1, 1] and len(read) == 2
    assert reader(pictures) == [0, 1, 2, 3, 4, 5] and len(read) == 6
    assert reader(pictures[3:]) == [3, 4, 5] and len(read) == 6
    assert reader(pictures[:1]) == [0] and len(read) == 7
