"""A full disk, a read-only one, a limit on file sizes: a sentence that names the path, no half file."""

import argparse
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from evaluation.reenact import write_frames
from evaluation.report.videos import write_video
from model.animate.video import video_writer
from model.checkpoints import latest_state, save_state
from preprocessing import crop, download, faces, fetch, masks, shards, sheets
from preprocessing.cli import InputError, add_common, run_command
from preprocessing.files import atomic, write_json
from preprocessing.rows import Row, write_rows
from preprocessing.tars import tar_writer
from tests.preprocessing.test_stages import CROP

NOISE = np.random.default_rng(0).integers(0, 255, (700, 700, 3), dtype=np.uint8)


def npy(path: Path) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, NOISE)


def picture(path: Path) -> None:
    with atomic(path) as temporary:
        Image.fromarray(NOISE).save(temporary)


def table(path: Path) -> None:
    with atomic(path) as temporary:
        pd.DataFrame(NOISE[..., 0]).to_csv(temporary)


def tar(path: Path) -> None:
    with tar_writer(path) as writer:
        writer.add("a", NOISE.tobytes())


def film(path: Path) -> None:
    write_video(np.random.default_rng(0).integers(0, 255, (8, 320, 320, 3), dtype=np.uint8), 25, path)


def lossless(path: Path) -> None:
    with video_writer(path, 25) as add:
        for frame in np.random.default_rng(0).integers(0, 255, (8, 320, 320, 3), dtype=np.uint8):
            add(frame)


def media(path: Path) -> None:
    source = path.parent.parent / "source.bin"
    source.write_bytes(NOISE.tobytes())
    with atomic(path) as temporary:
        shutil.copyfile(source, temporary)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.npy": npy,
    "a.png": picture,
    "a.csv": table,
    "a.tar": tar,
    "film.mp4": film,
    "lossless.mp4": lossless,
    "media.mp4": media,
    "a.json": lambda path: write_json(path, NOISE[..., 0].tolist()),
    "a.parquet": lambda path: write_rows(path, [Row(NOISE[i].tobytes().hex(), "") for i in range(700)]),
    "000001.pt": lambda path: save_state(path.parent, 1, {"a": torch.from_numpy(NOISE.copy())}),
    "frames.tar": lambda path: write_frames(iter([(0, "absolute", NOISE)]), path.parent),
}


def sentence(work: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that does ``work`` says before it ends with code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        run_command(lambda _: work(), argparse.ArgumentParser(), [])
    words = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 2
    return words


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_leaves_nothing(name: str, new_disk, capsys: pytest.CaptureFixture[str]):
    disk = new_disk("256k")
    path = disk.path / name
    assert sentence(lambda: WRITERS[name](path), capsys) == f"{path}: No space left on device."
    assert list(disk.path.iterdir()) == []
    disk.remount("size=64m")
    WRITERS[name](path)
    assert path in disk.path.iterdir()


@pytest.mark.parametrize("name", ["a.npy", "a.tar", "a.parquet", "000001.pt", "film.mp4"])
def test_a_full_disk_leaves_the_file_of_before(name: str, new_disk, capsys: pytest.CaptureFixture[str]):
    disk = new_disk("256k")
    path = disk.path / name
    path.write_bytes(b"before")
    assert sentence(lambda: WRITERS[name](path), capsys) == f"{path}: No space left on device."
    assert [(left.name, left.read_bytes()) for left in disk.path.iterdir()] == [(name, b"before")]


def test_a_read_only_disk_is_named(new_disk, capsys: pytest.CaptureFixture[str]):
    disk = new_disk("256k")
    (disk.path / "there").mkdir()
    disk.remount("ro")
    for path, named in (
        (disk.path / "a.json", None),
        (disk.path / "new/a.json", "new"),
        (disk.path / "there/a.json", None),
    ):
        words = sentence(lambda path=path: write_json(path, {}), capsys)
        assert words == f"{disk.path / named if named else path}: Read-only file system."


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may be larger than 128 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["a.npy", "a.tar", "a.parquet", "000001.pt"])
def test_a_limit_on_file_sizes_is_named(
    name: str, tmp_path: Path, small_files: None, capsys: pytest.CaptureFixture[str]
):
    assert sentence(lambda: WRITERS[name](tmp_path / name), capsys) == f"{tmp_path / name}: File too large."
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_blamed_for_other_errors(tmp_path: Path):
    with pytest.raises(RuntimeError, match="of its own"), atomic(tmp_path / "a"):
        raise RuntimeError("of its own")


