"""Before anything imports a library that starts threads: one thread, as in every stage. Then synthetic faces."""

# ruff: noqa: E402 - the variables are of no use once a library has started its threads
import io
import os
from collections.abc import Iterator
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Plots without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from model.settings import ModelSettings
from preprocessing.cameras import FFHQ_FOCAL, from_pose, intrinsics, label
from preprocessing.reference_face import reference_world
from preprocessing.shardindex import write_index
from preprocessing.tars import dump_array, dump_json, tar_writer
from tests.model.tiny import OWN
from tests.web_server import Web, serve

SIZE = 64
FRAMES = 10


def synthetic_face(colour: tuple[int, int, int], opening: float, yaw: float) -> tuple[np.ndarray, ...]:
    """Frame, mask, camera label and landmarks of a coloured ellipse with a dark mouth, seen from ``yaw`` radians."""
    rotation = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    world = reference_world().copy()
    world[14, 1] -= 0.27 * opening
    pose = np.diag([1.0, -1.0, -1.0]) @ rotation.T
    camera = label(from_pose(pose, np.array([0, 0, 2.7])), intrinsics())
    local = world @ pose.T + np.array([0, 0, 2.7])
    landmarks = np.concatenate([(FFHQ_FOCAL * local[:, :2] / local[:, 2:] + 0.5), local[:, 2:] - 2.7], axis=1) * SIZE
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    inside = ((x - 32) / 22) ** 2 + ((y - 34) / 28) ** 2 < 1
    top, low = landmarks[13, :2], landmarks[14, :2]
    mouth = (abs(x - top[0]) < 7) & (y > top[1] - 1) & (y < low[1] + 1)
    frame = np.full((SIZE, SIZE, 3), 90, np.uint8)
    frame[inside] = colour
    frame[mouth] = (60, 10, 10)
    mask = np.where(inside, 1, 0).astype(np.uint8)
    mask[mouth] = 5
    return frame, mask, camera, landmarks.astype(np.float32)


def encoded(array: np.ndarray, kind: str) -> bytes:
    """Image bytes."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


LONGEST = (
    ("tests/workflow/test_chain.py", "tests/workflow/test_browser.py", "tests/workflow/test_killed.py"),
    ("tests/workflow/test_slurm.py", "tests/workflow/test_kubernetes.py", "tests/workflow/test_s3.py"),
    ("tests/faults/test_clocks_and_repair.py", "tests/faults/test_names.py"),
    ("tests/workflow/test_bad_input.py",),
    ("tests/workflow/test_planning.py",),
)
"""Files that take minutes, the longest first; those in one group share a project that is made once in their process."""


def group_of(nodeid: str) -> str:
    """What stays in one process: a test's file, or the files that share a project."""
    file = nodeid.partition("::")[0]
    return next((group[0] for group in LONGEST if file in group), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups begin first: processes take groups in the order of collection."""
    order = [group[0] for group in LONGEST]
    items.sort(key=lambda item: order.index(group) if (group := group_of(item.nodeid)) in order else len(order))


class ByProject(LoadScopeScheduling):
    """pytest-xdist's distribution by scope, the scope being the project that tests share."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByProject:
    """Called where tests run in several processes."""
    return ByProject(config, log)


@pytest.fixture(scope="session")
def synthetic_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data/synthetic/shards`` with one shard of four samples."""
    folder = tmp_path_factory.mktemp("data") / "synthetic" / "shards"
    folder.mkdir(parents=True)
    samples, members = [], {}
    for person, colour in (("ann", (220, 180, 150)), ("bob", (120, 90, 70))):
        for number, split in enumerate(("train", "test")):
            key, cameras, points = f"{person}_{number:02d}", [], []
            for i in range(FRAMES):
                frame, mask, camera, landmarks = synthetic_face(colour, 0.3 * (i % 5) / 4, 0.05 * (i - 5))
                members[f"{key}.{i:05d}.jpg"] = encoded(frame, "JPEG")
                members[f"{key}.{i:05d}.mask.png"] = encoded(mask, "PNG")
                cameras.append(camera)
                points.append(landmarks)
            members[f"{key}.cameras.npy"] = dump_array(np.stack(cameras))
            members[f"{key}.landmarks.npy"] = dump_array(np.stack(points))
            members[f"{key}.meta.json"] = dump_json({"key": key})
            samples.append(
                {"key": key, "clip": person, "person": person, "split": split, "frames": FRAMES, "fps": 25.0}
            )
    with tar_writer(folder / "00000.tar") as tar:
        for name, data in members.items():
            tar.add(name, data)
    write_index(folder / "00000.tar", tar, samples)
    return folder


@pytest.fixture(scope="session")
def tiny_model() -> ModelSettings:
    """A model of every part but super-resolution, small enough to run untrained in a test."""
    return ModelSettings(**OWN)


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on this machine."""
    with serve() as running:
        yield running
