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


PROJECTS = ("chain", "small", "named")
"""Fixtures that run Snakemake for a minute or more, once in the process that asks for them."""

RUNS = ("tests/workflow/", "tests/faults/")
"""Folders of the tests that run Snakemake."""

LONGEST = ("chain", "small", "named", "tests/workflow/test_bad_input.py", "tests/workflow/test_planning.py")
"""The groups that take minutes, the longest first: processes take groups in the order of collection."""


def group_of(item: pytest.Item) -> str:
    """The project that a test shares, or its file: what stays in one process."""
    file = item.nodeid.partition("::")[0]
    shared = (name for name in PROJECTS if name in getattr(item, "fixturenames", ()) and file.startswith(RUNS))
    return next(shared, file)


def _rank(item: pytest.Item) -> int:
    """When a test's turn is: those of the longest groups, those that run Snakemake, the others."""
    group = group_of(item)
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + (not group.startswith(RUNS))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file, and those that share a project, stay in one process; the longest groups begin first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=_rank)


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
