"""VoxCeleb's utterance files: where in a video a person talks, and the face's box in each frame.

A file ``…/{person}/{video}/{utterance}.txt`` holds some lines about the utterance, then a table FRAME X Y W H: frames
at 25 per second, boxes in pixels of a frame of 360 lines (VoxCeleb1) or as shares of the frame (VoxCeleb2).
"""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pandera.pandas as pa

from preprocessing.cli import InputError, progress
from preprocessing.sources import clips

RATE = 25.0
"""Frames per second in which both datasets count."""

_UTTERANCES = pa.DataFrameSchema(
    {
        "person": pa.Column(str, pa.Check.str_matches(r"^id\d{5}$", error="an id of VoxCeleb (id and 5 digits)")),
        "video": pa.Column(str, clips.youtube_id),
        "utterance": pa.Column(str, pa.Check.str_matches(r"^\d{5}$", error="five digits")),
    },
    checks=[clips.after("start", "end"), clips.after("left", "right"), clips.after("top", "bottom")],
)


def read_utterances(places: Iterable[Path]) -> pd.DataFrame:
    """The table of clips, one per utterance file in folders and zips; ``part`` is ``test`` below a test folder or zip.

    A clip's box is the median of its frames' boxes, which says what face is meant. Raises :class:`InputError` for a
    place without such files.
    """
    rows: list[tuple[object, ...]] = []
    for place in places:
        before = len(rows)
        for name, text in progress(_files(place), f"reading {place.name}"):
            rows.append(_row(place, name, text))
        if len(rows) == before:
            raise InputError(f"{place} holds no utterance files (…/id…/video/00001.txt).")
    names = ["list", "part", "person", "video", "utterance", "start", "end", *clips.BOX, "problem"]
    table = clips.checked(pd.DataFrame(rows, columns=names), _UTTERANCES)
    return table.assign(
        clip=table["person"] + "#" + table["video"] + "#" + table["utterance"],
        rate=RATE,
        line=1,
        **clips.youtube(table["video"]),
    )


def _files(place: Path) -> Iterator[tuple[PurePosixPath, str]]:
    """Relative path and text of every .txt file of a folder or zip, in the order of their names."""
    if place.is_dir():
        for path in sorted(place.rglob("*.txt")):
            yield PurePosixPath(path.relative_to(place).as_posix()), path.read_text(encoding="utf-8", errors="replace")
        return
    try:
        with zipfile.ZipFile(place) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".txt"):
                    yield PurePosixPath(name), archive.read(name).decode("utf-8", "replace")
    except (OSError, *clips.BROKEN_ZIP) as error:
        raise InputError(f"{place} is neither a folder nor a zip of utterance files: {error}.") from None


def _row(place: Path, name: PurePosixPath, text: str) -> tuple[object, ...]:
    """One utterance file as a row of the table."""
    person, video, utterance = ("", "", *name.with_suffix("").parts)[-3:]
    part = "test" if "test" in place.stem.split("_") or "test" in name.parts else "train"
    start, end, box, problem = 0, -1, (np.nan,) * 4, ""
    body = text.partition("FRAME")[2]
    try:
        values = np.array(body.split()[4:], dtype=float).reshape(-1, 5)
        if not (len(values) and np.isfinite(values).all() and (np.diff(values[:, 0]) > 0).all() and values[0, 0] >= 0):
            raise ValueError
        start, end = int(values[0, 0]), int(values[-1, 0]) + 1
        x, y, width, height = np.median(values[:, 1:], axis=0)
        box = (x, y, x + width, y + height)
    except ValueError:
        problem = "not a table FRAME X Y W H with growing frames"
    return (name.as_posix(), part, person, video, utterance, start, end, *box, problem)
