"""Which files a run consists of, and the settings each rule passes on: what the Snakefile asks for, without Snakemake.

Only the number of shards is known while planning, never the clips, so that 100,000 clips plan in seconds.
"""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from pydantic import BaseModel

from evaluation.external.pyfeat import WEIGHTS as PYFEAT_WEIGHTS
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import FILES
from evaluation.settings import COPY, LISTS
from model.settings import VGG19
from preprocessing import lists
from preprocessing.detectors import choice
from preprocessing.detectors.choice import Detecting
from preprocessing.files import cache_root
from preprocessing.retries import waiting
from preprocessing.settings import WANTED
from preprocessing.weights import registry
from workflow import isolated
from workflow.settings import REFERENCE, RunSettings, as_json

PROTOCOLS = ("self", "cross", "multiview")
TABLES = (1, 2, 3, 4, 5)
FIGURES = (1, 3, 4, 5, 6)
# The files of one shard, stage by stage. The stats (.json) are written last.
STAGES: dict[str, tuple[str, ...]] = {
    "fetch": ("parquet", "json"),
    "crop": ("parquet", "tubes.json", "json"),
    "faces": ("tar", "parquet", "json"),
    "masks": ("tar", "parquet", "json"),
    "shards": ("tar", "parquet", "json"),
}
# Detectors that live in an environment of their own, and their locks.
PYFEAT, PYFEAT_LOCK = "py-feat", "workflow/envs/py-feat.lock"
# Of the jobs that hold all clips, the hungriest takes 2.5 kB a clip (benchmarks/million.py), as much as opening the
# shards; a shard has up to 1,024.
MB_PER_SHARD = 3
ROOT = Path(__file__).resolve().parent.parent


def option(name: str, values: Iterable[str]) -> str:
    """An option of a command with its values, or nothing where there are none."""
    words = list(values)
    return shlex.join([name, *words]) if words else ""


def folders(paths: Iterable[str], above: int = 0) -> list[str]:
    """The folders in which these files lie, or the ones so many levels above, each once and in order.

    Commands are given folders of their inputs and outputs, never the names that the rules know them by: where files are
    kept in a storage (S3), a job works on copies that lie somewhere else.
    """
    return list(dict.fromkeys(str(Path(path).parents[above]) for path in paths))


