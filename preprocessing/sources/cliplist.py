"""A table of the user's own clips: YouTube's videos, files behind addresses, and files beside the table."""

import hashlib
import logging
import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd
import pandera.pandas as pa

from preprocessing.cli import InputError
from preprocessing.settings import ListSettings
from preprocessing.sources import clips
from preprocessing.sources.entries import SPLITS, Entry

log = logging.getLogger(__name__)

COLUMNS = ("clip", "person")
"""Columns that the table must have; of url and file it must have one."""

OPTIONAL = ("url", "file", "split", "start", "end", "fps", *clips.BOX, "sha256")
"""Columns that it may have."""

PEOPLE = 4
"""Without splits, every so many people one is held out."""

_YOUTUBE = (
    r"^https?://(?:www\.|m\.)?(?:youtube\.com/(?:watch\?(?:[^#]*&)?v=|shorts/|embed/|live/)|youtu\.be/)"
    r"([A-Za-z0-9_-]{11})(?:[?&#/].*)?$"
)
_SITE = r"^https?://(?:www\.|m\.)?(?:youtube\.com|youtu\.be)(?:/|$)"

_TEXT = pa.DataFrameSchema(
    {
        "clip": pa.Column(str, clips.filled),
        "url": pa.Column(str, pa.Check.str_matches(r"^$|^https?://[^\s/]+\.?[^\s]*$", error="an http(s) address")),
        "split": pa.Column(str, pa.Check.isin(["", *SPLITS], error=f"one of {', '.join(SPLITS)}")),
        **{name: pa.Column(str, clips.blank_or(clips.whole)) for name in ("start", "end")},
        **{name: pa.Column(str, clips.blank_or(clips.number)) for name in ("fps", *clips.BOX)},
        "sha256": pa.Column(str, pa.Check.str_matches("^$|^[0-9a-f]{64}$", error="64 hexadecimal digits, or nothing")),
    },
    checks=[
        pa.Check(
            lambda rows: (rows["url"] == "") != (rows["file"] == ""), error="exactly one of url and file is needed"
        ),
        pa.Check(
            lambda rows: ~rows["url"].str.contains(_SITE) | (rows["video"] != ""),
            error="url is of YouTube, but not of one video",
        ),
        pa.Check(
            lambda rows: (rows[clips.BOX] == "").sum(axis=1).isin([0, 4]),
            error="left, top, right and bottom come together",
        ),
    ],
)
_RANGES = pa.DataFrameSchema(
    {
        "fps": pa.Column(float, pa.Check.in_range(1, 1000, error="a frame rate"), nullable=True),
        **{
            side: pa.Column(float, pa.Check.in_range(-1, 2, error="a share of the frame"), nullable=True)
            for side in clips.BOX
        },
    },
    checks=[clips.after("start", "end"), clips.after("left", "right"), clips.after("top", "bottom")],
)


class ListSource:
    """The clips of a CSV file."""

    def __init__(self, settings: ListSettings) -> None:
        self.path = settings.path
        if not self.path.is_file():
            raise InputError(f"source.path: {self.path} is not a file; kind 'list' needs a CSV table of clips.")

    def entries(self) -> list[Entry]:
        """See :class:`preprocessing.sources.Source`."""
        table = clips.read_csv(self.path, COLUMNS, optional=OPTIONAL, needs="clip, person, and url or file")
        if (table["url"] == "").all() and (table["file"] == "").all():
            raise InputError(f"{self.path} says in no row where the clip is: it needs a column url or file.")
        table["sha256"] = table["sha256"].str.lower()
        video = table["url"].str.extract(_YOUTUBE, expand=False).fillna("")
        table = clips.checked(table.assign(video=video), _TEXT)
        columns = ["start", "end", "fps", *clips.BOX]
        table = clips.numbers(table, columns).astype(dict.fromkeys(columns, float))
        table = clips.checked(table.assign(start=table["start"].fillna(0)), _RANGES)
        known = {url: _file_name(url) for url in table["url"].unique()}
        of_youtube = clips.youtube(table["video"])
        table = table.assign(
            file=table["file"].mask(table["url"] != "", table["url"].map(known)).mask(video != "", of_youtube["file"]),
            url=table["url"].mask(video != "", of_youtube["url"]),
            person=table["person"].mask(table["person"] == "", table["clip"]),
            rate=table["fps"].fillna(0.0),
        )
        table["video"] = table["file"]
        return clips.entries(self._split(table))

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """The user's own file, in place."""
        return clips.local(self.path.parent, file)

    def _split(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table's splits, whose leaks are only said; where it has none every fourth person is held out."""
        kept = table[table["problem"] == ""].drop_duplicates("clip")
        if (table["split"] == "").all():
            test = sorted(kept["person"].unique())[PEOPLE - 1 :: PEOPLE]
            split = table["person"].isin(test).map({True: "test", False: "train"})
            log.info("%s has no splits: every fourth person is held out", self.path)
            return clips.held_out_together(table.assign(split=split))
        table = table.assign(split=table["split"].mask(table["split"] == "", "train"))
        kept = table.loc[kept.index]
        for column in ("person", "video"):
            both = set.intersection(*(set(kept.loc[kept["split"] == part, column]) for part in ("train", "test")))
            if both:
                log.warning("%s: %s %s in both train and test", self.path, column, ", ".join(sorted(both)[:5]))
        return table


def _file_name(url: str) -> str:
    """The name under which the file behind ``url`` is kept: readable, and one for each address."""
    path = PurePosixPath(urlsplit(url).path)
    suffix = path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", path.suffix) else ""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", path.stem).strip("-")[:48] or "clip"
    return f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:12]}{suffix}"
