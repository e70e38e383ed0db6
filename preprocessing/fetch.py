"""Bring one shard's videos to this machine and look into each: size, frame rate, frames, hash.

Media with an address are downloaded into a store beside the stages and linked into the folder beside the output;
embedded clips are copied there from the cache (filled with the package clients when it lacks them); a user's own
videos stay where they are. Clips that are parts of one file share its download and its first look.

A rerun tries only clips whose failure may pass (time-outs, a network that failed, a block), and looks again into those
files only that have changed. While such clips are left, the rows so far stay in a table that no rule declares.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.downloads.sites import LeftAlone
from preprocessing.downloads.store import Downloader
from preprocessing.files import sha256
from preprocessing.reasons import Dropped, is_transient
from preprocessing.retries import leave, waiting
from preprocessing.rows import Row, drop, read_rows, write_rows, write_stage
from preprocessing.settings import WANTED, DatasetSettings
from preprocessing.sheets import SheetRow, read_sheet
from preprocessing.sources import Source, open_source
from preprocessing.sources.embedded import cache_directory, fill_cache
from preprocessing.video import VideoInfo, scan

log = logging.getLogger(__name__)

BROKEN = ("empty-file", "corrupt", "hash-mismatch")
"""Reasons for which a download is not kept."""


@dataclass(frozen=True, slots=True)
class FetchRow(Row):
    """A fetched clip: where its media lie, and what they are.

    ``frames`` counts no further than the last frame that a clip of the file needs, ``attempts`` the runs that tried to
    bring it; ``asked`` is a fingerprint of what was asked for.
    """

    path: str = ""
    sha256: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    frames: int = 0
    asked: str = ""


@dataclass(frozen=True)
class Media:
    """One file that was brought and looked into."""

    path: Path
    sha256: str
    bytes: int
    info: VideoInfo


class Fetcher:
    """Fetches the clips of ``sheet``, a shard's, into ``directory``: each file once, however many of them it holds."""

    def __init__(
        self,
        settings: DatasetSettings,
        source: Source,
        downloader: Downloader,
        directory: Path,
        sheet: list[SheetRow],
        earlier: list[FetchRow],
    ) -> None:
        self.settings, self.source, self.downloader, self.directory = settings, source, downloader, directory
        # A row that the sheet dropped may have the name of one that is fetched.
        self.earlier = {(row.clip, row.asked): row for row in earlier if row.stage != "sheets"}
        self.clips: dict[tuple[str, str], list[SheetRow]] = {}
        for row in sheet:
            if row.kept:
                self.clips.setdefault((row.url, row.file), []).append(row)
        self.files: dict[tuple[str, str, str], Media | Dropped] = {}

    def fetch(self, sheet: SheetRow) -> FetchRow:
        """One clip's row; failures become its reason."""
        asked = self._asked(sheet)
        row = FetchRow(sheet.clip, sheet.key, sheet.status, sheet.stage, sheet.reason, sheet.detail, asked=asked)
        if not row.kept:
            return row
        old = self.earlier.get((sheet.clip, asked))
        if old is not None and not old.kept and not self.may_pass(old):
            return old
        before = old.attempts if old is not None else 0
        file = (sheet.url, sheet.file, sheet.sha256)
        if file not in self.files:
            self.files[file] = self._media(sheet, old)
        media = self.files[file]
        tried = not isinstance(media, LeftAlone) and not (old is not None and old.kept)
        row = dataclasses.replace(row, attempts=before + tried)
        if isinstance(media, Dropped):
            return drop(row, "fetch", media)
        info = dataclasses.asdict(media.info)
        return dataclasses.replace(row, path=str(media.path), sha256=media.sha256, bytes=media.bytes, **info)

    def may_pass(self, row: FetchRow) -> bool:
        """True when a later run should try the clip again."""
        return row.stage == "fetch" and is_transient(row.reason) and row.attempts < self.settings.download.attempts

    def _asked(self, sheet: SheetRow) -> str:
        """A fingerprint of what decides how a clip's fetch ends, but for the world outside."""
        needs = sorted({(row.segments, row.rate, row.origin) for row in self.clips.get((sheet.url, sheet.file), ())})
        limits = self.settings.source.scan.model_dump_json()
        wanted = self.settings.download.model_dump_json(include=set(WANTED))
        words = json.dumps([sheet.url, sheet.file, sheet.sha256, needs, limits, wanted])
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    def _until(self, path: Path, sheet: SheetRow) -> int | None:
        """The frame after the last that a clip of the file needs, None where one needs the whole."""
        clips = self.clips[(sheet.url, sheet.file)]
        limits = self.settings.source.scan
        # A list that counts at another rate, or from a later second on, is of use once the file's rate is known: by its
        # first frame.
        rate = scan(path, limits, 1).fps if any(row.rate > 0 or row.origin > 0 for row in clips) else 0.0
        ends = [end for row in clips for _, end, _ in row.parts(rate)]
        return max(ends) if ends and min(ends) >= 0 else None

    def _media(self, sheet: SheetRow, old: FetchRow | None) -> Media | Dropped:
        """Bring the file of a clip and look into it, unless it is the one that ``old`` describes."""
        try:
            if sheet.url:
                path = self.downloader.bring(sheet.url, sheet.file, self.directory)
            else:
                path = self.source.bring(sheet.file, sheet.sha256, self.directory)
            return self._seen(path, sheet, old)
        except Dropped as dropped:
            # A wrong hash in one row of the sheet takes nothing away from the file's other clips.
            in_use = any(isinstance(media, Media) and media.path.name == sheet.file for media in self.files.values())
            if sheet.url and dropped.reason in BROKEN and not in_use:
                self.downloader.forget(sheet.file, self.directory)
            return dropped

    def _seen(self, path: Path, sheet: SheetRow, old: FetchRow | None) -> Media:
        """What ``path`` is."""
        size = path.stat().st_size if path.is_file() else 0
        if old is not None and old.kept and old.bytes == size and old.sha256 == (digest := sha256(path)):
            return Media(path, digest, size, VideoInfo(old.width, old.height, old.fps, old.frames))
        info = scan(path, self.settings.source.scan, self._until(path, sheet))
        digest = sha256(path)
        if sheet.sha256 and digest != sheet.sha256:
            raise Dropped("hash-mismatch", f"{sheet.file} is not the pinned file")
        return Media(path, digest, size, info)


