"""A million clips in 2,048 shards without a video: which step of the chain ends first, by memory or by time.

``python benchmarks/million.py [--clips N] [--shards N] [--keep DIR]``. Names, rows and indices are made up, a third of
the clips is lost for the usual reasons, and every step that handles the whole data set runs in a process of its own:
processor seconds, peak memory beside what its rule asks for, and the size of what it leaves. What is read frame
by frame (hashing the tars, say) is not in these figures.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.planning import snakemake
from preprocessing import layout
from preprocessing.files import sha256, write_json
from preprocessing.rows import Row, statistics, write_rows
from preprocessing.shardindex import sealed
from preprocessing.sheets import build, read_sheet, write_sheet
from preprocessing.sources.entries import Entry
from workflow.data_files import MB_PER_SHARD

ROOT = Path(__file__).resolve().parent.parent

PER_PERSON, FRAMES = 150, 180
"""Clips of a person and frames of a clip: about VoxCeleb2's."""

BYTES = 29_000
"""Bytes of a frame in a shard: the demo's, with its mask, cameras and landmarks."""

LOST = {"fetch": ("removed", "private", "timeout"), "crop": ("no-face", "too-small", "leaves-the-frame", "too-short")}
"""Reasons of the clips that are lost, by stage."""

DETAIL = "ERROR: [youtube] _8HirmnEUJM: Video unavailable. This video has been removed by the uploader"
"""Raw words of a loss, as long as they usually are."""


def entries(count: int) -> list[Entry]:
    """A list of ``count`` clips: FOMM's kind of names, eight clips of a download, one person in twenty held out."""
    chance = random.Random(0)
    listed = []
    for number in range(count):
        person = number // PER_PERSON
        video = f"{number // 8:011x}"
        split = "test" if person % 20 == 0 else "train"
        start = chance.randrange(9000)
        listed.append(
            Entry(
                clip=f"id{person:05d}#{video}#{start:06d}#{start + FRAMES:06d}-{number}",
                file=f"{video}.mp4",
                person=f"id{person:05d}",
                segments=((start, start + FRAMES, split),),
                url=f"https://www.youtube.com/watch?v={video}",
                rate=25.0,
                box=(0.25, 0.125, 0.75, 0.875),
            )
        )
    return listed


def make_sheet(folder: Path) -> None:
    """List the clips and write the sheet, as ``preprocessing.sheets`` does."""
    clips, shards = json.loads((folder / "size.json").read_text())
    write_sheet(folder / "clips/sheets/clips.parquet", build(entries(clips), shards))


def make_shard(folder: Path, number: int) -> None:
    """The last stage's rows and index of one shard, and a tar of no bytes."""
    chance = random.Random(number)
    rows: list[Row] = []
    samples = []
    # Sizes of members, as a sample's are written: drawn once, since they only have to be as long.
    sizes = " ".join(str(chance.randrange(800, 40_000)) for _ in layout.names("", FRAMES))
    for row in read_sheet(folder / "clips/sheets/clips.parquet", number):
        lost = chance.choice(["", "", *LOST])
        if lost:
            rows.append(Row(row.clip, row.key, "dropped", lost, chance.choice(LOST[lost]), DETAIL))
            continue
        rows.append(Row(row.clip, row.key))
        split = json.loads(row.segments)[0][2]
        facts = {"clip": row.clip, "person": row.person, "split": split, "fps": 25.0, "frames": FRAMES}
        samples.append({"key": f"{row.key}_00", **facts, "offset": len(samples) * FRAMES * BYTES, "sizes": sizes})
    path = folder / f"clips/shards/{number:05d}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    write_rows(path.with_suffix(".parquet"), rows)
    index = {"tar": path.name, "sha256": sha256(path), "bytes": 0, "count": len(samples)}
    write_json(path.with_suffix(".json"), sealed({**index, "samples": samples, "statistics": statistics(rows)}))


def read_one(folder: Path) -> None:
    """What every job of a shard reads of the sheet."""
    assert read_sheet(folder / "clips/sheets/clips.parquet", 1)


def read_all(folder: Path) -> None:
    """The whole sheet."""
    assert read_sheet(folder / "clips/sheets/clips.parquet")


def open_shards(folder: Path) -> None:
    """Opening every index."""
    from preprocessing.reader import ShardReader

    assert ShardReader(folder / "clips/shards").samples


def start_training(folder: Path) -> None:
    """What training does before its first batch, and the choice of 100 batches' pairs (their pixels are left out)."""
    from model.data import open_store
    from model.settings import ModelSettings, TrainingSettings
    from model.train import origin
    from model.training.pairs import PairSampler

    model, settings = ModelSettings(), TrainingSettings()
    sampler = PairSampler(open_store([folder / "clips/shards"], "train", model.frames), settings, 0)
    origin([folder / "clips/shards"], model, settings, 0)
    assert sampler.people


