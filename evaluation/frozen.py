"""Frozen protocols: pair lists that were written once, checked against the shards instead of sampled anew."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.outputs import PAIR_COLUMNS, read_pairs, read_real_table
from preprocessing.cli import InputError
from preprocessing.reader import Sample

log = logging.getLogger(__name__)
Row = dict[str, Any]


@dataclass(frozen=True)
class Lists:
    """What one dataset's protocols compare: pair lists by protocol, the real set, and what had to be left out.

    ``left_out`` rows hold list, row (the pair's number) and reason.
    """

    pairs: dict[str, pd.DataFrame]
    real: pd.DataFrame
    left_out: list[Row]


def frozen_lists(folder: Path, protocols: Sequence[str], samples: Sequence[Sample]) -> Lists:
    """The lists in ``folder``, without the rows whose clip or frame these samples lack (links die, clips go).

    Such rows are listed with their reasons, and one warning per list counts them and names the first. A list of which
    nothing is left, pair numbers that repeat, unreadable files and missing columns raise InputError. Pairs keep their
    numbers, so that results on what is left compare with others' pair by pair.
    """
    by_key = {sample.key: sample for sample in samples}
    left_out: list[Row] = []
    pairs = {}
    for name in protocols:
        path = folder / f"{name}.csv"
        table = read_pairs(path)[list(PAIR_COLUMNS)]
        if table["pair"].duplicated().any():
            twice = table.loc[table["pair"].duplicated(), "pair"].iloc[0]
            raise InputError(f"The pairs {path} hold pair {twice} twice.")
        pairs[name], lost = _usable(table, "pair", path, lambda row: _of_pair(row, by_key))
        left_out += lost
    path = folder / "real.csv"
    real = read_real_table(path).rename_axis("row").reset_index()
    real, lost = _usable(real, "row", path, lambda row: _of_frame("", row["key"], row["frame"], row["clip"], by_key))
    return Lists(pairs, real.drop(columns="row"), left_out + lost)


def _usable(
    table: pd.DataFrame, number: str, path: Path, reason: Callable[[Row], str]
) -> tuple[pd.DataFrame, list[Row]]:
    """The rows without a reason against them, and the others' numbers with their reasons."""
    reasons = [reason(row) for row in table.to_dict("records")]
    lost = [
        {"list": path.stem, "row": int(row), "reason": why}
        for row, why in zip(table[number], reasons, strict=True)
        if why
    ]
    if lost:
        said = f"{len(lost)} of {len(table)} rows of {path} cannot be used; the first, {number} {lost[0]['row']}: "
        if len(lost) == len(table):
            raise InputError(f"{said}{lost[0]['reason']}.")
        log.warning("%s%s.", said, lost[0]["reason"])
    usable = np.array([not why for why in reasons], dtype=bool)  # of no rows at all, too
    return table[usable].reset_index(drop=True), lost


def _of_pair(row: Row, by_key: dict[str, Sample]) -> str:
    source, driver = (
        _of_frame(f"{role} ", row[f"{role}_key"], row[f"{role}_frame"], row[f"{role}_clip"], by_key)
        for role in ("source", "driver")
    )
    return source or driver


def _of_frame(role: str, key: str, frame: int, clip: str, by_key: dict[str, Sample]) -> str:
    """Why a frame cannot be used, or nothing."""
    sample = by_key.get(key)
    if sample is None:
        return f"{role}clip '{clip}' (sample '{key}') is not in the shards"
    if sample.clip != clip:
        return f"{role}sample '{key}' is of clip '{sample.clip}', not '{clip}'"
    if not 0 <= frame < sample.frames:
        return f"{role}sample '{key}' has {sample.frames} frames, no frame {frame}"
    return ""
