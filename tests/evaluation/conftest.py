"""A face without any download (scikit-image's astronaut, public domain) and a tiny synthetic run around it."""

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage import data

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