def hash_data(folder: Path) -> None:
    """What provenance states of the data, and what the tables say of the people."""
    from evaluation.report.provenance import data_hashes
    from evaluation.tables.build import identities

    assert data_hashes([folder / "clips/shards"]) and identities([folder / "clips/shards"])


def read_account(folder: Path) -> None:
    """What the report and its pages read of the account."""
    from evaluation.report.results import Results

    assert Results(folder / "results").accounts


def plan_run(folder: Path) -> None:
    """A dry run."""
    (folder / "plan").mkdir(exist_ok=True)
    snakemake(folder / "plan", json.loads((folder / "size.json").read_text())[1], "-n")


class Step(NamedTuple):
    """One step: its name, what does it, its rule's memory in MB (and whether that grows by the shard), what it leaves.

    ``action`` is a function of this file, or the arguments of a command.
    """

    name: str
    action: Callable[[Path], None] | list[str]
    allowed: int
    grows: bool = False
    left: str = ""


def steps(folder: Path) -> list[Step]:
    """The steps in the order in which a run takes them."""
    shards, sheet = str(folder / "clips/shards"), str(folder / "clips/sheets/clips.parquet")
    account = ["preprocessing.account", "--dataset", "clips", "--sheet", sheet, "--shards", shards]
    account += ["--output", str(folder / "results/dataset/clips.json")]
    paper = json.dumps({"protocol": {"cross_pairs": 2083, "multiview_pairs": 100}})
    pairs = ["evaluation.protocol", "--shards", shards, "--settings", paper, "--output", str(folder / "results/pairs")]
    return [
        Step("list the clips, write the sheet", make_sheet, 500, True, "clips/sheets"),
        Step("plan the run", plan_run, 0),
        Step("read one shard's part of the sheet", read_one, 1000),
        Step("read the whole sheet", read_all, 500, True),
        Step("account for the clips", account, 500, True, "results/dataset"),
        Step("choose the pairs", pairs, 1000, True, "results/pairs"),
        Step("open the indices of all shards", open_shards, 2000, True, "clips/shards"),
        Step("start training", start_training, 2500, True),
        Step("hash the data, list the people", hash_data, 500),
        Step("read the account for the report", read_account, 1500),
    ]


def run(command: list[str]) -> tuple[float, float]:
    """Processor seconds and peak memory in MB of a process."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(words[-3000:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def hashing(count: int = 1 << 28) -> float:
    """Bytes a second of SHA-256 on one core."""
    data, start = bytes(count), time.process_time()
    hashlib.sha256(data).digest()
    return count / (time.process_time() - start)


def frames(folder: Path) -> int:
    """Frames of the samples that were made up."""
    indices = (json.loads(path.read_text()) for path in (folder / "clips/shards").glob("*.json"))
    return sum(sample["frames"] for index in indices for sample in index["samples"])


def sizes(folder: Path) -> str:
    """The files of a folder, by suffix, in MB."""
    found: dict[str, int] = {}
    for path in folder.iterdir():
        found[path.suffix] = found.get(path.suffix, 0) + path.stat().st_size
    return ", ".join(f"{suffix} {size / 1e6:.1f}" for suffix, size in sorted(found.items()) if size)


def main() -> None:
    """Make everything up, run every step, print the table and what ends first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=2048)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here, and leave what was made")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step is not None:
        action = next(step.action for step in steps(arguments.keep) if step.name == arguments.step)
        assert callable(action)
        action(arguments.keep)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "size.json", [arguments.clips, arguments.shards])
        print(f"{arguments.clips} clips in {arguments.shards} shards")
        print(f"{'':36s} processor s  peak MB  rule's MB  files, MB")
        shares: dict[str, float] = {}
        for step in steps(folder):
            if step.name == "read one shard's part of the sheet":
                for number in range(arguments.shards):
                    if not (folder / f"clips/shards/{number:05d}.json").is_file():
                        make_shard(folder, number)
            own = [__file__, "--keep", str(folder), "--step", step.name]
            seconds, peak = run(own if callable(step.action) else ["-m", *step.action])
            allowed = step.allowed + MB_PER_SHARD * arguments.shards * step.grows
            if allowed:
                shares[step.name] = peak / allowed
            left = sizes(folder / step.left) if step.left else ""
            print(f"{step.name:36s} {seconds:11.1f} {peak:8.0f} {allowed or '':>10}  {left}", flush=True)
        rate, size = hashing(), frames(folder) * BYTES
        print(f"Not in the table: a job that checks every tar's sha256 hashes about {size / 1e12:.1f} TB,", end=" ")
        print(f"{size / rate / 3600:.1f} h at {rate / 1e9:.1f} GB/s on one core.")
        first = max(shares, key=lambda name: shares[name])
        print(f"First to end: {first}, at {shares[first]:.0%} of the memory its rule asks for.")


if __name__ == "__main__":
    main()
