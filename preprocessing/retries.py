"""What a shard leaves for the next run while it has clips whose failure may pass: its rows so far.

Fetch leaves them beside its own output, the last stage beside that of crop, which is the first that decodes. The table
has a number in its name, ``{shard}.again{n}.parquet``, and is an input of that stage's next run of the shard. A new
number makes Snakemake run it again (a job's inputs have changed). A newer time would not: Snakemake sets the times of a
job's outputs when it has ended, and they are newer than anything that the job wrote. When nothing is left to try, the
table stays as it is, so that the inputs stay the same.
"""

import re
from collections.abc import Callable
from pathlib import Path

_NAME = re.compile(r"(?P<shard>.+)\.again(?P<number>[1-9]\d*)\.parquet")


def waiting(folder: Path) -> dict[str, Path]:
    """Shard → its newest table in ``folder``, found by one look into the folder."""
    newest = {shard: max(numbers) for shard, numbers in _numbers(folder).items()}
    return {shard: folder / f"{shard}.again{number}.parquet" for shard, number in newest.items()}


def leave(output: Path, write: Callable[[Path], None]) -> None:
    """Leave rows for the next run beside a shard's ``output``, under a new number; the table that this run has read is
    kept, since it is an input of this run, those before it are not."""
    shard, folder = output.stem, output.parent
    numbers = sorted(_numbers(folder).get(shard, []))
    number = numbers[-1] + 1 if numbers else 1
    write(folder / f"{shard}.again{number}.parquet")
    for old in numbers[:-1]:
        (folder / f"{shard}.again{old}.parquet").unlink(missing_ok=True)


def _numbers(folder: Path) -> dict[str, list[int]]:
    """Shard → the numbers of its tables in ``folder``."""
    numbers: dict[str, list[int]] = {}
    for name in folder.iterdir() if folder.is_dir() else ():
        if found := _NAME.fullmatch(name.name):
            numbers.setdefault(found["shard"], []).append(int(found["number"]))
    return numbers
