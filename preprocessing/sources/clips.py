"""Lists of clips as tables: read, checked row by row against a schema, told apart, split without leaks.

Every row of a list becomes an entry. A row that is wrong is an entry with its reason, named after its line, and never
an error; only a file that is no such list is one. A table has one row per clip and the columns of :data:`COLUMNS`;
``problem`` says what is wrong with a row, or nothing.
"""

import csv
import logging
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.sources.entries import Entry

log = logging.getLogger(__name__)

COLUMNS: dict[str, str | int | float] = {
    "clip": "", "file": "", "url": "", "person": "", "video": "", "start": 0, "end": -1, "split": "train", "rate": 0.0,
    "origin": 0.0, "lines": 0, "left": np.nan, "top": np.nan, "right": np.nan, "bottom": np.nan, "sha256": "",
    "list": "", "line": 0, "problem": "",
}  # fmt: skip
"""Columns of a table of clips and what each holds where a list says nothing; ``list`` and ``line`` are its place."""

BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What :mod:`zipfile` raises for a damaged member, or one with a password or an unknown compression."""

BOX = ["left", "top", "right", "bottom"]

whole = pa.Check.str_matches(r"^\d{1,9}$", error="a whole number from 0 on")
number = pa.Check.str_matches(r"^-?(?:\d{1,9}(?:\.\d{0,17})?|\.\d{1,17})$", error="a number")
youtube_id = pa.Check.str_matches(r"^[A-Za-z0-9_-]{11}$", error="an id of YouTube (11 letters, digits, - or _)")
filled = pa.Check.str_matches(r"\S", error="given")


def blank_or(check: pa.Check) -> pa.Check:
    """``check`` for a column that may be empty."""
    assert check.statistics is not None
    return pa.Check.str_matches(f"^$|{check.statistics['pattern']}", error=f"{check.error}, or nothing")


def after(first: str, last: str) -> pa.Check:
    """A check of whole rows: ``last`` is greater than ``first``, where both are given."""
    return pa.Check(
        lambda rows: ~(rows[last] <= rows[first]), ignore_na=False, error=f"{last} must be greater than {first}"
    )


def read_csv(
    path: Path | zipfile.Path,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    header: bool = True,
    needs: str = "",
) -> pd.DataFrame:
    """The rows of a CSV file as text, with ``list`` (its name), ``line`` and ``problem``.

    Without a ``header`` the file's columns are ``columns``. Other columns than these are left out, missing
    ``optional`` ones are empty. ``needs`` says in words what a table needs, where that is more than ``columns``. Raises
    :class:`InputError` for a file that is no such table.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    names = list(columns)
    try:
        with path.open("r", newline="", encoding="utf-8-sig", errors="replace") as stream:
            reader = csv.reader(stream)
            if header:
                names = [name.strip() for name in next(reader, [])]
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None
    except (csv.Error, *BROKEN_ZIP) as error:
        raise InputError(f"{path} is not a CSV table: {error}.") from None
    if missing := [name for name in columns if name not in names]:
        marks = {";": "a semicolon", "\t": "a tab"}
        found = next((f" (separated by {marks[mark]}, not a comma)" for mark in marks if mark in "".join(names)), "")
        raise InputError(f"{path} has no column '{missing[0]}'{found}; it needs {needs or ', '.join(columns)}.")
    if not rows:
        raise InputError(f"{path} lists no clips.")
    counts = np.array([len(row) for row in rows])
    wide = [row if len(row) == len(names) else [*row, *[""] * len(names)][: len(names)] for row in rows]
    table = pd.DataFrame(wide, columns=names, dtype=str)
    table = table.loc[:, ~table.columns.duplicated()].reindex(columns=[*columns, *optional], fill_value="")
    table = table.apply(lambda column: column.str.strip())
    table["list"], table["line"], table["problem"] = path.name, lines, ""
    uneven = counts != len(names)
    table.loc[uneven, "problem"] = [f"{count} fields instead of {len(names)}" for count in counts[uneven]]
    return table


