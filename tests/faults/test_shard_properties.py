"""Tars and shards of any members: the same bytes for the same members, and any change of any byte is noticed."""

import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocessing.cli import InputError
from preprocessing.files import sha256
from preprocessing.layout import names
from preprocessing.reader import ShardReader
from preprocessing.shardindex import write_index
from preprocessing.tars import TarFile, dump_array, load_array, tar_writer

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,98}", fullmatch=True)
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=1500), max_size=12)
ARRAYS = st.tuples(st.sampled_from(["float32", "uint8", "int64"]), st.lists(st.integers(0, 4), min_size=1, max_size=3))


def write(path: Path, members: dict[str, bytes]) -> None:
    with tar_writer(path) as writer:
        for name, data in members.items():
            writer.add(name, data)
    assert (writer.sha256, writer.bytes) == (sha256(path), path.stat().st_size)


@settings(max_examples=40)
@given(MEMBERS, st.randoms(use_true_random=False))
def test_any_members_come_back_and_their_order_does_not_matter(members: dict[str, bytes], random):
    shuffled = list(members.items())
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.tar", members)
        write(Path(folder) / "b.tar", dict(shuffled))
        assert (Path(folder) / "a.tar").read_bytes() == (Path(folder) / "b.tar").read_bytes()
        with TarFile(Path(folder) / "a.tar") as tar:
            assert {name: tar.read(name) for name in tar.members} == members
        with tarfile.open(Path(folder) / "a.tar") as tar:
            assert tar.getnames() == sorted(members)


@settings(max_examples=60)
@given(MEMBERS, st.integers(0, 1 << 30))
def test_a_tar_cut_anywhere_is_noticed_without_a_hash(members: dict[str, bytes], place: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tar"
        write(path, members)
        whole = path.read_bytes()
        end = len(whole.rstrip(b"\0"))
        blocks = -(-end // 512) * 512  # the last member's end; after it come zeros only
        path.write_bytes(whole[: place % (blocks + 1)])
        with pytest.raises(InputError, match=r"a\.tar is not a whole tar file"):
            TarFile(path)


@settings(max_examples=60)
@given(MEMBERS.filter(bool), st.data())
def test_a_broken_header_is_noticed_without_a_hash(members: dict[str, bytes], data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tar"
        write(path, members)
        broken = bytearray(path.read_bytes())
        with TarFile(path) as tar:
            header = data.draw(st.sampled_from([member.offset - 512 for member in tar.members.values()]))
        place = header + data.draw(st.integers(0, 511))
        broken[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(broken)
        try:
            with TarFile(path) as tar:  # a byte that the format does not read, or that still sums up right
                assert {name: tar.read(name) for name in tar.members} == members
        except InputError as error:
            assert "a.tar" in str(error)


@given(ARRAYS, st.data())
def test_arrays_come_back_and_a_cut_one_is_one_sentence(form, data):
    array = np.random.default_rng(0).integers(0, 99, form[1]).astype(form[0])
    stored = dump_array(array)
    back = load_array(stored, "x.npy")
    assert back.dtype == array.dtype and back.shape == array.shape and np.array_equal(back, array)
    cut = stored[: data.draw(st.integers(0, len(stored) - 1))]
    with pytest.raises(InputError, match=r"x\.npy is not an array"):
        load_array(cut, "x.npy")


@given(st.binary(max_size=400))
def test_no_bytes_make_an_array_or_an_error_of_another_kind(stored: bytes):
    for prefix in (b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x40\x00{'descr': '<f4', "):
        with pytest.raises(InputError, match="is not an array"):
            load_array(prefix + stored, "x.npy")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small shard."""
    folder = tmp_path_factory.mktemp("data") / "tiny" / "shards"
    folder.mkdir(parents=True)
    with tar_writer(folder / "00000.tar") as writer:
        for name in names("a_00", 3):
            writer.add(name, b"{}")
    sample = {"key": "a_00", "clip": "a", "person": "ann", "split": "train", "frames": 3, "fps": 25.0}
    write_index(folder / "00000.tar", writer, [sample])
    assert ShardReader(folder).samples[0].person == "ann"
    return folder


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1 << 20), change=st.integers(1, 255), cut=st.booleans())
def test_any_byte_of_a_shard_that_changes_is_noticed(shard: Path, place: int, change: int, cut: bool):
    path = shard / "00000.tar"
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[place % len(whole)] ^= change
    try:
        path.write_bytes(whole[: place % len(whole)] if cut else changed)
        with pytest.raises(InputError, match=r"00000\.tar is not the file that 00000\.json describes"):
            ShardReader(shard)
    finally:
        path.write_bytes(whole)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1 << 20), byte=st.integers(0, 255), cut=st.booleans())
def test_any_byte_of_an_index_that_means_something_is_noticed(shard: Path, place: int, byte: int, cut: bool):
    path = shard / "00000.json"
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[place % len(whole)] = byte
    try:
        path.write_bytes(whole[: place % len(whole)] if cut else changed)
        try:
            ShardReader(shard)
        except InputError as error:
            assert "00000." in str(error) or "format" in str(error)
        else:  # white space, or nothing at all
            assert json.loads(path.read_bytes()) == json.loads(whole)
    finally:
        path.write_bytes(whole)


def test_members_of_a_tar_that_are_no_json_are_one_sentence(tmp_path: Path):
    write(tmp_path / "a.tar", {"a": b"{", "b": b"[1]", "c": b"\xff"})
    with TarFile(tmp_path / "a.tar") as tar:
        for name in "abc":
            with pytest.raises(InputError, match=rf"a\.tar: {name} is no"):
                tar.mapping(name)


def test_an_archive_of_another_kind_is_one_sentence(tmp_path: Path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="not a whole tar file"):
        TarFile(tmp_path / "a.tar")
