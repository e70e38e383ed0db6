"""TalkingHead-1KH: clips in YouTube's videos by its lists ``{train,val}_video_tubes.txt``.

A line is name, H, W, S, E, L, T, R, B: frames S to E (both inclusive) and box of a one-minute segment, whose frames
were H × W. The name is the video's id and the segment's number. The segments are made by ffmpeg without encoding
(``videos_split.sh``), which cuts at the first key frame from each full minute on: segment n begins at second 60 n, or
up to one distance of key frames later. Only the former can be known without the file.
"""

import zipfile
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from preprocessing import lists
from preprocessing.cli import InputError
from preprocessing.settings import TalkingHead1KHSettings
from preprocessing.sources import clips
from preprocessing.sources.entries import Entry

COLUMNS = ("name", "H", "W", "S", "E", "L", "T", "R", "B")
SEGMENT_SECONDS = 60

_TUBES = pa.DataFrameSchema(
    {
        "name": pa.Column(str, pa.Check.str_matches(r"^[A-Za-z0-9_-]{11}_\d{4}$", error="a video's id, _, 4 digits")),
        **{name: pa.Column(str, clips.whole) for name in COLUMNS[1:]},
    }
)
_RANGES = pa.DataFrameSchema(
    {name: pa.Column(float, pa.Check.in_range(1, 65_536, error="a size in pixels")) for name in ("H", "W")},
    checks=[clips.after("start", "end"), clips.after("left", "right"), clips.after("top", "bottom")],
)


def tubes(path: Path | zipfile.Path) -> pd.DataFrame:
    """The table of clips of one list; clips are named as the dataset's own script names its files."""
    table = clips.checked(clips.read_csv(path, COLUMNS, header=False), _TUBES)
    name = table["name"].copy()
    for column in ("S", "E", "L", "T", "R", "B"):
        name += f"_{column}" + table[column]
    table = clips.numbers(table, COLUMNS[1:]).astype(dict.fromkeys(COLUMNS[1:], float))
    sides = {"left": ("L", "W"), "top": ("T", "H"), "right": ("R", "W"), "bottom": ("B", "H")}
    table = table.assign(
        start=table["S"], end=table["E"] + 1, **{side: table[at] / table[of] for side, (at, of) in sides.items()}
    )
    video, number = table["name"].str[:11], pd.to_numeric(table["name"].str[12:], errors="coerce")
    return clips.checked(table, _RANGES).assign(
        clip=name, person=video, origin=SEGMENT_SECONDS * number.fillna(0.0), **clips.youtube(video)
    )


class TalkingHeadSource:
    """Clips in YouTube's videos; nobody is named, so that a video counts as a person."""

    def __init__(self, settings: TalkingHead1KHSettings) -> None:
        self.settings = settings

    def entries(self) -> list[Entry]:
        """See :class:`preprocessing.sources.Source`."""
        own = self.settings.lists
        place = own if own is not None and own.is_dir() else lists.find(lists.TALKING_HEAD, own)
        parts = [
            tubes(_member(place, f"{part}_video_tubes.txt")).assign(split="test" if part == "val" else "train")
            for part in self.settings.parts
        ]
        return clips.entries(clips.held_out_together(pd.concat(parts, ignore_index=True)))

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """Nothing lies here: every clip has an address."""
        return clips.local(None, file)


def _member(place: Path, name: str) -> Path | zipfile.Path:
    """The list ``name`` in a folder or zip, also in a folder ``data_list`` of it."""
    try:
        top = place if place.is_dir() else zipfile.Path(place)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{place} is neither a folder nor a zip of lists: {error}.") from None
    for path in (top / name, top / "data_list" / name):
        if path.is_file():
            return path
    raise InputError(f"{place} holds no {name}.")
