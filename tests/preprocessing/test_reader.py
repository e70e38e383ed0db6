"""Reading shards back, and noticing what was done to them."""

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocessing import reader as module
from preprocessing import verified
from preprocessing.cli import InputError
from preprocessing.files import sha256, write_json
from preprocessing.reader import ShardReader
from preprocessing.shardindex import sealed, write_index
from preprocessing.shards import encode_frame
from preprocessing.tars import dump_array, dump_json, tar_writer

FRAMES = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)


def mask(index: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 16), index, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_shard(folder: Path, name: str, keys: list[str]) -> Path:
    """A shard of three frames a sample."""
    with tar_writer(folder / f"{name}.tar") as writer:
        for key in keys:
            for i in range(3):
                writer.add(f"{key}.{i:05d}.jpg", encode_frame(FRAMES[i], 95))
                writer.add(f"{key}.{i:05d}.mask.png", mask(i))
            writer.add(f"{key}.cameras.npy", dump_array(np.full((3, 25), len(key), np.float32)))
            writer.add(f"{key}.landmarks.npy", dump_array(np.zeros((3, 478, 3), np.float32)))
            writer.add(f"{key}.meta.json", dump_json({"key": key}))
    samples: list[dict[str, object]] = [
        {"key": k, "clip": k[:-3], "person": "p", "split": "train", "frames": 3, "fps": 25.0} for k in keys
    ]
    tar = folder / f"{name}.tar"
    write_index(tar, writer, samples)
    return tar


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny" / "shards"
    write_shard(folder, "00000", ["a_00", "b_00"])
    write_shard(folder, "00001", ["c_00"])
    return folder


def test_samples_and_their_data(shards: Path):
    reader = ShardReader(shards)
    assert [(s.key, s.clip, s.shard, s.dataset, s.frames) for s in reader.samples] == [
        ("a_00", "a", "00000", "tiny", 3),
        ("b_00", "b", "00000", "tiny", 3),
        ("c_00", "c", "00001", "tiny", 3),
    ]
    frames = reader.frames("b_00", [2, 0])
    assert frames.shape == (2, 16, 16, 3)
    assert frames.dtype == np.uint8
    assert np.abs(frames.astype(int) - FRAMES[[2, 0]]).mean() < 8
    assert reader.masks("c_00", np.array([1, 1])).tolist() == [[[1] * 16] * 16] * 2
    assert reader.cameras("c_00").shape == (3, 25)
    assert reader.landmarks("c_00").shape == (3, 478, 3)
    assert reader.meta("a_00") == {"key": "a_00"}


def test_several_folders_and_pickling(shards: Path, tmp_path: Path):
    other = tmp_path / "other" / "shards"
    write_shard(other, "00000", ["d_00"])
    reader = ShardReader([shards, other])
    reader.frames("d_00", [0])
    copy = pickle.loads(pickle.dumps(reader))
    assert [sample.dataset for sample in copy.samples] == ["tiny"] * 3 + ["other"]
    assert np.array_equal(copy.frames("d_00", [0]), reader.frames("d_00", [0]))


def test_an_edited_shard_is_noticed(shards: Path):
    tar = shards / "00000.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    with pytest.raises(InputError, match=r"00000\.tar is not the file that 00000\.json describes"):
        ShardReader(shards)


def test_a_shard_cut_at_a_member_is_noticed(shards: Path):
    tar = shards / "00000.tar"
    tar.write_bytes(tar.read_bytes()[: 512 * 20])
    with pytest.raises(InputError, match="sha256 differs"):
        ShardReader(shards)


def test_a_missing_tar_or_a_broken_index_is_one_sentence(shards: Path):
    (shards / "00001.tar").unlink()
    with pytest.raises(InputError, match=r"00001\.tar is missing"):
        ShardReader(shards)
    (shards / "00001.json").write_text(json.dumps({"tar": "x"}))
    with pytest.raises(InputError, match=r"00001\.json is not the index of a shard"):
        ShardReader(shards)


def test_wrong_places_are_one_sentence(shards: Path, tmp_path: Path):
    with pytest.raises(InputError, match="holds no shards"):
        ShardReader(tmp_path)
    with pytest.raises(InputError, match="'a_00' is in both"):
        ShardReader([shards, shards])
    reader = ShardReader(shards)
    with pytest.raises(InputError, match="no sample 'x_00'"):
        reader.cameras("x_00")
    with pytest.raises(InputError, match=r"no member a_00\.00003\.jpg"):
        reader.frames("a_00", [3])


def test_a_killed_writers_leftovers_are_not_read(shards: Path):
    (shards / ".00000.abcdefgh.json").write_text("{")
    assert len(ShardReader(shards).samples) == 3


def test_offsets_of_another_file_are_noticed(shards: Path):
    path = shards / "00000.json"
    index = json.loads(path.read_text())
    index["samples"][1]["offset"] += 512
    write_json(path, sealed(index))
    with pytest.raises(InputError, match=r"no member b_00\.00001\.jpg where it should be"):
        ShardReader(shards).frames("b_00", [1])
    index["samples"][1]["sizes"] = index["samples"][1]["sizes"].rpartition(" ")[0]
    write_json(path, sealed(index))
    with pytest.raises(InputError, match=r"00000\.json is not the index of a shard"):
        ShardReader(shards)


def test_pixels_are_pillows(shards: Path):
    jpeg = encode_frame(FRAMES[1], 95)
    expected = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert np.array_equal(ShardReader(shards).frames("a_00", [1])[0], expected)


def test_a_broken_image_is_one_sentence(tmp_path: Path):
    folder = tmp_path / "x" / "shards"
    tar = write_shard(folder, "00000", ["a_00"])
    size = int(json.loads((folder / "00000.json").read_text())["samples"][0]["sizes"].partition(" ")[0])
    data = bytearray(tar.read_bytes())
    data[512 : 512 + size] = bytes(size)
    tar.write_bytes(data)
    with pytest.raises(InputError, match=r"a_00\.00000\.jpg is not an image"):
        ShardReader(folder, verify=False).frames("a_00", [0])


def everything(reader: ShardReader, key: str) -> list[np.ndarray]:
    return [reader.frames(key, [0, 1, 2]), reader.masks(key, [2, 0]), reader.cameras(key), reader.landmarks(key)]


def test_few_files_are_open_at_a_time(shards: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "OPEN", 1)
    reader = ShardReader(shards)
    before = everything(reader, "a_00")
    assert reader.cameras("c_00").shape == (3, 25)
    assert len(reader._open) == 1
    assert all(np.array_equal(a, b) for a, b in zip(before, everything(reader, "a_00"), strict=True))


def test_a_check_is_remembered_until_the_file_changes(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    read: list[str] = []
    monkeypatch.setattr(verified, "sha256", lambda path: read.append(path.name) or sha256(path))
    ShardReader(shards)
    ShardReader(shards)
    assert sorted(read) == ["00000.tar", "00000.tar", "00001.tar", "00001.tar"]  # too young to be remembered
    monkeypatch.setattr(verified, "YOUNG", -1.0)  # the files were written long ago
    ShardReader(shards)
    read.clear()
    assert len(ShardReader(shards).samples) == 3
    assert read == []
    tar = shards / "00000.tar"
    facts = tar.stat()
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    os.utime(tar, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(InputError, match="sha256 differs"):
        ShardReader(shards)
    assert read == ["00000.tar"]
