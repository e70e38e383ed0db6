"""The clip sheet: one row per input file with its person, its shard and which frames belong to which split."""

import argparse
import csv
import dataclasses
import hashlib
import json
import logging
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from preprocessing.cli import InputError, add_common, load_settings, run_command
from preprocessing.files import atomic
from preprocessing.rows import Row, columns, read_rows, write_rows
from preprocessing.settings import DatasetSettings
from preprocessing.sources import open_source
from preprocessing.sources.entries import Entry, Segment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SheetRow(Row):
    """A row of the sheet.

    ``segments`` is JSON, [[start, end, split], …], end -1 = to the end, counted at ``rate`` frames per second (0: the
    file's own frames) from second ``origin`` of the file on. ``url`` is empty for media that are here already. ``box``
    is JSON, [l, t, r, b] in pixels of a frame of ``lines`` lines (0: as shares of the frame), or empty.
    """

    file: str = ""
    sha256: str = ""
    person: str = ""
    shard: int = 0
    segments: str = "[]"
    url: str = ""
    rate: float = 0.0
    origin: float = 0.0
    lines: int = 0
    box: str = ""

    def parts(self, fps: float) -> list[Segment]:
        """The segments as tuples (start, end, split) in frames of a file of ``fps`` frames per second."""
        ratio = fps / self.rate if self.rate > 0 else 1.0
        parts = [(int(start), int(end), str(split)) for start, end, split in json.loads(self.segments)]
        first = round(self.origin * fps)
        return [
            (first + round(start * ratio), end if end < 0 else first + round(end * ratio), split)
            for start, end, split in parts
        ]

    def place(self, height: int, width: int) -> tuple[float, float, float, float] | None:
        """The list's face box (l, t, r, b) in pixels of a frame, None where the list gives none."""
        if not self.box:
            return None
        left, top, right, bottom = json.loads(self.box)
        x, y = (height / self.lines, height / self.lines) if self.lines else (width, height)
        return left * x, top * y, right * x, bottom * y


LONGEST = 64
"""Most characters of a key before the tube's number; names in a plain tar end at 100."""


def safe(stem: str) -> str:
    """A stem made safe for file and tar names: ASCII letters, digits, - and _, no leading dash, 1 to 64 of them."""
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", ascii_only).strip("-")[:LONGEST] or "clip"


def shard_of(name: str, shards: int) -> int:
    """Shard of a clip: a stable hash of its name (of a download's: so that its clips stay together) modulo shards."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % shards


def build(entries: list[Entry], shards: int) -> list[SheetRow]:
    """Rows of the sheet in the order of ``entries``; keys are unique within the dataset."""
    rows: list[SheetRow] = []
    taken: set[str] = set()
    # The number to try next, by key: a list of a million names that all become "clip" is still read in one pass.
    following: dict[str, int] = {}
    for entry in entries:
        plain = safe(entry.clip)
        key, number = plain, following.get(plain.lower(), 2)
        if key.lower() in taken:
            while (key := f"{plain}-{number}").lower() in taken:
                number += 1
            following[plain.lower()] = number
        if not entry.reason:
            taken.add(key.lower())
        rows.append(
            SheetRow(
                clip=entry.clip,
                key=key,
                status="dropped" if entry.reason else "kept",
                stage="sheets" if entry.reason else "",
                reason=entry.reason,
                detail=entry.detail,
                file=entry.file,
                sha256=entry.sha256,
                person=entry.person,
                shard=shard_of(entry.file if entry.url else entry.clip, shards),
                segments=json.dumps(entry.segments, ensure_ascii=False),
                url=entry.url,
                rate=entry.rate,
                origin=entry.origin,
                lines=entry.lines,
                box="" if entry.box is None else json.dumps(entry.box),
            )
        )
    return rows


def write_sheet(path: Path, rows: list[SheetRow]) -> None:
    """Write the sheet as parquet, sorted by shard so that a shard's job reads its part alone, and as CSV, as listed."""
    with atomic(path.with_suffix(".csv")) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        values = columns(rows, SheetRow)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(values)
        writer.writerows(zip(*values.values(), strict=True))
    by_shard = sorted(rows, key=lambda row: row.shard)
    write_rows(path, by_shard, SheetRow)


def without_doubles(entries: list[Entry]) -> list[Entry]:
    """``entries``, of which the second and further ones of one name are dropped: rows are told apart by it."""
    seen: set[str] = set()
    result = []
    for entry in entries:
        if not entry.reason and entry.clip in seen:
            entry = dataclasses.replace(entry, reason="duplicate", detail="the list names this clip before")
        elif not entry.reason:
            seen.add(entry.clip)
        result.append(entry)
    return result


def read_sheet(path: Path, shard: int | None = None) -> list[SheetRow]:
    """Rows of a sheet, of one shard or all; sorted by shard, within one as the source lists them."""
    return read_rows(path, SheetRow, None if shard is None else ("shard", "==", shard))


def main(argv: list[str] | None = None) -> None:
    """Command line: write the sheet of one dataset."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.sheets", description=__doc__)
    parser.add_argument("--dataset", required=True, help="name of the dataset, as in the configuration")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="sheet; a .csv of it beside")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.settings is None:
        raise InputError("--settings is missing: the dataset's source has no default.")
    settings = load_settings(arguments.settings, DatasetSettings, f"datasets.{arguments.dataset}")
    rows = build(without_doubles(open_source(settings.source).entries()), settings.shards)
    write_sheet(arguments.output, rows)
    log.info("%s: %d clips in, %d to fetch", arguments.dataset, len(rows), sum(row.kept for row in rows))


if __name__ == "__main__":
    main()
