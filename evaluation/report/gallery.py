"""Pictures of one dataset in one run: pairs as source | driver | output, and frames of a clip, as data: URIs."""

import contextlib
from collections.abc import Sequence
from functools import cache
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from evaluation.metrics.catalogue import PROTOCOLS
from evaluation.outputs import Inputs, Reenactments, read_pairs
from evaluation.pictures import on_black, resized
from evaluation.report.inline import pixels_uri
from evaluation.report.results import Results
from preprocessing.reader import Sample, ShardReader

SIDE = 192
"""Most pixels a side of one picture: pages hold dozens."""
FRAMES = 8  # of a clip's contact sheet


class Gallery:
    """Scores, pairs and pictures of one dataset, read as they are asked for."""

    def __init__(self, results: Results, dataset: str, reader: ShardReader) -> None:
        self.dataset = dataset
        self._results, self._reader = results, reader
        self._open = contextlib.ExitStack()
        self._inputs = cache(lambda side: Inputs(reader, side))
        self.outputs, self.pairs, self.scores = cache(self._outputs), cache(self._pairs), cache(self._scores)

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def protocols(self, method: str) -> list[str]:
        """The protocols under which a method was scored."""
        folder = self._results.directory / "scores" / self.dataset / method
        return [name for name in PROTOCOLS if (folder / f"{name}.parquet").is_file()]

    def _scores(self, method: str, protocol: str) -> pd.DataFrame:
        return pd.read_parquet(self._results.directory / "scores" / self.dataset / method / f"{protocol}.parquet")

    def _pairs(self, protocol: str) -> dict[int, dict[str, Any]]:
        pairs = read_pairs(self._results.directory / "pairs" / self.dataset / f"{protocol}.csv")
        return {int(row["pair"]): {str(name): value for name, value in row.items()} for row in pairs.to_dict("records")}

    def _outputs(self, method: str, protocol: str) -> tuple[Reenactments, dict[str, dict[int, str]]]:
        """The frames of a method and their members by motion and pair."""
        folder = self._results.directory / "reenactments" / self.dataset / method / protocol
        outputs = self._open.enter_context(Reenactments(folder))
        return outputs, {motion: outputs.members(motion) for motion in outputs.motions}

    def pair(self, method: str, protocol: str, pair: int, motion: str) -> str:
        """Source | driver | output of one pair, as they were scored, no larger than :data:`SIDE`."""
        outputs, members = self.outputs(method, protocol)
        row, output = self.pairs(protocol)[pair], outputs.picture(members[motion][pair])
        side = min(SIDE, len(output))
        inputs = self._inputs(side)
        photo = inputs.picture(row["source_key"], int(row["source_frame"]))
        driver = inputs.picture(row["driver_key"], int(row["driver_frame"]))
        return pixels_uri(np.hstack([photo, driver, resized(output, side)]))

    def contact(self, samples: Sequence[Sample]) -> str:
        """Frames of a clip at even steps: as filmed, and below on black as the methods see them."""
        frames = [(sample.key, index) for sample in samples for index in range(sample.frames)]
        columns = []
        for position in np.unique(np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)):
            key, index = frames[position]
            filmed, masks = self._reader.frames(key, [index]), self._reader.masks(key, [index])
            black = on_black(filmed, masks)
            columns.append(np.vstack([resized(np.ascontiguousarray(p[0]), SIDE) for p in (filmed, black)]))
        return pixels_uri(np.hstack(columns))
