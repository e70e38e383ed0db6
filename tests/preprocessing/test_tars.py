"""Tar files: the same bytes for the same members, whole or not at all."""

import hashlib
import io
import itertools
import tarfile
from pathlib import Path

import numpy as np
import pytest

from preprocessing.cli import InputError
from preprocessing.tars import TarFile, dump_array, dump_json, load_array, tar_writer

MEMBERS = {"b_00.00001.jpg": b"22", "a_00.meta.json": b"{}", "a_00.00000.jpg": b"1", "b_00.00000.jpg": b"333"}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, members: dict[str, bytes]) -> None:
    with tar_writer(path) as writer:
        for name, data in members.items():
            writer.add(name, data)


def test_order_of_adding_does_not_matter(tmp_path: Path):
    write(tmp_path / "a.tar", MEMBERS)
    write(tmp_path / "b.tar", dict(reversed(MEMBERS.items())))
    assert digest(tmp_path / "a.tar") == digest(tmp_path / "b.tar")


def test_members_are_sorted_and_carry_no_time_or_owner(tmp_path: Path):
    write(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(tmp_path / "a.tar") as tar:
        infos = tar.getmembers()
    assert [info.name for info in infos] == sorted(MEMBERS)
    assert all((info.mtime, info.uid, info.gid, info.uname, info.mode) == (0, 0, 0, "", 0o644) for info in infos)


def test_samples_stay_together_even_when_one_key_begins_with_another(tmp_path: Path):
    keys = ["a_00", "a_0_00", "a_10", "a_100", "a-b_00", "a"]
    write(tmp_path / "a.tar", {f"{key}.{i:05d}.jpg": b"x" for i in range(3) for key in keys})
    with tarfile.open(tmp_path / "a.tar") as tar:
        order = [name.split(".")[0] for name in tar.getnames()]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert changes == len(keys) - 1


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    write(tmp_path / "a.tar", MEMBERS)
    before = digest(tmp_path / "a.tar")
    with pytest.raises(RuntimeError), tar_writer(tmp_path / "a.tar") as writer:
        writer.add("x", b"y")
        raise RuntimeError
    assert digest(tmp_path / "a.tar") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_members_added_together_are_forgotten_together(tmp_path: Path):
    with tar_writer(tmp_path / "a.tar") as writer:
        writer.add("a", b"1")
        with pytest.raises(RuntimeError), writer.together():
            writer.add("b", b"2")
            raise RuntimeError
        writer.add("c", b"3")
        with pytest.raises(ValueError, match="already"):
            writer.add("c", b"4")
    with TarFile(tmp_path / "a.tar") as tar:
        assert {name: tar.read(name) for name in tar.members} == {"a": b"1", "c": b"3"}


def test_an_empty_archive_is_legal(tmp_path: Path):
    write(tmp_path / "a.tar", {})
    with TarFile(tmp_path / "a.tar") as tar:
        assert tar.members == {}


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"x" * 2000])
def test_what_is_no_tar_is_one_sentence(tmp_path: Path, content: bytes):
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tar is not a whole tar file"):
        TarFile(path)


def test_a_cut_or_missing_member_is_one_sentence(tmp_path: Path):
    write(tmp_path / "a.tar", {"a": b"1" * 5000})
    with TarFile(tmp_path / "a.tar") as tar, pytest.raises(InputError, match="no member b"):
        tar.read("b")
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:3000])
    with pytest.raises(InputError), TarFile(tmp_path / "a.tar") as tar:
        tar.read("a")
    with pytest.raises(InputError, match="does not exist"):
        TarFile(tmp_path / "gone.tar")


def test_pickles_are_refused():
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="is not an array"):
        load_array(stream.getvalue(), "x.npy")
    with pytest.raises(InputError, match="is not an array"):
        load_array(b"cnumpy\n", "x.npy")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(load_array(dump_array(array), "x"), array)


def test_json_is_sorted_and_has_no_nan():
    assert dump_json({"b": 1, "a": "ü"}) == '{\n "a": "ü",\n "b": 1\n}'.encode()
    with pytest.raises(ValueError, match="Out of range"):
        dump_json({"a": float("nan")})


@pytest.mark.parametrize("turned", [False, True])
def test_the_bytes_are_those_that_python_would_write(tmp_path: Path, turned: bool):
    members = {"a.jpg": b"1" * 513, "b.json": b"", "c.npy": b"2" * 1024, "d": b"3" * 20_000}
    write(tmp_path / "a.tar", dict(reversed(members.items())) if turned else members)
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), 0, 0o644
            tar.addfile(info, io.BytesIO(data))
    assert (tmp_path / "a.tar").read_bytes() == expected.getvalue()


def test_the_writer_knows_where_its_members_lie(tmp_path: Path):
    with tar_writer(tmp_path / "a.tar") as writer:
        for name, data in reversed(MEMBERS.items()):
            writer.add(name, data)
    with TarFile(tmp_path / "a.tar") as tar:
        assert writer.members() == tar.members
        assert list(writer.members()) == list(tar.members)