def main(argv: list[str] | None = None) -> None:
    """Command line: fetch one shard, or fill the cache."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.fetch", description=__doc__)
    parser.add_argument("--prefetch", action="store_true", help="only fill the cache with the embedded clips")
    parser.add_argument("--sheet", type=Path, metavar="PARQUET", help="sheet of the dataset")
    parser.add_argument("--shard", type=int, metavar="N", help="shard to fetch")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PARQUET",
        help="rows to write; media lie in the folder beside, downloads are kept in the folder 'downloads' above",
    )
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
    output: Path = arguments.output
    directory = output.with_suffix("")
    sheet = read_sheet(arguments.sheet, arguments.shard)
    _check_addresses(sheet, arguments.sheet)
    with Downloader(output.parent.parent / "downloads", settings.download) as downloader:
        fetcher = Fetcher(settings, open_source(settings.source), downloader, directory, sheet, _earlier(output))
        rows = [fetcher.fetch(row) for row in progress(sheet, "fetch")]
    directory.mkdir(parents=True, exist_ok=True)
    write_stage(output, rows, FetchRow, bytes=sum({row.path: row.bytes for row in rows}.values()))
    for row in rows:
        if row.stage == "fetch":
            log.info("%s dropped: %s: %s", row.clip, row.reason, row.detail)
    log.info("shard %s: %s", output.stem, summary(rows, fetcher.may_pass))
    if any(fetcher.may_pass(row) for row in rows):
        leave(output, lambda path: write_rows(path, rows, FetchRow))
        log.info("the next run tries again what may still come")


def summary(rows: list[FetchRow], may_pass: Callable[[FetchRow], bool]) -> str:
    """What came of a shard, for people: clips here, dropped and given up by reason, and still to come."""
    dropped = [row for row in rows if not row.kept and not may_pass(row)]
    words = [f"{len(rows)} clips", f"{sum(row.kept for row in rows)} here"]
    for over, what in ((False, "dropped for good"), (True, "given up, their attempts are used up")):
        if reasons := Counter(row.reason for row in dropped if is_transient(row.reason) == over):
            counts = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            words.append(f"{reasons.total()} {what} ({counts})")
    if waiting_for := sum(may_pass(row) for row in rows):
        words.append(f"{waiting_for} may still come")
    return ", ".join(words)


def _check_addresses(sheet: list[SheetRow], path: Path) -> None:
    """Raise :class:`InputError` where one file's name stands for two addresses."""
    addresses: dict[str, str] = {}
    for row in sheet:
        if row.kept and addresses.setdefault(row.file, row.url) != row.url:
            raise InputError(f"{path}: the file '{row.file}' has two addresses, {addresses[row.file]} and {row.url}.")


def _earlier(output: Path) -> list[FetchRow]:
    """Rows of an earlier run: its output where it still stands (Snakemake removes it), else what it left for this one;
    none when there was none or its file is of another version."""
    for path in (output, waiting(output.parent).get(output.stem)):
        if path is not None and path.is_file():
            try:
                return read_rows(path, FetchRow)
            except InputError as error:
                log.warning("%s", error)
    return []


if __name__ == "__main__":
    main()
