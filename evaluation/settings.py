"""Settings of the evaluation: what is compared, with which detectors, and how the results are drawn."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import Choice
from preprocessing.cli import Block, InputError

COPY, COPY_NAME = "copy", "copy of the source"
"""The method that needs no training: its slug, a part of paths, and its name in the tables."""


MINI, TRAINED, OFFICIAL, UNTRAINED = CLAIMS = ("mini", "trained here", "official weights", "no training")
"""How what is claimed of a method begins (:attr:`model.kinds.Kind.claim`); a miniature is not the method."""


def miniature(claim: str) -> bool:
    """Whether what is claimed of a method says that it is a miniature."""
    return re.match(rf"{MINI}\b", claim) is not None


LISTS = ("self.csv", "cross.csv", "multiview.csv", "real.csv")
"""What the protocols of one dataset compare: a file each in its folder of pairs."""


class ProtocolSettings(Block):
    """Which images are compared: the sizes of the three protocols' pair lists, or the lists themselves."""

    self_frames_per_clip: int = Field(
        default=40, ge=1, description="driver frames of each test clip in self-reenactment"
    )
    cross_pairs: int = Field(
        default=150, ge=1, description="seeded pairs of different people (the paper's scale: 2,083)"
    )
    multiview_pairs: int = Field(
        default=3, ge=1, description="cross pairs rendered at the 25 views of the multi-view protocol"
    )
    seed: int = Field(default=0, ge=0, description="seed of the sampled frames and pairs")
    frozen: Path | None = Field(
        default=None,
        description="folder of pair lists, such as another run's pairs, taken instead of sampling: "
        "{dataset}/self.csv, cross.csv, multiview.csv and real.csv",
    )

    def frozen_folder(self, dataset: str) -> Path | None:
        """Where a dataset's frozen lists lie, if lists are frozen; InputError names those that are not there."""
        if self.frozen is None:
            return None
        said = f"evaluation.protocol.frozen: {self.frozen}"
        if not self.frozen.is_dir():
            raise InputError(f"{said} is not a folder (docs/metrics.md, Frozen).")
        if any((self.frozen / name).is_file() for name in LISTS):
            raise InputError(f"{said} holds lists itself; give the folder above it, {self.frozen.resolve().parent}.")
        if missing := [f"{dataset}/{name}" for name in LISTS if not (self.frozen / dataset / name).is_file()]:
            raise InputError(f"{said} has no {', '.join(missing)} (docs/metrics.md, Frozen).")
        return self.frozen / dataset


class FigureSettings(Block):
    """How many rows and views the figures show, and at which print resolution."""

    rows: int = Field(default=5, ge=1, le=24, description="examples (rows) in figures 3, 4 and 5")
    views: int = Field(default=5, ge=1, le=9, description="views per fan in figures 1 and 6, at most")
    cell: int = Field(default=256, ge=48, le=1024, description="side of one picture in the figures, in pixels")
    dpi: int = Field(default=150, ge=50, le=600, description="dots per inch that the PNG files state, for printing")


class ReportSettings(Block):
    """What the page embeds."""

    videos: int = Field(default=4, ge=0, le=24, description="clips of each dataset that drive in short videos")
    video_frames: int = Field(default=75, ge=2, le=1000, description="frames of each video, at most")
    picture_side: int = Field(default=1600, ge=200, description="longest side of an embedded picture, in pixels")
    clip_pages: int = Field(default=24, ge=0, le=1000, description="clips of each dataset with a page of their own")


class EvaluationSettings(Block):
    """Protocol, backends, intervals, figures and report of one run."""

    protocol: ProtocolSettings = ProtocolSettings()
    backend: Literal["embedded", "standard", "auto"] = Field(
        default="auto",
        description="detectors: those inside the wheels (LPIPS and FID, which they lack: as auto), the paper's, "
        "or the paper's where their weights are at hand",
    )
    backends: dict[str, str] = Field(
        default={}, description="metric → the backend that measures it, where the family's is not wanted"
    )
    fit_steps: int = Field(
        default=500, ge=0, description="recipe's ablation: steps of fitting a stranger to the photo; 0: not examined"
    )
    bootstrap_samples: int = Field(default=2000, ge=100, le=100_000, description="resamples behind each 95 % interval")
    figures: FigureSettings = FigureSettings()
    report: ReportSettings = ReportSettings()

    @field_validator("backends")
    @classmethod
    def _can_measure(cls, named: dict[str, str]) -> dict[str, str]:
        for key, backend in named.items():
            if key not in METRICS:
                raise ValueError(f"'{key}' is not a metric ({', '.join(METRICS)})")
            if backend not in METRICS[key].backends:
                raise ValueError(f"{key} is measured by {' or '.join(METRICS[key].backends)}, not by '{backend}'")
        return named

    def choice(self, family: str | None = None, readings: Sequence[Path] = ()) -> Choice:
        """Which backends measure; ``family`` overrides the settings', ``readings`` are files made outside.

        Raises InputError for readings that nothing would read.
        """
        if readings and (family or self.backend) == "embedded":
            raise InputError("--readings are of backends beyond the embedded ones: leave them out, or name auto.")
        return Choice(family or self.backend, tuple(sorted(self.backends.items())), tuple(readings))
