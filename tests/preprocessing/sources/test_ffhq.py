"""Photos with EG3D's cameras."""

import json
from pathlib import Path

import pytest

from preprocessing.cli import InputError
from preprocessing.settings import FFHQSettings
from preprocessing.sources.ffhq import FFHQSource
from tests.preprocessing.lists_of_clips import write

CAMERA = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2.7, 0, 0, 0, 1, 4.26, 0, 0.5, 0, 4.26, 0.5, 0, 0, 1]


def source(folder: Path, labels: object) -> FFHQSource:
    write(folder / "dataset.json", json.dumps({"labels": labels}))
    return FFHQSource(FFHQSettings(kind="ffhq", path=folder))


def test_every_image_and_every_label_is_a_row(tmp_path: Path) -> None:
    for name in ("00000/a.png", "00000/b.png", "c.jpg", "00000/alone.png"):
        write(tmp_path / name, "x")
    labels = [
        ["00000/a.png", CAMERA],
        ["00000\\b.png", CAMERA],
        ["00000/a.png", CAMERA],
        ["c.jpg", CAMERA[:24]],
        ["gone.png", CAMERA],
        ["../../etc/x.png", CAMERA],
        ["c.jpg", [*CAMERA[:24], "1"]],
        "c.jpg",
    ]
    found = source(tmp_path, labels).entries()
    assert [(entry.file, entry.reason) for entry in found] == [
        ("00000/a.png", ""),
        ("00000/b.png", ""),
        ("00000/a.png", "duplicate"),
        ("c.jpg", "bad-row"),
        ("gone.png", "missing"),
        ("../../etc/x.png", "bad-row"),
        ("c.jpg", "bad-row"),
        ("c.jpg", "bad-row"),
        ("00000/alone.png", "no-camera"),
    ]
    assert found[3].detail == "the camera is not 25 finite numbers but 24 values"
    assert len({entry.clip for entry in found}) == len(found)


def test_a_right_camera_after_a_wrong_one_is_used(tmp_path: Path) -> None:
    write(tmp_path / "a.png", "x")
    found = source(tmp_path, [["a.png", CAMERA[:24]], ["a.png", CAMERA], ["a.png", CAMERA]]).entries()
    assert [entry.reason for entry in found] == ["bad-row", "", "duplicate"]


@pytest.mark.parametrize("content", ["{", "[]", '{"labels": null}', '{"labels": []}', "\x00"])
def test_a_file_that_is_no_dataset_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=r"dataset\.json"):
        FFHQSource(FFHQSettings(kind="ffhq", path=tmp_path)).entries()
    with pytest.raises(InputError, match="is not a folder of photos"):
        FFHQSource(FFHQSettings(kind="ffhq", path=tmp_path / "x"))
