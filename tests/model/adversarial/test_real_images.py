"""Folders and zips in EG3D's layout: what is read, what is refused, and that batches are deterministic."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.adversarial.real_images import RealImages
from preprocessing.cameras import FFHQ_FOCAL, angles, from_pose, intrinsics, label
from preprocessing.cli import InputError

SIDE = 16


def camera(yaw: float) -> np.ndarray:
    rotation = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    pose = np.diag([1.0, -1.0, -1.0]) @ rotation.T
    return label(from_pose(pose, np.array([0, 0, 2.7])), intrinsics(FFHQ_FOCAL))


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    return stream.getvalue()


def picture(index: int) -> np.ndarray:
    """Red is the image's number, green brightens to the right."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[..., 0] = 20 * index
    pixels[..., 1] = np.arange(SIDE) * 16
    return pixels


def write(folder: Path, count: int = 6, labels: object = None) -> Path:
    (folder / "00000").mkdir(parents=True)
    entries = []
    for i in range(count):
        name = f"00000/img{i:08d}.png"
        (folder / name).write_bytes(png(picture(i)))
        entries.append([name, camera(0.1 * i).tolist()])
    (folder / "dataset.json").write_text(json.dumps({"labels": entries} if labels is None else labels))
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path / "real")


def zipped(folder: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def red(batch) -> list[int]:
    """The numbers of the images, from their pixels."""
    return [round((value.item() + 1) * 127.5 / 20) for value in batch.images[:, 0, 0, 0]]


def test_images_and_cameras_belong_together(folder):
    batch = RealImages(folder, SIDE).batch(6, seed=0, step=1)
    assert sorted(red(batch)) == list(range(6)), "no image twice while there are others"
    assert batch.images.dtype == batch.cameras.dtype == torch.float32
    yaw = angles(batch.cameras.numpy())[:, 0]
    mirrored = np.array([name.endswith("(mirrored)") for name in batch.names])
    assert 0 < mirrored.sum() < 6
    np.testing.assert_allclose(yaw, np.array(red(batch)) * np.where(mirrored, -0.1, 0.1), atol=1e-5)
    brighter_right = (batch.images[:, 1, 0, -1] > batch.images[:, 1, 0, 0]).numpy()
    np.testing.assert_array_equal(brighter_right, ~mirrored)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_gives_what_its_folder_gives(folder, compression):
    a, b = RealImages(folder, 8), RealImages(zipped(folder, compression), 8)
    for step in range(3):
        first, second = a.batch(4, 1, step), b.batch(4, 1, step)
        torch.testing.assert_close(first.images, second.images)
        torch.testing.assert_close(first.cameras, second.cameras)
    assert first.images.shape == (4, 3, 8, 8)


def test_batches_are_functions_of_seed_step_and_rank(folder):
    images, other = RealImages(folder, SIDE), RealImages(folder, SIDE)
    other.batch(3, 5, 9)
    torch.testing.assert_close(images.batch(3, 5, 2, 1).images, other.batch(3, 5, 2, 1).images)
    drawn = {tuple(images.batch(6, *key).names) for key in ((5, 2, 1), (5, 2, 0), (5, 3, 1), (6, 2, 1))}
    assert len(drawn) == 4
    assert len(images.batch(20, 0, 0).names) == 20
    assert not any("mirrored" in name for name in RealImages(folder, SIDE, mirror=False).batch(20, 0, 0).names)


def test_transparent_pixels_become_black(folder):
    pixels = np.dstack([np.full((SIDE, SIDE, 3), 200, np.uint8), np.zeros((SIDE, SIDE), np.uint8)])
    pixels[4:8, 4:8, 3] = 255
    pixels[10, 10, 3] = 128
    (folder / "alpha.png").write_bytes(png(pixels))
    (folder / "dataset.json").write_text(json.dumps({"labels": [["alpha.png", camera(0).tolist()]]}))
    image = RealImages(folder, SIDE, mirror=False).batch(1, 0, 0).images[0]
    levels = ((image + 1) * 127.5).round()
    assert levels[:, 0, 0].tolist() == [0, 0, 0] and levels[:, 5, 5].tolist() == [200, 200, 200]
    assert levels[:, 10, 10].tolist() == [100, 100, 100]


LABEL = camera(0).tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"labels": [["00000/absent.png", LABEL]]}, "lists 00000/absent.png, which is missing"),
        ({"labels": [["00000/img00000000.png", LABEL[:24]]]}, "gives 00000/img00000000.png 24 numbers"),
        ({"labels": [["00000/img00000000.png", 3]]}, "gives 00000/img00000000.png no numbers"),
        ({"labels": [["00000/img00000000.png", [*LABEL[:24], float("nan")]]]}, "25 finite numbers"),
        ({"labels": [["00000/img00000000.png", [*LABEL[:24], "1"]]]}, "25 finite numbers"),
        ({"labels": [["../secret.png", LABEL]]}, "'../secret.png', which is not inside"),
        ({"labels": [["/etc/passwd", LABEL]]}, "'/etc/passwd', which is not inside"),
        ({"labels": ["00000/img00000000.png"]}, r"must list \[name, 25 numbers\]"),
        ({"labels": None}, "must hold 'labels'"),
        ({"labels": []}, "must hold 'labels'"),
        ([], "must hold 'labels'"),
    ],
)
@pytest.mark.parametrize("as_zip", [False, True])
def test_wrong_labels_are_one_sentence(tmp_path, labels, message, as_zip):
    path = write(tmp_path / "real", 1, labels)
    with pytest.raises(InputError, match=message) as caught:
        RealImages(zipped(path) if as_zip else path, SIDE)
    assert str(path.with_suffix("")) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("as_zip", [False, True])
def test_missing_or_damaged_label_files(folder, as_zip):
    (folder / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read dataset.json"):
        RealImages(zipped(folder) if as_zip else folder, SIDE)
    (folder / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"dataset.json is missing"):
        RealImages(zipped(folder) if as_zip else folder, SIDE)


def test_what_is_no_picture_is_named(folder):
    name = "00000/img00000002.png"
    (folder / name).write_bytes(b"not a picture")
    with pytest.raises(InputError, match=f"cannot read the image {name}"):
        RealImages(folder, SIDE)
    (folder / name).write_bytes(png(np.zeros((4, 5, 3), np.uint8)))
    with pytest.raises(InputError, match=f"{name} is 5 × 4, not square"):
        RealImages(folder, SIDE)


def test_damaged_pixels_are_one_sentence_when_they_are_needed(folder):
    name = "00000/img00000002.png"
    rng = np.random.default_rng(0)
    whole = png(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    (folder / name).write_bytes(whole[: len(whole) // 2])
    images = RealImages(folder, SIDE)
    with pytest.raises(InputError, match=f"cannot read the image {name}"):
        images.batch(6, 0, 0)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"cannot read the image {name}"):
        images.batch(6, 0, 0)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_of_a_zip_is_one_sentence(folder, compression):
    path = zipped(folder, compression)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("00000/img00000002.png")
    start = entry.header_offset + 30 + len(entry.filename)
    data[start + 60 : start + entry.compress_size] = b"\xff" * (entry.compress_size - 60)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot read the image 00000/img00000002\.png"):
        RealImages(path, SIDE).batch(6, 0, 0)


def test_paths_that_are_no_set_of_images(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        RealImages(tmp_path / "absent", SIDE)
    (tmp_path / "file.zip").write_text("text")
    with pytest.raises(InputError, match="neither a folder"):
        RealImages(tmp_path / "file.zip", SIDE)
