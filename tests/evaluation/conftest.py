"""A face without any download (scikit-image's astronaut, public domain) and a tiny synthetic run around it."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from skimage import data

from evaluation import protocol, reenact
from evaluation.metrics.catalogue import METRICS, PROTOCOLS
from evaluation.outputs import EMPTY_SCORE, read_pairs
from evaluation.report import __main__ as report
from evaluation.report import pages, videos
from evaluation.tables import __main__ as tables
from model.checkpoints import save_weights
from model.planedict import PlaneDict
from model.settings import ModelSettings
from preprocessing.files import write_json
from preprocessing.reader import Sample


@pytest.fixture(scope="session")
def face() -> np.ndarray:
    """A frontal face [256, 256, 3], RGB."""
    return np.ascontiguousarray(cv2.resize(data.astronaut()[0:220, 110:330], (256, 256), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="session")
def turned(face: np.ndarray) -> Callable[[float], np.ndarray]:
    """The face rolled by some degrees in the picture's plane."""

    def roll(degrees: float) -> np.ndarray:
        matrix = cv2.getRotationMatrix2D((128, 128), degrees, 0.9)
        return np.ascontiguousarray(cv2.warpAffine(face, matrix, (256, 256), flags=cv2.INTER_CUBIC))

    return roll


class FakeShards:
    """Two samples of rolled faces behind the shard reader's interface."""

    def __init__(self, roll: Callable[[float], np.ndarray]) -> None:
        self.samples = [Sample(f"{name}_00", name, name, "test", 6, 25.0, "00000", "tiny") for name in ("ann", "bob")]
        self._frames = {
            key: np.stack([roll(turn + i) for i in range(6)]) for key, turn in (("ann_00", 0.0), ("bob_00", -9.0))
        }

    def frames(self, key: str, indices: Sequence[int]) -> np.ndarray:
        return self._frames[key][list(indices)]

    def masks(self, key: str, indices: Sequence[int]) -> np.ndarray:
        return np.ones((len(indices), 256, 256), np.uint8)


@pytest.fixture(scope="session")
def shards(turned: Callable[[float], np.ndarray]) -> FakeShards:
    return FakeShards(turned)


def pair_row(pair: int, source: tuple[str, int], driver: tuple[str, int], **extra: object) -> dict[str, object]:
    """One row of a pair list."""
    clips = {"ann_00": "ann", "bob_00": "bob"}
    row: dict[str, object] = {
        "pair": pair,
        "source_key": source[0],
        "source_frame": source[1],
        "driver_key": driver[0],
        "driver_frame": driver[1],
        "source_clip": clips[source[0]],
        "source_person": clips[source[0]],
        "driver_clip": clips[driver[0]],
        "driver_person": clips[driver[0]],
        "yaw": "",
        "pitch": "",
        "block": f"{clips[driver[0]]}#{driver[1] // 2}",
        "unseen": False,
    }
    return {**row, **extra}


def write_outputs(directory: Path, pictures: dict[tuple[str, int], np.ndarray]) -> Path:
    """Reenactments as re-enactment writes them: ``{motion}/{pair:05d}.png`` in a tar, and its index."""
    directory.mkdir(parents=True)
    rows = []
    with tarfile.open(directory / "frames.tar", "w") as tar:
        for (motion, pair), picture in pictures.items():
            member = tarfile.TarInfo(f"{motion}/{pair:05d}.png")
            payload = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
            member.size = len(payload)
            tar.addfile(member, io.BytesIO(payload))
            rows.append({"pair": pair, "motion": motion, "member": member.name})
    pd.DataFrame(rows, columns=["pair", "motion", "member"]).to_parquet(directory / "index.parquet")
    return directory


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., dict[str, object]]:
    return pair_row


@pytest.fixture(scope="session")
def make_outputs() -> Callable[[Path, dict[tuple[str, int], np.ndarray]], Path]:
    return write_outputs


NAMES = {"main": {"planedict": "PlaneDict"}, "ablation": {"planedict-5": "PlaneDict (5)"}}


def invented_scores(pairs: Path, index: pd.DataFrame, protocol: str, path: Path) -> None:
    """Seeded values for every pair, motion and metric that is measured on pairs; every fifth pair shows no face."""
    rows = {row["pair"]: row for row in read_pairs(pairs).to_dict("records")}
    random, found = np.random.default_rng(0), []
    for motion, pair in zip(index["motion"], index["pair"], strict=True):
        for metric in (METRICS[key] for key in PROTOCOLS[protocol] if METRICS[key].reference != "real"):
            lost = pair % 5 == 4 and metric.name not in ("SSIM", "PSNR")
            row = {**EMPTY_SCORE, "pair": pair, "motion": motion, "metric": metric.name, "backend": "invented"}
            row |= {name: rows[pair][name] for name in ("block", "source_clip", "driver_clip", "unseen")}
            row |= {"reason": "no face found in <the output>"} if lost else {"value": random.random()}
            found.append(row | {"used": not lost, "n_used": int(not lost), "n_attempted": 1})
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(found).to_parquet(path)


@pytest.fixture(scope="session")
def finished_run(synthetic_shards: Path, tiny_model: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``results/tiny`` of an untrained model, made by the chain's own commands; only the scores are invented."""
    root = tmp_path_factory.mktemp("finished") / "results" / "tiny"
    sizes = {"protocol": {"self_frames_per_clip": 5, "cross_pairs": 10, "multiview_pairs": 1}, "bootstrap_samples": 100}
    settings = json.dumps(sizes | {"report": {"videos": 2, "video_frames": 6}})
    dataset, data, weights = "synthetic", ["--shards", str(synthetic_shards)], root / "checkpoints"
    chosen = [*data, "--output", str(root / "pairs" / dataset), "--settings", settings]
    protocol.main(protocol.parser().parse_args(chosen))
    torch.manual_seed(0)
    for slug in NAMES["main"] | NAMES["ablation"]:
        save_weights(weights / slug / "final.safetensors", PlaneDict(tiny_model), {"seed": "0"})
    for slug, name in [(s, n) for s in ("copy", "planedict") for n in PROTOCOLS] + [("planedict-5", "cross")]:
        pairs, folder = root / "pairs" / dataset / f"{name}.csv", root / "reenactments" / dataset / slug / name
        checkpoint = ["--checkpoint", str(weights / slug / "final.safetensors")]
        how = ["--method", slug, *(["--resolution", "32"] if slug == "copy" else checkpoint)]
        reenact.main(reenact.parser().parse_args([*data, "--pairs", str(pairs), "--output", str(folder), *how]))
        index = pd.read_parquet(folder / "index.parquet")
        invented_scores(pairs, index, name, root / "scores" / dataset / slug / f"{name}.parquet")
    common = [*data, "--methods", json.dumps(NAMES), "--settings", settings]
    tables.main([*common, "--scores", str(root / "scores"), "--output", str(root / "tables")])
    videos.main([*common, "--checkpoints", str(weights), "--output", str(root / "videos")])
    row = {"clip": "ann", "status": "kept", "stage": "", "reason": "", "detail": ""}
    write_json(root / "dataset" / f"{dataset}.json", {"clips_in": 1, "kept": 1, "dropped": {}, "clips": [row]})
    pages.main([*common, "--results", str(root), "--output", str(root / "pages")])
    report.main(["--results", str(root), "--output", str(root / "report.html"), "--settings", settings])
    return root
