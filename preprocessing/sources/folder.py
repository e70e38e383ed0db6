"""A folder of the user's own videos, with an optional ``clips.csv`` (clip, person, split)."""

import logging
from pathlib import Path

import pandas as pd

from preprocessing.cli import InputError, progress
from preprocessing.detectors.backends import BoxDetector, MediapipeBoxes
from preprocessing.reasons import Dropped
from preprocessing.settings import FolderSettings, ScanSettings
from preprocessing.sources.entries import BLOCK_SECONDS, SPLITS, Entry, Segment, blocks, last_quarter
from preprocessing.video import VideoInfo, frames, scan

log = logging.getLogger(__name__)

_VIDEO = "mp4 m4v mov avi mkv webm mpg mpeg flv wmv ts mts m2ts ogv ogg 3gp y4m gif vob asf"
SUFFIXES = frozenset(f".{suffix}" for suffix in _VIDEO.split(" "))
"""Suffixes taken for videos."""

_COMPANION = "md txt csv tsv json yaml yml license pdf html srt vtt jpg jpeg png"
COMPANIONS = frozenset(f".{suffix}" for suffix in _COMPANION.split(" "))
"""Suffixes of files that may lie beside videos without being meant as one."""

COLUMNS = ("clip", "person", "split")
"""Columns of ``clips.csv``."""

PEOPLE = 4
"""From so many usable videos on, each is a person of its own and every fourth is held out."""

PROBED = 64
"""In larger folders without ``clips.csv`` every file counts as usable, without looking into it."""


HELD_OUT = 8
"""Frames held out of a very short clip."""

LOOKS = 8
"""Frames in which the quick look searches a face."""


class FolderSource:
    """Every video file directly in a folder; the files stay where they are."""

    def __init__(self, settings: FolderSettings) -> None:
        if not settings.path.is_dir():
            raise InputError(f"{settings.path} is not a folder of videos.")
        self.folder = settings.path
        self.limits = settings.scan

    def entries(self) -> list[Entry]:
        """See :class:`preprocessing.sources.Source`."""
        listed, rejected = self._files()
        sheet = self.folder / "clips.csv"
        if sheet.is_file():
            return sorted(self._by_sheet(listed, sheet) + rejected, key=lambda entry: entry.file)
        return sorted(self._by_rule(listed) + rejected, key=lambda entry: entry.file)

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """The user's own file, in place."""
        path = self.folder / file
        if not path.is_file():
            raise Dropped("missing", f"{file} is not in the folder")
        return path

    def _files(self) -> tuple[list[Path], list[Entry]]:
        """Files that may be videos, and entries of those that cannot be used whatever they hold."""
        listed: list[Path] = []
        rejected: list[Entry] = []
        stems: dict[str, str] = {}
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name.encode("utf-8", "surrogateescape")):
            suffix = path.suffix.lower()
            if path.name.startswith(".") or not path.is_file() or suffix in COMPANIONS:
                continue
            name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            stem = Path(name).stem
            if name != path.name:
                rejected.append(Entry(stem, name, stem, (), reason="bad-name"))
            elif suffix not in SUFFIXES:
                rejected.append(Entry(stem, name, stem, (), reason="not-a-video", detail=f"suffix '{path.suffix}'"))
            elif stem in stems:
                detail = f"{stems[stem]} has the same stem"
                rejected.append(Entry(stem, name, stem, (), reason="duplicate", detail=detail))
            else:
                stems[stem] = name
                listed.append(path)
        if not listed and not rejected:
            raise InputError(f"{self.folder} holds no videos.")
        return listed, rejected

    def _by_sheet(self, files: list[Path], sheet: Path) -> list[Entry]:
        """Persons and splits from ``clips.csv``."""
        table = read_sheet(sheet, {path.stem for path in files}, {path.name: path.stem for path in files})
        entries = []
        for path in files:
            if path.stem not in table:
                log.info("%s does not list %s: it becomes a person of its own, split train", sheet, path.name)
            person, split = table.get(path.stem, (path.stem, "train"))
            entries.append(Entry(path.stem, path.name, person, ((0, -1, split),)))
        _warn_about_people(entries, sheet)
        return entries

    def _by_rule(self, files: list[Path]) -> list[Entry]:
        """No sheet: split by person when there are enough usable videos, else hold out blocks of time."""
        found: dict[Path, VideoInfo | None] = {}
        if len(files) <= PROBED:
            detect = MediapipeBoxes()
            for path in progress(files, "looking for faces"):
                try:
                    found[path] = look(path, detect, self.limits)
                except Dropped as dropped:
                    log.info("%s does not count for the split: %s", path.name, dropped)
        else:
            found = dict.fromkeys(files)
        by_person = len(found) >= PEOPLE
        if by_person:
            log.info("%d usable videos without clips.csv: each is a person, every fourth is held out", len(found))
        else:
            log.info("%d usable videos without clips.csv: every fourth block of two seconds is held out", len(found))
        entries = []
        turn = {path: number for number, path in enumerate(found)}
        for path in files:
            segments: tuple[Segment, ...] = ((0, -1, "train"),)
            if path in found:
                info = found[path]
                if by_person:
                    segments = ((0, -1, "test" if turn[path] % PEOPLE == PEOPLE - 1 else "train"),)
                elif info is not None:
                    segments = in_time(info.frames, info.fps)
            entries.append(Entry(path.stem, path.name, path.stem, segments))
        return entries


