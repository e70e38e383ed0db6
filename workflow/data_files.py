"""The files of a run's data, stage by stage, and the settings they are made with.

Only the number of shards is known while planning, never the clips, so that 100,000 clips plan in seconds.
"""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

from pydantic import BaseModel

from preprocessing.retries import waiting
from preprocessing.settings import WANTED
from workflow.settings import RunSettings, as_json

# The files of one shard, stage by stage. The stats (.json) are written last.
STAGES: dict[str, tuple[str, ...]] = {
    "fetch": ("parquet", "json"),
    "crop": ("parquet", "tubes.json", "json"),
    "faces": ("tar", "parquet", "json"),
    "masks": ("tar", "parquet", "json"),
    "shards": ("tar", "parquet", "json"),
}
# Of the jobs that hold all clips, the hungriest takes 2.5 kB a clip (benchmarks/million.py), as much as opening the
# shards; a shard has up to 1,024.
MB_PER_SHARD = 3
# Contact sheets and the comparison of detectors look into so many shards of a dataset, which say as much as all.
FEW = 4


class DataFiles:
    """The data of one validated configuration."""

    def __init__(self, run: RunSettings) -> None:
        self.settings_ = run
        self._waiting: dict[str, dict[str, Path]] = {}

    def settings(self, key: str, *, method: str | None = None, only: tuple[str, ...] | None = None) -> str:
        """A block as JSON by its dotted path, e.g. ``masks`` or ``evaluation.protocol``: every rule's settings.

        With ``method``, ``model`` and ``training`` are that method's. ``only`` keeps the keys a stage depends on, so
        that a change of the others does not rerun it.
        """
        run = self.settings_
        if method is not None:
            return as_json({"model": run.model_of, "training": run.training_of}[key](method))
        block: BaseModel | dict[str, BaseModel] = run
        for part in key.split("."):
            block = block[part] if isinstance(block, dict) else getattr(block, part)
        assert isinstance(block, BaseModel)
        return as_json(block, only)

    def dataset(self, name: str) -> str:
        """A dataset's own settings, without how it is downloaded and what it changes for later stages."""
        return self.settings(f"datasets.{name}", only=("source", "shards"))

    def fetching(self, name: str) -> str:
        """A dataset's own settings and its download's, of which only those of :meth:`wanted` decide what comes."""
        return self.settings(f"datasets.{name}", only=("source", "shards", "download"))

    def wanted(self, name: str) -> str:
        """The settings of a dataset's download that decide what comes."""
        return self.settings(f"datasets.{name}.download", only=WANTED)

    def crop(self, dataset: str) -> str:
        """The crop settings of one dataset."""
        return as_json(self.settings_.crop_of(dataset))

    def shards(self, dataset: str, first: int | None = None) -> list[str]:
        """The names of a dataset's shards, or of the first of them: 00000, 00001, …"""
        return [f"{index:05d}" for index in range(self.settings_.datasets[dataset].shards)][:first]

    def memory(self, base: int, *datasets: str) -> int:
        """Megabytes of a job that holds all clips of these datasets at once, or where the frames of each lie."""
        return base + MB_PER_SHARD * sum(self.settings_.datasets[dataset].shards for dataset in datasets)

    def sheet(self, dataset: str) -> list[str]:
        """The sheet of one dataset."""
        return [f"data/{dataset}/sheets/clips.{suffix}" for suffix in ("parquet", "csv")]

    def stage(self, stage: str, dataset: str, *suffixes: str, first: int | None = None) -> list[str]:
        """Every (or the first) shard's files of one stage of one dataset: all of them, or those of these suffixes."""
        names = product(self.shards(dataset, first), suffixes or STAGES[stage])
        return [f"data/{dataset}/{stage}/{shard}.{suffix}" for shard, suffix in names]

    def media(self, dataset: str, first: int | None = None) -> list[str]:
        """The folder of every (or the first) shard's fetched media."""
        return [f"data/{dataset}/fetch/{shard}" for shard in self.shards(dataset, first)]

    def again(self, stage: str, dataset: str, shard: str) -> list[str]:
        """The rows that are left since some of a shard's clips are to be tried again, from ``stage`` on, or none."""
        folder = f"data/{dataset}/{stage}"
        if folder not in self._waiting:  # one look into the folder for all shards
            self._waiting[folder] = waiting(Path(folder))
        found = self._waiting[folder].get(shard)
        return [] if found is None else [str(found)]

    def source_files(self, dataset: str) -> list[str]:
        """What a sheet depends on, as far as it is there: the user's folder (a new video changes it) and its lists."""
        source = self.settings_.datasets[dataset].source
        given = [Path(path) for key in ("path", "lists") if (path := getattr(source, key, None)) is not None]
        found = [*given, *(path / name for path in given for name in ("clips.csv", "dataset.json"))]
        return [str(path) for path in found if path.exists()]

    @property
    def videos(self) -> list[str]:
        """The datasets of videos."""
        return [name for name in self.settings_.datasets if name not in self.photos]

    @property
    def photos(self) -> list[str]:
        """The datasets of photos, for the adversarial fine-tune."""
        return [name for name, dataset in self.settings_.datasets.items() if dataset.source.kind == "ffhq"]

    def stage_everywhere(self, stage: str) -> list[str]:
        """The files of one data stage (or ``sheets``) of all datasets."""
        if stage == "sheets":
            return [path for dataset in self.settings_.datasets for path in self.sheet(dataset)]
        return [path for dataset in self.videos for path in self.stage(stage, dataset)]

    def samples_of(self, datasets: Iterable[str], first: int | None = None) -> list[str]:
        """What a reader of these datasets' frames (or those of their first shards) reads. Rules name no more of a shard
        than they read: planning takes its time by the file."""
        return [path for dataset in datasets for path in self.stage("shards", dataset, "tar", "json", first=first)]

    def indices(self) -> list[str]:
        """What a reader of all datasets' lists of samples reads, without a frame."""
        return [path for dataset in self.videos for path in self.stage("shards", dataset, "json")]

    @staticmethod
    def photo_folder(dataset: str) -> str:
        """Where a dataset's photos lie without their background: what training takes for real images."""
        return f"data/{dataset}/photos"

    def photo_rows(self, dataset: str) -> list[str]:
        """The rows of every shard of a dataset of photos."""
        names = product(self.shards(dataset), ("parquet", "json"))
        return [f"{self.photo_folder(dataset)}/{shard}.{suffix}" for shard, suffix in names]

    def all_photos(self) -> list[str]:
        """What stands for all photos without their backgrounds."""
        return [f"{self.photo_folder(dataset)}/dataset.json" for dataset in self.photos]
