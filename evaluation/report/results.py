"""The files of one run as the report and its pages read them, each optional."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.tables.comparisons import COLUMNS as COMPARED
from evaluation.tables.comparisons import read_comparisons
from evaluation.tables.render import TITLES
from preprocessing.cli import InputError, read_mapping

TEXT = ("dataset", "method", "metric", "motion", "paper", "backend", "label", "reason")
NUMBERS = ("measured", "ci_low", "ci_high")


class Results:
    """``results/{run}``; what is absent there is None or empty."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise InputError(f"There are no results in {directory}.")
        self.directory = directory

    def document(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the run, None when it is not there."""
        path = self.directory / name
        return read_mapping(path) if path.is_file() else None

    def files(self, *names: str) -> list[str]:
        """Those of the named files that are there."""
        return [name for name in names if (self.directory / name).is_file()]

    @cached_property
    def accounts(self) -> dict[str, dict[str, Any]]:
        """The survival tables by dataset, whose names have no dot: what else is said of one has."""
        paths = sorted((self.directory / "dataset").glob("[!.]*.json"))
        return {path.stem: read_mapping(path) for path in paths if "." not in path.stem}

    def tables(self) -> dict[int, pd.DataFrame]:
        """Tables 1 to 5 by number."""
        paths = {number: self.directory / "tables" / f"table{number}.csv" for number in TITLES}
        empty = {name: [""] for name in NUMBERS}
        return {
            number: pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=empty)
            for number, path in paths.items()
            if path.is_file()
        }

    def comparisons(self) -> pd.DataFrame:
        """The methods compared pair by pair; without the file nothing of the run's is marked."""
        path = self.directory / "tables" / "comparisons.csv"
        return read_comparisons(path) if path.is_file() else pd.DataFrame(columns=list(COMPARED))

    def videos(self) -> list[dict[str, Any]]:
        """The driven clips as ``videos.json`` lists them."""
        return (self.document("videos/videos.json") or {"videos": []})["videos"]

    def pages(self) -> list[dict[str, str]]:
        """The pages per method and clip as ``pages/index.json`` lists them."""
        return (self.document("pages/index.json") or {"pages": []})["pages"]
