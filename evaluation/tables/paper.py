"""What the paper's tables say: its cells, what it marks as best, and what looks odd in it."""

from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.metrics.catalogue import BY_NAME
from evaluation.settings import miniature
from evaluation.tables.comparisons import Key

PAPER_CELLS = Path(__file__).with_name("paper_tables.csv")
UNNAMED_DATASET = "VoxCeleb1"  # Tables 1, 2 and 4 leave the dataset open; we measure them on VoxCeleb1's test set
ODD = (
    (1, "“Ours” is best only in LPIPS; FNeVR leads in SSIM and DaGAN in PSNR."),
    (2, "DaGAN's eye-tracking error (4.08) is twice FOMM's (1.98), yet equal across identities in Table 3."),
    (3, "Cross-identity ET (5.2 to 7.3) is no better than that of unrelated eye-aligned frames (4.84 measured)."),
    (4, "AVD (.008) beats self-reenactment's in Table 2 (.009), though the views are new."),
    (5, "PlaneDict (5) is worse than no PlaneDict in every metric."),
)
"""What looks odd in the paper, by table: reported beside our numbers, not corrected."""
Row = dict[str, Any]


def paper_cells() -> pd.DataFrame:
    """The paper's cells as text: table, task, dataset, method, metric, value."""
    return pd.read_csv(PAPER_CELLS, dtype=str, keep_default_na=False)


def odd(table: int) -> list[str]:
    """What looks odd in one of the paper's tables."""
    return [text for number, text in ODD if number == table]


def paper_ranks(table: int) -> dict[Key, str]:
    """best and second best of the paper's methods, per dataset and metric, by its printed numbers alone.

    Equal numbers share a place; the second place is given from three methods on.
    """
    ranks: dict[Key, str] = {}
    cells = paper_cells()
    for (dataset, metric), column in cells[cells["table"] == str(table)].groupby(["dataset", "metric"], sort=False):
        numbers = column["value"].astype(float)
        places = sorted(numbers.unique(), reverse=BY_NAME[metric].higher_is_better)[: 2 if len(column) > 2 else 1]
        for method, number in zip(column["method"], numbers, strict=True):
            if number in places:
                ranks[dataset, method, "", metric] = ("best", "second")[places.index(number)]
    return ranks


def paper_rows(table: int, own: list[Row]) -> list[Row]:
    """A row of the table for each of the paper's cells, with the run's measurement where it is comparable."""
    cells = paper_cells()
    return [_row(cell, own) for cell in cells[cells["table"] == str(table)].to_dict("records")]


def _row(cell: dict[str, Any], own: list[Row]) -> Row:
    row: Row = {
        "table": int(cell["table"]),
        "task": cell["task"],
        "dataset": cell["dataset"],
        "method": cell["method"],
        "metric": cell["metric"],
        "motion": "",
        "measured": None,
        "ci_low": None,
        "ci_high": None,
        "paper": cell["value"],
        "n_used": 0,
        "n_attempted": 0,
        "backend": "",
        "label": "the paper's number",
        "reason": "",
    }
    same = _comparable(cell, own)
    if same is None:
        return row | {"reason": _why_not(cell, own)}
    taken = ("measured", "ci_low", "ci_high", "n_used", "n_attempted", "backend", "label", "reason")
    return row | {name: same[name] for name in taken}


def _comparable(cell: dict[str, str], own: list[Row]) -> Row | None:
    """The run's measurement of one of the paper's cells: same dataset, method and metric, by the standard backend.

    A miniature's number is not the method's.
    """
    wanted = (_folded(cell["dataset"] or UNNAMED_DATASET), cell["method"], cell["metric"])
    for row in own:
        same = (_folded(row["dataset"]), row["method"], row["metric"]) == wanted
        if (
            same
            and row["motion"] == "absolute"
            and row["measured"] is not None
            and row["backend"] == BY_NAME[row["metric"]].standard
            and not miniature(row["claim"])
        ):
            return row
    return None


def _folded(dataset: str) -> str:
    """A dataset's name as it may be spelled in a path: VoxCeleb1 is voxceleb1, TalkingHead-1KH talkinghead1kh."""
    return "".join(letter for letter in dataset.lower() if letter.isalnum())


def _why_not(cell: dict[str, str], own: list[Row]) -> str:
    dataset = cell["dataset"] or UNNAMED_DATASET
    reasons = []
    if _folded(dataset) not in {_folded(row["dataset"]) for row in own}:
        reasons.append(f"dataset {dataset} not in this run")
    if cell["method"] not in {row["method"] for row in own}:
        reasons.append(f"method {cell['method']} not in this run")
    if any(row["method"] == cell["method"] and miniature(row["claim"]) for row in own):
        reasons.append(f"{cell['method']} is a miniature in this run")
    metric = BY_NAME[cell["metric"]]
    if metric.embedded != metric.standard and not any(
        r["metric"] == metric.name and r["backend"] == metric.standard and r["measured"] is not None for r in own
    ):
        reasons.append(f"standard backend {metric.standard} not in this run")
    return "; ".join(reasons) or "not measured in this run"
