"""Frozen protocols: pair lists that were written once, checked against the shards instead of sampled anew."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.outputs import PAIR_COLUMNS, read_pairs, read_real_table
from evaluation.sampling import TRAIN, UNSEEN, Lists, blocks, sampled_lists
from evaluation.settings import ProtocolSettings
from preprocessing.cli import InputError
from preprocessing.reader import Sample

log = logging.getLogger(__name__)
Row = dict[str, Any]
SMALLEST = ProtocolSettings(self_frames_per_clip=1, cross_pairs=1, multiview_pairs=1)
"""Enough to see which protocols these shards have pairs for."""


def frozen_lists(folder: Path, samples: Sequence[Sample]) -> Lists:
    """The lists in ``folder``, without the rows that these samples cannot answer as the protocol asks.

    Such rows are listed with their reasons, and one warning per list counts them and names the first. A list of which
    nothing is left, or that is empty where sampling finds something, pair numbers that repeat, unreadable files and
    missing columns raise InputError. Pairs keep their numbers, so that results on what is left compare with others'
    pair by pair; their blocks and whether their clip is unseen follow from the samples.
    """
    by_key = {sample.key: sample for sample in samples}
    sampled = sampled_lists(samples, SMALLEST)
    left_out: list[Row] = []
    pairs = {}
    for name, some in sampled.pairs.items():
        path = folder / f"{name}.csv"
        table = read_pairs(path)[list(PAIR_COLUMNS)]
        if table["pair"].duplicated().any():
            twice = table.loc[table["pair"].duplicated(), "pair"].iloc[0]
            raise InputError(f"The pairs {path} hold pair {twice} twice.")
        _refuse_emptied(table, some, path)
        reasons = [_of_pair(name, row, by_key) for row in table.to_dict("records")]
        table, lost = _usable(table, reasons, "pair", path)
        left_out += lost
        unseen = [by_key[key].split == UNSEEN for key in table["source_key"]]
        pairs[name] = table.assign(block=blocks(table, samples), unseen=np.array(unseen, dtype=bool))
    path = folder / "real.csv"
    real = read_real_table(path)
    _refuse_emptied(real, sampled.real, path)
    reasons = [_of_frame("", row, by_key) or _trained_on("", row, by_key) for row in real.to_dict("records")]
    real, lost = _usable(real.rename_axis("row").reset_index(), reasons, "row", path)
    return Lists(pairs, real.drop(columns="row"), left_out + lost)


def _refuse_emptied(table: pd.DataFrame, sampled: pd.DataFrame, path: Path) -> None:
    if table.empty and not sampled.empty:
        raise InputError(f"{path} is empty, though these shards have something for it (docs/metrics.md, Frozen).")


def _usable(table: pd.DataFrame, reasons: list[str], number: str, path: Path) -> tuple[pd.DataFrame, list[Row]]:
    """The rows without a reason against them, and the others' numbers with their reasons."""
    lost = [
        {"list": path.stem, number: int(row), "reason": why}
        for row, why in zip(table[number], reasons, strict=True)
        if why
    ]
    if lost:
        said = f"{len(lost)} of {len(table)} rows of {path} cannot be used; the first, {number} {lost[0][number]}: "
        if len(lost) == len(table):
            raise InputError(f"{said}{lost[0]['reason']}.")
        log.warning("%s%s.", said, lost[0]["reason"])
    usable = np.array([not why for why in reasons], dtype=bool)  # of no rows at all, too
    return table[usable].reset_index(drop=True), lost


def _of_pair(protocol: str, row: Row, by_key: dict[str, Sample]) -> str:
    """Why a pair cannot be used under this protocol, or nothing."""
    source, driver = (
        {name: row[f"{role}_{name}"] for name in ("key", "frame", "clip", "person")} for role in ("source", "driver")
    )
    if why := _of_frame("source ", source, by_key) or _of_frame("driver ", driver, by_key):
        return why
    if protocol == "self" and source["clip"] != driver["clip"]:
        return f"source and driver are of two clips, '{source['clip']}' and '{driver['clip']}'"
    if protocol != "self" and source["person"] == driver["person"]:
        return f"source and driver are of one person, '{source['person']}'"
    given = [name for name in ("yaw", "pitch") if np.isfinite(row[name])]
    if protocol == "multiview" and len(given) < 2:
        return "it has no yaw and pitch"
    if protocol != "multiview" and given:
        return f"it has a {given[0]}, which only multi-view pairs have"
    # The first frame of a clip may lie in the training part, where time is held out.
    trained_on = "" if protocol == "self" else _trained_on("source ", source, by_key)
    return trained_on or _trained_on("driver ", driver, by_key)


def _of_frame(role: str, row: Row, by_key: dict[str, Sample]) -> str:
    """Why a frame (key, frame, clip, and in pairs person) cannot be used, or nothing."""
    key, sample = row["key"], by_key.get(row["key"])
    if sample is None:
        return f"{role}clip '{row['clip']}' (sample '{key}') is not in the shards"
    for name in ("clip", "person"):
        if row.get(name, getattr(sample, name)) != getattr(sample, name):
            return f"{role}sample '{key}' is of {name} '{getattr(sample, name)}', not '{row[name]}'"
    if not 0 <= row["frame"] < sample.frames:
        return f"{role}sample '{key}' has {sample.frames} frames, no frame {row['frame']}"
    return ""


def _trained_on(role: str, row: Row, by_key: dict[str, Sample]) -> str:
    """Why a frame of the shards is none that training never saw, or nothing."""
    return f"{role}sample '{row['key']}' is in the training part" if by_key[row["key"]].split == TRAIN else ""
