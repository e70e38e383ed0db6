"""Bring one shard's videos to this machine and look into each: size, frame rate, frames, hash.

Embedded clips are copied from the cache (filled with the package clients when it lacks them) into a folder
beside the output; a user's own videos stay where they are. A rerun over an existing output tries only clips
whose reason may pass (time-outs, a network that failed).
"""

import argparse
import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.embedded import cache_directory, fill_cache
from preprocessing.files import sha256
from preprocessing.reasons import Dropped, is_transient
from preprocessing.rows import Row, drop, read_rows, write_stage
from preprocessing.settings import DatasetSettings, ScanSettings
from preprocessing.sheets import SheetRow, read_sheet
from preprocessing.sources import Source, open_source
from preprocessing.video import scan

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FetchRow(Row):
    """A fetched clip: where its media lie, and what they are."""

    path: str = ""
    sha256: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    frames: int = 0


def fetch_clip(
    sheet: SheetRow, source: Source, directory: Path, attempts: int = 1, limits: ScanSettings | None = None
) -> FetchRow:
    """Fetch and probe one clip; failures become the row's reason."""
    row = FetchRow(sheet.clip, sheet.key, sheet.status, sheet.stage, sheet.reason, sheet.detail, attempts)
    if not row.kept:
        return row
    try:
        path = source.bring(sheet.file, sheet.sha256, directory)
        info = scan(path, limits)
        digest = sha256(path)
        if sheet.sha256 and digest != sheet.sha256:
            raise Dropped("hash-mismatch", f"{sheet.file} is not the pinned file")
    except Dropped as dropped:
        return drop(row, "fetch", dropped)
    return dataclasses.replace(
        row, path=str(path), sha256=digest, bytes=path.stat().st_size, **dataclasses.asdict(info)
    )


def main(argv: list[str] | None = None) -> None:
    """Command line: fetch one shard, or fill the cache."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.fetch", description=__doc__)
    parser.add_argument("--prefetch", action="store_true", help="only fill the cache with the embedded clips")
    parser.add_argument("--sheet", type=Path, metavar="PARQUET", help="sheet of the dataset")
    parser.add_argument("--shard", type=int, metavar="N", help="shard to fetch")
    parser.add_argument("--output", type=Path, metavar="PARQUET", help="rows to write; media lie in the folder beside")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.prefetch:
        try:
            fill_cache()
        except Dropped as dropped:
            raise InputError(f"The embedded clips cannot be fetched: {dropped}.") from None
        log.info("the embedded clips lie in %s", cache_directory())
        return
    for name in ("settings", "sheet", "shard", "output"):
        if getattr(arguments, name) is None:
            raise InputError(f"--{name} is missing.")
    settings = load_settings(arguments.settings, DatasetSettings, "dataset")
    source = open_source(settings.source)
    output: Path = arguments.output
    before = {row.clip: row for row in _earlier(output)}
    rows = []
    for sheet in progress(read_sheet(arguments.sheet, arguments.shard), "fetch"):
        old = before.get(sheet.clip)
        if old is not None and old.stage == "fetch" and not is_transient(old.reason):
            rows.append(old)
            continue
        attempts = old.attempts + 1 if old is not None and is_transient(old.reason) else 1
        rows.append(fetch_clip(sheet, source, output.with_suffix(""), attempts, settings.source.scan))
    output.with_suffix("").mkdir(parents=True, exist_ok=True)
    write_stage(output, rows, FetchRow, bytes=sum(row.bytes for row in rows))


def _earlier(output: Path) -> list[FetchRow]:
    """Rows of an earlier run, none when there was none or its file is of another version."""
    try:
        return read_rows(output, FetchRow)
    except InputError:
        return []


if __name__ == "__main__":
    main()
