"""kill -9 at random points of the data stages: every output is whole or absent, and a rerun gives the same bytes.

``python benchmarks/kill_stages.py VIDEOS [--rounds 100] [--seed 0]``. The stages run on a folder of videos, once
undisturbed. Then, each round in an empty folder, all of them run in one process that is killed: in every second round
at a file operation (the n-th open, rename, removal or lock), else at a moment. What is left must be what the
undisturbed run wrote, byte for byte, or absent; after a rerun everything must be there. Prints where it was killed.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from preprocessing import account, crop, faces, fetch, masks, shards, sheets

CROP = {"min_frames": 8, "min_size": 48, "allow_padding": True}
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "fcntl.flock")
"""File operations as Python's audit hooks name them."""


def run(source: Path, root: Path) -> None:
    """All stages, one shard."""
    dataset = json.dumps({"source": {"kind": "folder", "path": str(source)}})
    at = {stage: str(root / stage / "00000.parquet") for stage in ("fetch", "crop", "faces", "masks", "shards")}
    sheet = str(root / "sheets/clips.parquet")
    inputs = [part for stage in ("crop", "faces", "masks") for part in (f"--{stage}", at[stage])]
    sheets.main(["--dataset", "killed", "--output", sheet, "--settings", dataset])
    fetch.main(["--sheet", sheet, "--shard", "0", "--output", at["fetch"], "--settings", dataset])
    settings = ["--settings", json.dumps(CROP)]
    crop.main(["--sheet", sheet, "--shard", "0", "--fetch", at["fetch"], "--output", at["crop"], *settings])
    faces.main([*inputs[:2], "--output", at["faces"]])
    masks.main([*inputs[:4], "--output", at["masks"]])
    shards.main([*inputs, "--output", at["shards"]])
    whole = ["--sheet", sheet, "--shards", str(root / "shards"), "--output", str(root / "account.json")]
    account.main(["--dataset", "killed", *whole])


def operations(root: Path, last: int, counted: Path | None = None) -> None:
    """From now on count file operations below ``root``; at the ``last`` one the process kills itself."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in EVENTS and (event == "fcntl.flock" or str(arguments[0]).startswith(str(root))):
            count += 1
            if counted is not None:
                os.pwrite(number, f"{count:9d}".encode(), 0)
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    number = os.open(counted, os.O_CREAT | os.O_WRONLY) if counted is not None else -1
    sys.addaudithook(hook)


def in_child(source: Path, root: Path, last: int = 0, after: float = 0, counted: Path | None = None) -> bool:
    """Run all stages in a process of their own; True when it came to its end before it was killed."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if last or counted is not None:
            operations(root, last, counted)
        run(source, root)
        os._exit(0)
    if after:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
        raise SystemExit(f"{root}: the stages ended with {os.waitstatus_to_exitcode(status)}")
    return status == 0


def files(root: Path) -> dict[str, bytes]:
    """Every file that counts as data; what begins with a dot is nobody's."""
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, help="a folder of small videos")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    import_module("mediapipe.python.solutions")  # once, not in every child
    source, draw, where = arguments.videos.resolve(), random.Random(arguments.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "count"
        began = time.monotonic()
        in_child(source, Path(folder) / "whole", counted=counted)
        seconds, total = time.monotonic() - began, int(counted.read_bytes())
        whole = files(Path(folder) / "whole")
        assert len(whole) == 18, sorted(whole)
        for number in range(arguments.rounds):
            root = Path(folder) / f"round{number}"
            for _ in range(draw.choice((1, 1, 2))):  # some are killed, run again and killed again
                ended = in_child(
                    source,
                    root,
                    last=draw.randrange(1, total + 1) if number % 2 else 0,
                    after=0 if number % 2 else draw.uniform(0.02, seconds),
                )
                left = files(root)
                if wrong := [name for name, data in left.items() if data != whole[name]]:
                    raise SystemExit(f"round {number}: {wrong[0]} is not whole")
                where["the end" if ended else f"after {len(left)} files"] += 1
            if not in_child(source, root):
                raise SystemExit(f"round {number}: the rerun did not end")
            if files(root) != whole:
                raise SystemExit(f"round {number}: the rerun gives other files")
            if hidden := [path for path in root.rglob(".*") if path.is_file()]:
                raise SystemExit(f"round {number}: {hidden[0]} is left")
    print(f"seed {arguments.seed}: {arguments.rounds} rounds, {total} operations in {seconds:.1f} s; killed", end=" ")
    print(", ".join(f"{place} {count}" for place, count in sorted(where.items())))


if __name__ == "__main__":
    main()
