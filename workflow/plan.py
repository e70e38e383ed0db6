"""Which files a run consists of, and the settings each rule passes on: what the Snakefile asks for, without Snakemake.

Those of the data are in :mod:`workflow.data_files`, weights and lists in :mod:`workflow.registered_files`.
"""

import json
import shlex
from collections.abc import Collection, Iterable
from itertools import product
from pathlib import Path

from evaluation.external.pyfeat import WEIGHTS as PYFEAT_WEIGHTS
from evaluation.settings import COPY, LISTS
from model.kinds import PLANEDICT
from model.settings import AdversarialSettings, TrainingSettings
from preprocessing.weights import registry
from workflow.data_files import FEW
from workflow.registered_files import PYFEAT_LOCK, RegisteredFiles
from workflow.settings import PROTOCOLS, REFERENCE

__all__ = ["FEW", "FIGURES", "PYFEAT_LOCK", "PYFEAT_WEIGHTS", "TABLES", "Plan", "folders", "option"]

TABLES = (1, 2, 3, 4, 5)
FIGURES = (1, 3, 4, 5, 6)


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


class Plan(RegisteredFiles):
    """The files of one validated configuration."""

    def adversarial(self, slug: str) -> AdversarialSettings | None:
        """A method's adversarial fine-tune, which only PlaneDict has."""
        training = self.settings_.training_of(slug)
        return training.adversarial if isinstance(training, TrainingSettings) else None

    @property
    def finetuned(self) -> list[str]:
        """The methods that are fine-tuned adversarially after their training."""
        return [slug for slug in self.settings_.trained if self.adversarial(slug) is not None]

    @property
    def trained_at_once(self) -> list[str]:
        """The methods that are trained in one step."""
        in_two = self.finetuned
        return [slug for slug in self.settings_.trained if slug not in in_two]

    def checkpoint_files(self, slug: str) -> list[str]:
        """The authors' checkpoint of a method, where it is a file of the user's and there."""
        checkpoint = self.settings_.driven[slug].checkpoint
        return [checkpoint] if checkpoint and checkpoint not in registry() and Path(checkpoint).is_file() else []

    def real_images(self, slug: str) -> list[str]:
        """What the check of a method's real images depends on, as far as it is there: a folder's list, or a zip."""
        adversarial = self.adversarial(slug)
        if adversarial is None or self.made_photos(slug):
            return []
        return [str(path) for path in (adversarial.real / "dataset.json", adversarial.real) if path.is_file()]

    def made_photos(self, slug: str) -> list[str]:
        """The list of a method's real images where they are a dataset of photos of this run."""
        adversarial = self.adversarial(slug)
        folders = [] if adversarial is None else [adversarial.real.as_posix()]
        return [f"{folder}/dataset.json" for folder in folders if folder in map(self.photo_folder, self.photos)]

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

    def names(self, only: Collection[str] | None = None) -> str:
        """The methods (``only`` these) of Tables 1 to 4 and of Table 5, slug → name, and their claims, as JSON."""
        run = self.settings_
        groups = {"main": run.methods, "ablation": run.ablation}
        names: dict[str, dict[str, str]] = {
            group: {slug: method.name for slug, method in rows.items() if only is None or slug in only}
            for group, rows in groups.items()
        }
        shown = [slug for rows in names.values() for slug in rows]
        names["claims"] = {slug: claim for slug in shown if (claim := run.claim_of(slug)) != "trained here"}
        return json.dumps(names, ensure_ascii=False)

    @property
    def weighted(self) -> list[str]:
        """The methods that have weights of their own."""
        return [slug for slug, method in self.settings_.driven.items() if method.of is None]

    @property
    def planedicts(self) -> list[str]:
        """The methods of Tables 1 to 4 that are PlaneDicts: those the recipe's ablation and health are of."""
        methods = self.settings_.methods
        return [slug for slug in self.weighted if slug in methods and methods[slug].kind == PLANEDICT]

    def benchmark_folders(self, run: str) -> list[str]:
        """Where the benchmarks of a run and of its data lie."""
        return [f"logs/results/{run}", *(f"logs/data/{dataset}" for dataset in self.settings_.datasets)]

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
        """The measurements of the recipe's ablation: figures and pictures of every PlaneDict."""
        return [f"results/{run}/recipe/{slug}.{suffix}" for slug in self.planedicts for suffix in ("parquet", "npy")]

    def weights(self, run: str, method: str) -> list[str]:
        """The weights a method is driven with; the copy of the source has none."""
        if method == COPY:
            return []
        return [f"results/{run}/checkpoints/{self.settings_.origin_of(method)}/final.safetensors"]

    def method_arguments(self, method: str, weights: Iterable[str]) -> str:
        """What re-enactment needs of a method: its weights and which picture it gives, or the size of the copies."""
        if method == COPY:
            return shlex.join((method, "--resolution", str(self.settings_.model.resolution)))
        return shlex.join((method, "--checkpoint", *weights, "--picture", self.settings_.output_of(method)))

    def training(self, run: str) -> list[str]:
        """Every method's weights, and the curves of those that are trained."""
        names = product(self.settings_.trained, ("parquet", "png"))
        curves = [f"results/{run}/training/{method}.{suffix}" for method, suffix in names]
        return [*self.all_weights(run), *curves]

    def all_weights(self, run: str) -> list[str]:
        """The weights of every method that has its own."""
        return [path for method in self.weighted for path in self.weights(run, method)]

    @property
    def main_method(self) -> str:
        """The first PlaneDict of ``methods``: the one health.json is of."""
        return self.planedicts[0]

    def tested(self) -> list[tuple[str, str, str]]:
        """Every (dataset, method, protocol) that is re-enacted and scored."""
        run = self.settings_
        rows = [*product((COPY,), PROTOCOLS)]
        rows += [(slug, protocol) for slug in run.driven for protocol in run.protocols_of(slug)]
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

    def readings(self, run: str, dataset: str, method: str, protocol: str) -> list[str]:
        """The readings files of one method's pictures under one protocol."""
        return [
            f"results/{run}/readings/{dataset}/{method}/{protocol}/{name}.parquet" for name in self.external_readings()
        ]

    def all_readings(self, run: str) -> list[str]:
        """The readings files of a whole run."""
        return [path for row in self.tested() for path in self.readings(run, *row)]

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

    @property
    def shown_shards(self) -> int | None:
        """How many shards the reference's contact sheet is drawn from: all (None) where clips are named, since which
        shard holds one is not known."""
        return None if self.settings_.reference.clips else FEW

    def shown_samples(self) -> str:
        """The options that choose the clips of the reference's contact sheet."""
        return self.shown_clips() or option("--first", [str(FEW)])

    def reference(self) -> list[str]:
        """The committed results: tables and figures of all seeds pooled."""
        names = ("contact_sheet.png", "health.json", "provenance.json")
        rest = [f"results/{REFERENCE}/{name}" for name in names]
        return [*self.tables(REFERENCE), *self.figures(REFERENCE), *rest]
