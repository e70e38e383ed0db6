"""A shard that is not what its index says: every reader names the file, in one sentence."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation import protocol, reenact
from evaluation.outputs import PAIR_COLUMNS
from model import train
from preprocessing import account, samples
from preprocessing.cli import run_command


def flip(folder: Path) -> None:
    """One bit, in the middle."""
    data = bytearray((folder / "00000.tar").read_bytes())
    data[len(data) // 2] ^= 16
    (folder / "00000.tar").write_bytes(data)


def cut(folder: Path) -> None:
    """At a member's end, where tar readers notice nothing."""
    with tarfile.open(folder / "00000.tar") as tar:
        end = tar.getmembers()[20].offset
    data = (folder / "00000.tar").read_bytes()
    (folder / "00000.tar").write_bytes(data[:end])


def replace(folder: Path, leave_out: bool = False) -> None:
    """A member replaced (or left out) by someone who knows tar, with a proper end."""
    stream = io.BytesIO()
    with tarfile.open(folder / "00000.tar") as old, tarfile.open(fileobj=stream, mode="w") as new:
        for number, member in enumerate(old.getmembers()):
            data = old.extractfile(member).read()
            if number == 5 and leave_out:
                continue
            member.size = len(data) + (number == 5)
            new.addfile(member, io.BytesIO(data + b" " * (number == 5)))
    (folder / "00000.tar").write_bytes(stream.getvalue())


def edit(folder: Path) -> None:
    """A test clip made one of training, in the index."""
    text = (folder / "00000.json").read_text(encoding="utf-8")
    (folder / "00000.json").write_text(text.replace('"test"', '"train"'), encoding="utf-8")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit flipped": (flip, "00000.tar is not the file that 00000.json describes"),
    "cut at a member": (cut, "00000.tar is not the file that 00000.json describes"),
    "a member replaced": (replace, "00000.tar is not the file that 00000.json describes"),
    "a member missing": (lambda folder: replace(folder, leave_out=True), "00000.tar is not the file that"),
    "the tar missing": (lambda folder: (folder / "00000.tar").unlink(), "00000.tar is missing"),
    "the index edited": (edit, "00000.json was changed after it was written"),
    "the index cut": (lambda folder: (folder / "00000.json").write_text("{"), "00000.json is not the index of a shard"),
    "the index missing": (lambda folder: (folder / "00000.json").unlink(), "holds no shards"),
    "an index of two missing": (
        lambda folder: shutil.copy(folder / "00000.tar", folder / "00001.tar"),
        "00001.tar has no index",
    ),
}


def commands(folder: Path, root: Path) -> dict[str, Callable[[], None]]:
    """What reads shards, as its command."""
    shards = ["--shards", str(folder)]
    output = ["--output", str(root / "out")]
    curves = ["--method", "m", "--curves", str(root / "curves.parquet")]
    (root / "pairs.csv").write_text(",".join(PAIR_COLUMNS) + "\n")
    copy = ["--pairs", str(root / "pairs.csv"), "--method", "copy", "--resolution", "32"]
    return {
        "train": lambda: run_command(train.main, train.parser(), [*shards, *output, *curves]),
        "protocol": lambda: run_command(protocol.main, protocol.parser(), [*shards, *output]),
        "reenact": lambda: run_command(reenact.main, reenact.parser(), [*shards, *copy, *output]),
        "samples": lambda: samples.main([*shards, "--output", str(root / "out.png")]),
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_every_reader_names_the_file(
    fault: str, synthetic_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "data/synthetic/shards"
    shutil.copytree(synthetic_shards, folder)
    damage, words = FAULTS[fault]
    damage(folder)
    for name, command in commands(folder, tmp_path).items():
        if name == "protocol" and "index" not in fault:
            continue  # it reads the index alone
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            command()
        said = capsys.readouterr().err.strip().splitlines()
        assert end.value.code == 2 and words in said[-1], (name, said)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.png").exists()


def test_the_account_notices_an_edited_index_too(synthetic_shards: Path, tmp_path: Path, capsys):
    folder = tmp_path / "data/synthetic/shards"
    shutil.copytree(synthetic_shards, folder)
    edit(folder)
    places = ["--sheet", str(tmp_path / "clips.parquet"), "--shards", str(folder), "--output", str(tmp_path / "a.json")]
    with pytest.raises(SystemExit):
        account.main(["--dataset", "synthetic", *places])
    assert "00000.json was changed after it was written" in capsys.readouterr().err