def checked(table: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """``table`` with the first ``problem`` of each row that does not meet ``schema``; earlier problems stay."""
    sound = table[table["problem"] == ""]
    try:
        schema.validate(sound, lazy=True)
    except SchemaErrors as errors:
        # A column's own fault first. A check of a whole row names each of its columns; its words say which matter.
        cases = errors.failure_cases.dropna(subset="index").sort_values("schema_context", kind="stable")
        cases = cases.drop_duplicates("index").set_index("index")
        whole_row = cases["schema_context"] == "DataFrameSchema"
        table = table.copy()
        words = cases["check"].astype(str)
        one_cell = cases["column"].astype(str) + " = '" + cases["failure_case"].astype(str) + "' is not " + words
        table.loc[cases.index, "problem"] = words.where(whole_row, one_cell)
    return table


def numbers(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """``table`` with text ``columns`` as numbers; NaN where they are empty, or the row has a problem."""
    return table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in columns})


def youtube(ids: pd.Series) -> dict[str, pd.Series]:
    """The columns of clips that are parts of YouTube's videos."""
    return {"video": ids, "file": ids + ".mp4", "url": "https://www.youtube.com/watch?v=" + ids}


def held_out_together(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with every person and every video in one part only: whatever shares one with a test clip is test.

    Sharing goes on: the test clip's person's other videos, their other people, and so on.
    """
    sound = table["problem"] == ""
    test = sound & (table["split"] == "test")
    while True:
        wider = test.copy()
        for column in ("person", "video"):
            known = sound & (table[column] != "")
            wider |= known & table[column].isin(table.loc[known & wider, column])
        if (wider == test).all():
            break
        test = wider
    moved = test & (table["split"] != "test")
    if moved.any():
        people = ", ".join(sorted(table.loc[moved, "person"].unique())[:5])
        log.warning("%d rows are test, not train as listed: their people or videos are (%s)", moved.sum(), people)
    return table.assign(split=table["split"].mask(moved, "test"))


def entries(table: pd.DataFrame) -> list[Entry]:
    """One entry per row, in the rows' order.

    Of rows that name one clip the first is used and the others are duplicates. A dropped row is named after its line
    too, so that no two entries have one name.
    """
    full = pd.DataFrame({name: table.get(name, value) for name, value in COLUMNS.items()}, table.index)
    bad = full["problem"] != ""
    line = (", line " + full["line"].astype(str)).where(full["line"] > 0, "")  # 0: the files themselves are the list
    place = full["list"].astype(str) + line
    reason = pd.Series("", full.index).mask(bad, "bad-row")
    detail = pd.Series("", full.index).mask(bad, place + ": " + full["problem"])
    sound = full[~bad]
    again = sound.index[sound.duplicated("clip")]
    first = place[sound.index].groupby(sound["clip"]).transform("first")
    content = [name for name in COLUMNS if name not in ("list", "line", "split")]
    same = sound.duplicated(content)
    reason[again] = "duplicate"
    detail[again] = (
        place[again] + ": the same clip as " + first[again] + np.where(same[again], "", ", with other values")
    )
    full["clip"] = full["clip"].mask(reason != "", full["clip"] + " (" + place + ")")
    log.info("%d rows: %d clips, %d duplicates, %d bad rows", len(full), (reason == "").sum(), len(again), bad.sum())
    plain = {name: full[name].fillna(-1 if name == "end" else 0).tolist() for name in COLUMNS if name not in BOX}
    boxes = full[BOX].to_numpy(float)
    given = np.isfinite(boxes).all(axis=1)
    return [
        Entry(
            clip, file, person, () if why else ((int(start), int(end), split),), sha, why, what, url, float(rate),
            float(origin), int(lines), tuple(box) if boxed and not why else None,
        )
        for clip, file, person, start, end, split, sha, why, what, url, rate, origin, lines, box, boxed in zip(
            plain["clip"], plain["file"], plain["person"], plain["start"], plain["end"], plain["split"],
            plain["sha256"], reason.tolist(), detail.tolist(), plain["url"], plain["rate"], plain["origin"],
            plain["lines"], boxes.tolist(), given.tolist(), strict=True,
        )
    ]  # fmt: skip


def local(folder: Path | None, file: str) -> Path:
    """A file of the user's own in its place; raises Dropped where it is not there, or the source has no folder."""
    if folder is None or not (folder / file).is_file():
        raise Dropped("missing", f"{file} is not in {folder}" if folder else f"{file} has neither address nor folder")
    return folder / file