class Plan:
    """The files of one validated configuration."""

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

    @staticmethod
    def one_of(slugs: Iterable[str]) -> str:
        """A pattern that matches these slugs and nothing else; of none, nothing at all."""
        return "|".join(map(re.escape, slugs)) or "(?!)"

    @property
    def finetuned(self) -> list[str]:
        """The methods that are fine-tuned adversarially after their training."""
        run = self.settings_
        return [slug for slug in run.trained if run.training_of(slug).adversarial is not None]

    @property
    def trained_at_once(self) -> list[str]:
        """The methods that are trained in one step."""
        in_two = self.finetuned
        return [slug for slug in self.settings_.trained if slug not in in_two]

    def real_images(self, slug: str) -> list[str]:
        """What the check of a method's real images depends on, as far as it is there: a folder's list, or a zip."""
        adversarial = self.settings_.training_of(slug).adversarial
        if adversarial is None or self.made_photos(slug):
            return []
        return [str(path) for path in (adversarial.real / "dataset.json", adversarial.real) if path.is_file()]

    def made_photos(self, slug: str) -> list[str]:
        """The list of a method's real images where they are a dataset of photos of this run."""
        adversarial = self.settings_.training_of(slug).adversarial
        folders = [] if adversarial is None else [adversarial.real.as_posix()]
        return [f"{folder}/dataset.json" for folder in folders if folder in map(self.photo_folder, self.photos)]

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

    def metric_weights(self, *, optional: bool) -> list[str]:
        """The registered files of the metrics' backends: of those the run insists on, or also (``optional``) of those
        that are used once their files are there."""
        settings = self.settings_.evaluation
        candidates = [
            settings.choice().candidates(metric)
            for key, metric in METRICS.items()
            if optional or settings.backend == "standard" or key in settings.backends
        ]
        return list(dict.fromkeys(file for names in candidates for name in names for file in FILES.get(name, ())))

    def data_weights(self, *stages: str) -> list[str]:
        """The registered files of the detectors of these stages (crop, faces, masks; none named: of all)."""
        run = self.settings_
        crops = [run.crop_of(name) for name in run.datasets]
        blocks: dict[str, Sequence[Detecting]] = {"crop": crops, "faces": [run.faces], "masks": [run.masks]}
        return choice.files(*(block for stage in stages or blocks for block in blocks[stage]))

    @property
    def agreement_weights(self) -> list[str]:
        """The registered files of the paper's detectors, whichever the run uses."""
        return choice.files(*choice.FAMILIES["standard"])

    @property
    def required_weights(self) -> list[str]:
        """The registered files without which this run cannot be what it asks for: its data's, trainings', metrics'."""
        losses = [self.settings_.training_of(slug).released for slug in self.settings_.trained]
        perceptual = any(loss is not None and loss.perceptual and loss.vgg19 is None for loss in losses)
        external = PYFEAT_WEIGHTS if self.external_readings() else ()
        trained = (VGG19,) if perceptual else ()
        return list(dict.fromkeys([*self.data_weights(), *trained, *self.metric_weights(optional=False), *external]))

    @property
    def wanted_weights(self) -> list[str]:
        """What the target ``weights`` fetches: the required files, and those that ``auto`` uses once they are there."""
        optional = [name for name in self.metric_weights(optional=True) if not registry()[name].gated]
        return list(dict.fromkeys([*self.required_weights, *optional]))

    @property
    def scoring_weights(self) -> list[str]:
        """The files scores are made with, as far as planning can tell: of those that ``auto`` prefers the ones at hand,
        so that scores made without them are made again once they are there."""
        required = self.metric_weights(optional=False)
        optional = self.metric_weights(optional=True)
        return [name for name in optional if name in required or self.cached_weights(name)]

    @staticmethod
    def cached_weights(name: str) -> list[str]:
        """A registered file's place in the cache if it is there: its check depends on it then."""
        path = registry()[name].path
        return [str(path)] if path.is_file() else []

    @staticmethod
    def checks(names: Iterable[str]) -> list[str]:
        """What stands for these registered files once they are there and right."""
        return [f"data/weights/{name}.json" for name in names]

    def training_threads(self, slug: str) -> int:
        """CPU threads of a method's training: of every device's process and of what reads ahead for it."""
        training = self.settings_.training_of(slug)
        return training.devices * (training.threads + training.workers)

    def launcher(self, slug: str) -> str:
        """What starts a method's training: one process, or torchrun and one process per device.

        Left to itself, the training would take SLURM's one task for the number of its processes. After ``--`` nothing
        is taken for an option of torchrun.
        """
        devices = self.settings_.training_of(slug).devices
        return f"-m torch.distributed.run --standalone --nproc-per-node {devices} -m --" if devices > 1 else "-m"

    def names(self) -> str:
        """The methods of Tables 1 to 4 and of Table 5, each slug → name, as JSON."""
        run = self.settings_
        groups = {"main": run.methods, "ablation": run.ablation}
        names = {group: {slug: method.name for slug, method in rows.items()} for group, rows in groups.items()}
        return json.dumps(names, ensure_ascii=False)

    def shards(self, dataset: str) -> list[str]:
        """The names of a dataset's shards: 00000, 00001, …"""
        return [f"{index:05d}" for index in range(self.settings_.datasets[dataset].shards)]

    def memory(self, base: int, *datasets: str) -> int:
        """Megabytes of a job that holds all clips of these datasets at once, or where the frames of each lie."""
        return base + MB_PER_SHARD * sum(self.settings_.datasets[dataset].shards for dataset in datasets)

    def sheet(self, dataset: str) -> list[str]:
        """The sheet of one dataset."""
        return [f"data/{dataset}/sheets/clips.{suffix}" for suffix in ("parquet", "csv")]

    def stage(self, stage: str, dataset: str, *suffixes: str) -> list[str]:
        """Every shard's files of one stage of one dataset: all of them, or those of these suffixes."""
        names = product(self.shards(dataset), suffixes or STAGES[stage])
        return [f"data/{dataset}/{stage}/{shard}.{suffix}" for shard, suffix in names]

    def media(self, dataset: str) -> list[str]:
        """The folder of every shard's fetched media."""
        return [f"data/{dataset}/fetch/{shard}" for shard in self.shards(dataset)]

    def again(self, stage: str, dataset: str, shard: str) -> list[str]:
        """The rows that are left since some of a shard's clips are to be tried again, from ``stage`` on, or none."""
        folder = f"data/{dataset}/{stage}"
        if folder not in self._waiting:  # one look into the folder for all shards
            self._waiting[folder] = waiting(Path(folder))
        found = self._waiting[folder].get(shard)
        return [] if found is None else [str(found)]

    def stage_everywhere(self, stage: str) -> list[str]:
        """The files of one data stage (or ``sheets``) of all datasets."""
        if stage == "sheets":
            return [path for dataset in self.settings_.datasets for path in self.sheet(dataset)]
        return [path for dataset in self.videos for path in self.stage(stage, dataset)]

    def samples_of(self, datasets: Iterable[str]) -> list[str]:
        """What a reader of these datasets' frames reads. Rules name no more of a shard than they read: planning takes
        its time by the file."""
        return [path for dataset in datasets for path in self.stage("shards", dataset, "tar", "json")]

    def indices(self) -> list[str]:
        """What a reader of all datasets' lists of samples reads, without a frame."""
        return [path for dataset in self.videos for path in self.stage("shards", dataset, "json")]

    def benchmark_folders(self, run: str) -> list[str]:
        """Where the benchmarks of a run and of its data lie."""
        return [f"logs/results/{run}", *(f"logs/data/{dataset}" for dataset in self.settings_.datasets)]

    def source_files(self, dataset: str) -> list[str]:
        """What a sheet depends on, as far as it is there: the user's folder (a new video changes it) and its lists."""
        source = self.settings_.datasets[dataset].source
        given = [Path(path) for key in ("path", "lists") if (path := getattr(source, key, None)) is not None]
        found = [*given, *(path / name for path in given for name in ("clips.csv", "dataset.json"))]
        return [str(path) for path in found if path.exists()]

    def list_checks(self, dataset: str) -> list[str]:
        """What stands for the registered lists that a dataset's sheet is written from."""
        return [f"data/lists/{name}.json" for name in lists.needed(self.settings_.datasets[dataset].source)]

    @property
    def needed_lists(self) -> list[str]:
        """The registered lists that the run's sheets are written from."""
        return [name for dataset in self.settings_.datasets.values() for name in lists.needed(dataset.source)]

    @staticmethod
    def cached_list(name: str) -> list[str]:
        """A registered list's place in the cache if it is there: its check depends on it then."""
        path = lists.registered(name).path
        return [str(path)] if path.is_file() else []

    @property
    def videos(self) -> list[str]:
        """The datasets of videos."""
        return [name for name in self.settings_.datasets if name not in self.photos]

    @property
    def photos(self) -> list[str]:
        """The datasets of photos, for the adversarial fine-tune."""
        return [name for name, dataset in self.settings_.datasets.items() if dataset.source.kind == "ffhq"]

    def accounts(self, run: str) -> list[str]:
        """The survival tables of a run's datasets."""
        names = product(self.videos, ("json", "html"))
        return [f"results/{run}/dataset/{dataset}.{suffix}" for dataset, suffix in names]

    def agreements(self, run: str) -> list[str]:
        """How far the embedded and the paper's detectors agree on a run's datasets."""
        return [f"results/{run}/dataset/{dataset}.agreement.json" for dataset in self.videos]

    def samples(self, run: str) -> list[str]:
        """The contact sheets of a run's datasets."""
        return [f"results/{run}/dataset/{dataset}.png" for dataset in self.videos]

    def recipe(self, run: str) -> list[str]:
        """The measurements of the recipe's ablation: figures and pictures of every method."""
        return [
            f"results/{run}/recipe/{slug}.{suffix}" for slug in self.settings_.methods for suffix in ("parquet", "npy")
        ]

    def weights(self, run: str, method: str) -> list[str]:
        """A method's trained weights; the copy of the source has none."""
        return [] if method == COPY else [f"results/{run}/checkpoints/{method}/final.safetensors"]

    def method_arguments(self, method: str, weights: Iterable[str]) -> str:
        """What re-enactment needs of a method: its weights, or the size of the copies."""
        size = ("--resolution", self.settings_.model.resolution)
        return shlex.join(map(str, (method, *(size if method == COPY else ("--checkpoint", *weights)))))

    def training(self, run: str) -> list[str]:
        """Weights and curves of every trained method."""
        names = product(self.settings_.trained, ("parquet", "png"))
        curves = [f"results/{run}/training/{method}.{suffix}" for method, suffix in names]
        return [*self.all_weights(run), *curves]

    def all_weights(self, run: str) -> list[str]:
        """The weights of every trained method."""
        return [path for method in self.settings_.trained for path in self.weights(run, method)]

    @property
    def main_method(self) -> str:
        """The first of ``methods``: the one health.json is of."""
        return next(iter(self.settings_.methods))

    def tested(self) -> list[tuple[str, str, str]]:
        """Every (dataset, method, protocol) that is re-enacted and scored; ablation rows take part in cross only."""
        run = self.settings_
        rows = [*product((COPY, *run.methods), PROTOCOLS), *product(run.ablation, ("cross",))]
        return [(dataset, method, protocol) for dataset in run.test_on for method, protocol in rows]

    def pairs(self, run: str) -> list[str]:
        """The pair lists of the three protocols, the real set and the rules behind them."""
        names = product(self.settings_.test_on, (*LISTS, "protocol.json"))
        return [f"results/{run}/pairs/{dataset}/{name}" for dataset, name in names]

    def frozen(self, dataset: str) -> list[str]:
        """A dataset's frozen lists, where lists are frozen."""
        folder = self.settings_.evaluation.protocol.frozen_folder(dataset)
        return [] if folder is None else [str(folder / name) for name in LISTS]

    def reenactments(self, run: str) -> list[str]:
        """Indices of the re-enacted images."""
        return [
            f"results/{run}/reenactments/{'/'.join(row)}/{name}"
            for row, name in product(self.tested(), ("frames.tar", "index.parquet"))
        ]

    def external_readings(self) -> list[str]:
        """The detectors with an environment of their own that this run insists on (``auto`` builds none)."""
        choice = self.settings_.evaluation.choice()
        insisted = [choice.candidates(METRICS[key]) for key in ("aucon", "prmse")]
        return [PYFEAT] if [PYFEAT] in insisted else []

    def readings(self, run: str, dataset: str, method: str, protocol: str) -> list[str]:
        """The readings files of one method's pictures under one protocol."""
        return [
            f"results/{run}/readings/{dataset}/{method}/{protocol}/{name}.parquet" for name in self.external_readings()
        ]

    def all_readings(self, run: str) -> list[str]:
        """The readings files of a whole run."""
        return [path for row in self.tested() for path in self.readings(run, *row)]

    @staticmethod
    def pyfeat_ready() -> str:
        """What is there once py-feat's environment is built, in the cache."""
        return str(isolated.ready(ROOT / PYFEAT_LOCK))

    @staticmethod
    def weights_folder() -> str:
        """Where registered weights lie."""
        return str(cache_root() / "weights")

    def scores(self, run: str) -> list[str]:
        """Score files, one for each dataset, method and protocol."""
        return [f"results/{run}/scores/{'/'.join(row)}.parquet" for row in self.tested()]

    def tables(self, run: str) -> list[str]:
        """Tables 1 to 5 as CSV, Markdown and LaTeX, and the methods' comparisons."""
        names = [f"table{number}.{suffix}" for number, suffix in product(TABLES, ("csv", "md", "tex"))]
        return [f"results/{run}/tables/{name}" for name in (*names, "comparisons.csv")]

    def figures(self, run: str) -> list[str]:
        """Figures 1 and 3 to 6."""
        return [f"results/{run}/figures/figure{number}.png" for number in FIGURES]

    def report(self, run: str) -> list[str]:
        """What closes a run: the accounts of the clips, health, provenance, the report and its pages."""
        names = ("health.json", "provenance.json", "videos", "pages", "report.html")
        return [*self.accounts(run), *(f"results/{run}/{name}" for name in names)]

    def shown_clips(self) -> str:
        """The option that limits pictures of the reference to clips whose frames may be shown."""
        return option("--clips", self.settings_.reference.clips)

    def reference(self) -> list[str]:
        """The committed results: tables and figures of all seeds pooled."""
        names = ("contact_sheet.png", "health.json", "provenance.json")
        rest = [f"results/{REFERENCE}/{name}" for name in names]
        return [*self.tables(REFERENCE), *self.figures(REFERENCE), *rest]