def test_the_state_before_a_full_disk_is_still_there(new_disk, capsys: pytest.CaptureFixture[str]):
    disk = new_disk("2m")
    state = {"a": torch.from_numpy(NOISE.copy())}
    save_state(disk.path, 1, state)
    assert str(disk.path / "000002.pt") in sentence(lambda: save_state(disk.path, 2, state), capsys)
    assert torch.equal(latest_state(disk.path)["a"], state["a"])
    assert [path.name for path in disk.path.iterdir()] == ["000001.pt"]


def test_a_full_disk_cuts_the_log_short_without_a_word(new_disk, capsys: pytest.CaptureFixture[str]):
    import logging

    disk = new_disk("16k")
    parser = argparse.ArgumentParser()
    add_common(parser)

    def work(_: argparse.Namespace) -> None:
        for _ in range(1000):
            logging.getLogger("stage").info("a line that is longer than nothing, many times")

    run_command(work, parser, ["--log", str(disk.path / "a.log")])
    assert "Traceback" not in capsys.readouterr().err


def test_a_download_onto_a_full_disk_is_one_sentence(new_disk, tmp_path: Path, web):
    web.files["a"] = NOISE.tobytes()
    disk = new_disk("256k")
    with pytest.raises(InputError, match="No space left on device") as error:
        download.download(f"{web.url}/a", disk.path / "a.bin", lambda _: None)
    assert str(disk.path) in str(error.value)
    assert not (disk.path / "a.bin").exists()


def test_every_stage_says_that_the_disk_is_full_and_a_rerun_completes(
    data, new_disk, capsys: pytest.CaptureFixture[str]
):
    """Each stage in turn on a disk with room for one page; then with room."""
    dataset = json.dumps({"source": {"kind": "folder", "path": str(data.source)}})
    sheet = str(data.root / "tiny/sheets/clips.parquet")
    at = {stage: str(data.rows(stage)) for stage in ("fetch", "crop", "faces", "masks", "shards")}
    clips = ["--sheet", sheet, "--shard", "0"]
    inputs = [part for stage in ("crop", "faces", "masks") for part in (f"--{stage}", at[stage])]
    commands = {
        "sheets/clips": (sheets.main, ["--dataset", "tiny", "--settings", dataset]),
        "fetch/00000": (fetch.main, [*clips, "--settings", dataset]),
        "crop/00000": (
            crop.main,
            ["--sheet", sheet, "--shard", "0", "--fetch", at["fetch"], "--settings", json.dumps(CROP)],
        ),
        "faces/00000": (faces.main, inputs[:2]),
        "masks/00000": (masks.main, inputs[:4]),
        "shards/00000": (shards.main, inputs),
    }
    disk = new_disk("64m")
    for name, (command, arguments) in commands.items():
        output = disk.path / f"{name}.parquet"
        output.parent.mkdir()
        filler = disk.path / "filler"
        with open(filler, "wb") as stream, pytest.raises(OSError):
            while True:
                stream.write(bytes(1 << 20))
                stream.flush()
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            command([*arguments, "--output", str(output)])
        words = capsys.readouterr().err.strip().splitlines()[-1]
        assert end.value.code == 2 and str(output.parent) in words and words.endswith("No space left on device."), words
        assert [path for path in output.parent.rglob("*") if path.is_file()] == []
        filler.unlink()
        command([*arguments, "--output", str(output)])
        for path in (path for path in output.parent.iterdir() if path.is_file()):
            assert path.read_bytes() == (data.root / "tiny" / name).parent.joinpath(path.name).read_bytes()
