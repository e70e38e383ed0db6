"""The registered files that a run needs: weights of detectors, losses and metrics, and the datasets' lists."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from evaluation.external.pyfeat import WEIGHTS as PYFEAT_WEIGHTS
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import FILES
from preprocessing import lists
from preprocessing.detectors import choice
from preprocessing.detectors.choice import Detecting
from preprocessing.files import cache_root
from preprocessing.weights import registry
from workflow import isolated
from workflow.data_files import DataFiles

# Detectors that live in an environment of their own, and their locks.
PYFEAT, PYFEAT_LOCK = "py-feat", "workflow/envs/py-feat.lock"
ROOT = Path(__file__).resolve().parent.parent


class RegisteredFiles(DataFiles):
    """Which weights and lists a configuration needs, and what stands for them once they are there."""

    @staticmethod
    def one_of(slugs: Iterable[str]) -> str:
        """A pattern that matches these slugs and nothing else; of none, nothing at all."""
        return "|".join(map(re.escape, slugs)) or "(?!)"

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
        external = PYFEAT_WEIGHTS if self.external_readings() else ()
        run = self.settings_
        trained = [name for slug in run.trained for name in run.training_of(slug).registered_weights()]
        foreign = [method.checkpoint for method in run.taken.values()]
        foreign += [name for slug in run.driven for name in run.model_of(run.origin_of(slug)).foreign_weights()]
        trained += [name for name in foreign if name in registry()]
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

    def external_readings(self) -> list[str]:
        """The detectors with an environment of their own that this run insists on (``auto`` builds none)."""
        choice = self.settings_.evaluation.choice()
        insisted = [choice.candidates(METRICS[key]) for key in ("aucon", "prmse")]
        return [PYFEAT] if [PYFEAT] in insisted else []

    @staticmethod
    def cached_weights(name: str) -> list[str]:
        """A registered file's place in the cache if it is there: its check depends on it then."""
        path = registry()[name].path
        return [str(path)] if path.is_file() else []

    @staticmethod
    def checks(names: Iterable[str]) -> list[str]:
        """What stands for these registered files once they are there and right."""
        return [f"data/weights/{name}.json" for name in names]

    @staticmethod
    def weights_folder() -> str:
        """Where registered weights lie."""
        return str(cache_root() / "weights")

    @staticmethod
    def pyfeat_ready() -> str:
        """What is there once py-feat's environment is built, in the cache."""
        return str(isolated.ready(ROOT / PYFEAT_LOCK))

    @property
    def needed_lists(self) -> list[str]:
        """The registered lists that the run's sheets are written from."""
        return [name for dataset in self.settings_.datasets.values() for name in lists.needed(dataset.source)]

    def list_checks(self, dataset: str) -> list[str]:
        """What stands for the registered lists that a dataset's sheet is written from."""
        return [f"data/lists/{name}.json" for name in lists.needed(self.settings_.datasets[dataset].source)]

    @staticmethod
    def cached_list(name: str) -> list[str]:
        """A registered list's place in the cache if it is there: its check depends on it then."""
        path = lists.registered(name).path
        return [str(path)] if path.is_file() else []