def in_time(count: int, fps: float) -> tuple[Segment, ...]:
    """Blocks of time where the clip is long enough for a whole one to be held out, else its last quarter.

    Of a clip so short that the usual margin would eat the quarter, the last frames are held out behind a margin of
    a twentieth of the clip.
    """
    if count >= 4 * BLOCK_SECONDS * fps:
        return blocks(count, fps)
    parts = last_quarter(count, fps)
    if parts and parts[-1][2] == "test" and parts[-1][1] - parts[-1][0] >= HELD_OUT:
        return parts
    start = count - HELD_OUT
    return ((0, start - count // 20, "train"), (start, count, "test")) if start > HELD_OUT else ((0, count, "train"),)


def look(path: Path, detect: BoxDetector, limits: ScanSettings) -> VideoInfo:
    """A quick look whether a video can be used: it decodes, and shows a face in one of a few frames.

    Raises :class:`Dropped` (corrupt, too-short, no-face, …). The real stages decide; this only keeps files that
    cannot be used from counting where the split is chosen.
    """
    info = scan(path, limits)
    if info.frames < 2:
        raise Dropped("too-short", f"{info.frames} frames")
    places = sorted({round(i * (info.frames - 1) / (LOOKS - 1)) for i in range(LOOKS)})
    for _, frame in frames(path, spans=[(place, place + 1) for place in places]):
        if len(detect([frame])[0]):
            return info
    raise Dropped("no-face", f"none in {len(places)} frames")


def _warn_about_people(entries: list[Entry], sheet: Path) -> None:
    """Say what a stranger would want to know about the sheet's splits."""
    people = {split: {e.person for e in entries for s in e.segments if s[2] == split} for split in SPLITS}
    both = sorted(people["train"] & people["test"])
    if both:
        log.warning("%s: %s in both train and test; the test is of known people", sheet, ", ".join(both))
    for split in ("train", "test"):
        if not people[split]:
            log.warning("%s gives no clip the split %s", sheet, split)


def read_sheet(path: Path, stems: set[str], names: dict[str, str]) -> dict[str, tuple[str, str]]:
    """(person, split) by clip from a ``clips.csv``; anything wrong raises :class:`InputError` in one sentence.

    ``stems`` are the folder's clips; ``names`` maps file names to stems, since people write either.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a CSV table: {' '.join(str(error).split())}.") from None
    table.columns = [str(column).strip() for column in table.columns]
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise InputError(f"{path} has no column '{missing[0]}'; it needs {', '.join(COLUMNS)}.")
    result: dict[str, tuple[str, str]] = {}
    for line, (clip, person, split) in enumerate(table[list(COLUMNS)].itertuples(index=False), start=2):
        clip, person, split = clip.strip(), person.strip(), split.strip()
        clip = clip if clip in stems else names.get(clip, clip)
        if clip not in stems:
            raise InputError(f"{path}, line {line}: clip '{clip}' is not a video in the folder.")
        if split not in SPLITS:
            raise InputError(f"{path}, line {line}: split '{split}' is none of {', '.join(SPLITS)}.")
        if result.setdefault(clip, (person or clip, split)) != (person or clip, split):
            raise InputError(f"{path}, line {line}: clip '{clip}' is listed twice with different values.")
    return result
