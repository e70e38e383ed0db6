"""Planning time and memory for 100,000 and a million clips, against one job per clip and stage.

``python benchmarks/planning.py [CLIPS …]``, 390 clips a shard. A dry run of ``scale.yaml`` is taken with nothing made
yet, and again with every file there and known to Snakemake. The reference are the same rules with one clip a shard; its
time grows at least linearly, so that what a straight line through two small numbers gives is a lower bound.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
CLIPS = 390
"""Clips of a shard, as in scale.yaml."""

FEW = (200, 600)
"""Clips planned one by one."""


class Planned(NamedTuple):
    """One dry run: jobs, processor seconds and peak memory in MB."""

    jobs: int
    seconds: float
    mb: float

    def __str__(self) -> str:
        return f"{self.jobs:7d} {self.seconds:8.1f} {self.mb:6.0f}"


def snakemake(folder: Path, shards: int, *options: str) -> tuple[str, float, float]:
    """What Snakemake prints for scale.yaml with ``shards`` shards in ``folder``, its processor seconds and peak MB."""
    values = yaml.safe_load((ROOT / "workflow/config/scale.yaml").read_text(encoding="utf-8"))
    values["datasets"]["clips"]["shards"] = shards
    config = folder / "scale.yaml"
    config.write_text(yaml.safe_dump(values, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", "1", *options]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([*command, "--configfile", str(config)], cwd=ROOT, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        text = output.read()
    if status:
        raise SystemExit(text[-4000:])
    return text, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def plan(folder: Path, shards: int) -> Planned:
    """A dry run."""
    text, seconds, peak = snakemake(folder, shards, "-n")
    found = re.search(r"^total +(\d+)", text, re.MULTILINE)
    return Planned(int(found[1]) if found else 0, seconds, peak)


def make_everything(folder: Path, shards: int) -> int:
    """Every file of the plan, empty, in the order data flows, and Snakemake's own notes of them; how many."""
    lines = snakemake(folder, shards, "-D")[0].splitlines()
    paths = [folder / line.split("\t", 1)[0] for line in lines if line.startswith(("data/", "results/"))]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    snakemake(folder, shards, "--touch")
    return len(paths)


def main(*counts: str) -> None:
    """Print a row for every number of shards."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few = [plan(folder, clips) for clips in FEW]
        slope = (few[1].seconds - few[0].seconds) / (FEW[1] - FEW[0])
        for clips, planned in zip(FEW, few, strict=True):
            print(f"one clip a shard, {clips} clips: {planned.jobs} jobs, {planned.seconds:.1f} s, {planned.mb:.0f} MB")
        print(f"{slope * 1e3:.1f} ms a clip, and more with more of them")
        print("    clips shards    jobs  seconds     MB   times as fast as one clip a shard")
        for clips in map(int, counts or ("100000", "1000000")):
            shards = clips // CLIPS
            folder = Path(temporary) / str(shards)
            folder.mkdir()
            planned = plan(folder, shards)
            alone = few[0].seconds + slope * (clips - FEW[0])
            print(f"{clips:9d} {shards:6d} {planned}   {alone / planned.seconds:.0f} (≥ {alone / 60:.0f} minutes)")
            files = make_everything(folder, shards)
            print(f"{'':16s} {plan(folder, shards)}   all {files} files there", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
