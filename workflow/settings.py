"""The configuration of a whole run: one typed block per component, composed, checked once before any rule.

Components own their blocks (``preprocessing/settings.py``, ``model/settings.py``, ``evaluation/settings.py``); this
module only puts them together. Wrong keys and values raise :class:`InputError` with one sentence.
"""

import copy
import json
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from evaluation.settings import COPY, COPY_NAME, EvaluationSettings
from model.kinds import MACHINE, PLANEDICT, Kind, LoopSettings, MethodModel, kind_of
from model.settings import ModelSettings, TrainingSettings
from preprocessing.cli import Block, InputError, read_mapping, validated
from preprocessing.settings import CropSettings, DatasetSettings, FacesSettings, MasksSettings, ShardsSettings
from preprocessing.sources.embedded import EmbeddedSource

# Names that become parts of paths.
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Protocol = Literal["self", "cross", "multiview"]
PROTOCOLS: tuple[Protocol, ...] = ("self", "cross", "multiview")
# Where the pooled seeds' results lie, beside those of the runs.
REFERENCE = "reference"


class MethodSettings(Block):
    """One method of the tables.

    A PlaneDict changes keys of the run's model and training blocks. Other kinds have blocks of their own, and of the
    run's training only how the machine is used.
    """

    name: str = Field(description="the method's name in the tables, as the paper spells it")
    kind: str = Field(PLANEDICT, description="`planedict`, or a folder of `model/baselines`")
    model: dict[str, Any] = Field(default_factory=dict, description="keys of the kind's model block")
    training: dict[str, Any] = Field(default_factory=dict, description="keys of the kind's training block")
    checkpoint: str | None = Field(
        None, description="its authors' checkpoint, taken instead of training: a registered file's name, or a path"
    )
    of: Slug | None = Field(None, description="another method, with whose weights this one is driven")
    output: str | None = Field(None, description="which of its kind's pictures it gives; null: the re-enacted one")
    protocols: list[Protocol] | None = Field(
        None, min_length=1, description="protocols it takes part in; null: all its kind can"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "MethodSettings":
        own = self.model or self.training or self.checkpoint or self.kind != PLANEDICT
        if self.of is not None and own:
            raise ValueError(f"with of: {self.of} kind, model, training and checkpoint are that method's")
        if self.checkpoint is not None and self.training:
            raise ValueError("a checkpoint is taken instead of training: leave one of them out")
        return self


class RunDatasetSettings(DatasetSettings):
    """One dataset of a run: where it comes from, and what it changes in the run's crop block."""

    crop: dict[str, Any] = Field(default_factory=dict, description="keys of `crop` this dataset changes")


class ReferenceSettings(Block):
    """What the target `reference` pools and shows."""

    seeds: int = Field(3, ge=1, description="how many seeds are trained and pooled, the run's own included")
    clips: list[str] = Field(default_factory=list, description="clips whose frames may be shown; empty: all")
    credit: str = Field("", description="ends every caption of a picture: whose clips are seen")


class RunSettings(Block):
    """A whole run."""

    run: Slug = Field("demo", description="name of the run: results go to results/{run}")
    label: str = Field("", description="kept in the tables' label column, e.g. demo-scale")
    seed: int = Field(0, ge=0, description="seed of training; a run named {run}-seed{n} adds n")
    datasets: dict[Slug, RunDatasetSettings] = Field(min_length=1, description="name → source and number of shards")
    train_on: list[Slug] = Field(min_length=1, description="datasets whose training clips are used")
    test_on: list[Slug] = Field(min_length=1, description="datasets whose held-out clips are re-enacted and scored")
    crop: CropSettings = Field(default_factory=CropSettings, description="face boxes → tubes → windows")
    faces: FacesSettings = Field(default_factory=FacesSettings, description="landmarks and cameras")
    masks: MasksSettings = Field(default_factory=MasksSettings, description="foreground, regions, eyes and mouth")
    shard: ShardsSettings = Field(default_factory=ShardsSettings, description="WebDataset shards")
    model: ModelSettings = Field(default_factory=ModelSettings, description="the model every PlaneDict starts from")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")
    methods: dict[Slug, MethodSettings] = Field(min_length=1, description="slug → method of Tables 1 to 4")
    ablation: dict[Slug, MethodSettings] = Field(default_factory=dict, description="slug → row of Table 5")
    reference: ReferenceSettings = Field(default_factory=ReferenceSettings, description="the committed results")
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings, description="protocols, metrics")

    @model_validator(mode="after")
    def _names_agree(self) -> "RunSettings":
        for key in ("train_on", "test_on"):
            names = getattr(self, key)
            for name in names:
                if name not in self.datasets:
                    raise ValueError(f"{key} names '{name}', which is not one of datasets ({', '.join(self.datasets)})")
                if self.datasets[name].source.kind == "ffhq":
                    raise ValueError(f"{key} names '{name}', which holds photos, no videos")
            if len(set(names)) < len(names):
                raise ValueError(f"{key} names a dataset twice")
        for metric, backend in self.evaluation.backends.items():
            if backend == "openface":
                raise ValueError(
                    f"evaluation.backends: {metric} by openface is measured by hand, with evaluation.score"
                )
        if self.run == REFERENCE:
            raise ValueError(f"the run's name '{REFERENCE}' is kept for the pooled results")
        for slug in self.ablation:
            if slug in self.methods:
                raise ValueError(f"'{slug}' is both in methods and in ablation")
        if COPY in {*self.methods, *self.ablation}:
            raise ValueError(f"the slug '{COPY}' is kept for the copy of the source")
        for group in (self.methods, self.ablation):
            names = [method.name for method in group.values()]
            if twice := next((name for name in names if names.count(name) > 1 or name == COPY_NAME), None):
                raise ValueError(f"the method name '{twice}' would stand for two rows of one table")
        for slug, method in self.driven.items():
            if method.of is not None and (method.of not in self.driven or self.driven[method.of].of is not None):
                raise ValueError(f"{slug}.of names '{method.of}', which is no method with weights of its own")
        if all(self.driven[slug].of or method.kind != PLANEDICT for slug, method in self.methods.items()):
            raise ValueError(f"methods needs one of the kind {PLANEDICT}, which health.json is of")
        return self

    @cached_property
    def driven(self) -> dict[str, MethodSettings]:
        """Slug → method, for everything that is re-enacted."""
        return {**self.methods, **self.ablation}

    @cached_property
    def trained(self) -> dict[str, MethodSettings]:
        """Slug → method, for everything that is trained here."""
        own = self.driven.items()
        return {slug: method for slug, method in own if method.of is None and method.checkpoint is None}

    @cached_property
    def taken(self) -> dict[str, MethodSettings]:
        """Slug → method, for everything whose weights are its authors'."""
        return {slug: method for slug, method in self.driven.items() if method.checkpoint is not None}

    def origin_of(self, slug: str) -> str:
        """The method whose weights a method is driven with: most have their own."""
        return self.driven[slug].of or slug

    def kind_of(self, slug: str) -> Kind:
        """The kind of a method; InputError where there is no such kind."""
        return kind_of(self.driven[self.origin_of(slug)].kind)

    def output_of(self, slug: str) -> str:
        """Which of its kind's pictures a method gives; InputError where its kind makes no such one."""
        outputs, wanted = self.kind_of(slug).outputs, self.driven[slug].output
        if wanted is not None and wanted not in outputs:
            raise InputError(f"output of '{slug}': '{wanted}' is none of {', '.join(outputs)}.")
        return wanted or outputs[0]

    def protocols_of(self, slug: str) -> list[Protocol]:
        """What a method takes part in; rows of Table 5 only in cross-identity. InputError for what its kind cannot."""
        able: list[Protocol] = [name for name in PROTOCOLS if name != "multiview" or self.kind_of(slug).views]
        if slug in self.ablation:
            able = ["cross"]
        wanted = self.driven[slug].protocols or able
        if unable := [name for name in wanted if name not in able]:
            raise InputError(f"protocols of '{slug}': {', '.join(unable)} is not for it, only {', '.join(able)}.")
        return wanted

    def claim_of(self, slug: str) -> str:
        """What a row of a table may claim of a method, e.g. "mini, trained here"."""
        origin = self.origin_of(slug)
        training = None if origin in self.taken else self.training_of(origin)
        return self.kind_of(slug).claim(self.model_of(origin), training)

    def crop_of(self, dataset: str) -> CropSettings:
        """The crop block of one dataset: the run's, with the dataset's changes."""
        values = _merge(self.crop.model_dump(mode="json"), self.datasets[dataset].crop)
        return validated(CropSettings, values, f"crop of '{dataset}'")

    def model_of(self, slug: str) -> MethodModel:
        """The model block of one method: of a PlaneDict the run's, with the method's changes."""
        kind, changes = self.kind_of(slug), self.driven[slug].model
        values = self.model.model_dump(mode="json") if kind.name == PLANEDICT else {}
        return validated(kind.model, _merge(values, changes), f"model of '{slug}'")

    def training_of(self, slug: str) -> LoopSettings:
        """The training block of one method: of a PlaneDict the run's, with the method's changes.

        One of another recipe keeps only what the run's block changed from its own recipe, one of another kind only how
        the machine is used.
        """
        kind, changes = self.kind_of(slug), self.trained[slug].training
        values = self.training.model_dump(mode="json")
        if kind.name != PLANEDICT:
            values = {key: values[key] for key in sorted(MACHINE)}
        elif "recipe" in changes:
            named = TrainingSettings(recipe=self.training.recipe).model_dump(mode="json")
            values = {key: value for key, value in values.items() if value != named[key]}
        return validated(kind.training, _merge(values, changes), f"training of '{slug}'")

    def seed_of(self, run: str) -> int:
        """The seed of run ``{run}`` or ``{run}-seed{n}``."""
        suffix = re.fullmatch(rf"{re.escape(self.run)}(?:-seed([1-9]\d*))?", run)
        if suffix is None:
            raise InputError(f"'{run}' is neither the run '{self.run}' nor one of its seeds '{self.run}-seed1', ….")
        return self.seed + int(suffix[1] or 0)

    def reference_runs(self) -> list[str]:
        """The runs that the reference pools: the run itself and its other seeds."""
        return [self.run] + [f"{self.run}-seed{n}" for n in range(1, self.reference.seeds)]


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it in place, nested mappings key by key."""
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), dict)
        base[key] = _merge(base[key], value) if both else copy.deepcopy(value)
    return base


def _own_clips(values: dict[str, Any], given: Any, key: str = "clips") -> dict[str, Any]:
    """The configuration with a folder of the user's videos in place of its datasets, as a run of its own."""
    folder = "" if given is None else str(given)
    if not folder or not Path(folder).is_dir():
        raise InputError(f"{key}={folder} is not a folder.")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(folder).resolve().name).strip("-_") or "clips"
    dataset = {"source": {"kind": "folder", "path": folder}, "shards": 2}
    run = f"{values.get('run', RunSettings.model_fields['run'].default)}-{name}"
    return values | {"datasets": {name: dataset}, "train_on": [name], "test_on": [name], "run": run}


def _more_clips(values: dict[str, Any], given: Any) -> dict[str, Any]:
    """The configuration with a folder of the user's videos beside its datasets, trained and tested on as well."""
    alone = _own_clips(values, given, "more_clips")
    (name,) = alone["train_on"]
    if name in values.get("datasets", {}):
        raise InputError(f"more_clips={given} would stand for the dataset '{name}', which is there already.")
    joined = {key: [*values.get(key, []), name] for key in ("train_on", "test_on")}
    return values | joined | {"datasets": {**values.get("datasets", {}), **alone["datasets"]}}


def load(config: Mapping[str, Any]) -> RunSettings:
    """Check a whole configuration (plain values, as YAML gives them), every method's overrides included.

    The key ``clips`` (``--config clips=DIR``) puts a folder of videos in the place of the datasets, ``more_clips``
    beside them.
    Raises :class:`InputError` with one sentence that names the first wrong key or value.
    """
    values = dict(config)
    for key in ("datasets", "methods", "ablation"):  # a file laid over another takes one out by null
        if isinstance(values.get(key), Mapping):
            values[key] = {name: block for name, block in values[key].items() if block is not None}
    if "clips" in values:
        values = _own_clips(values, values.pop("clips"))
    if "more_clips" in values:
        values = _more_clips(values, values.pop("more_clips"))
    run = validated(RunSettings, values, "configuration")
    for dataset in run.datasets.values():
        if dataset.source.kind == "embedded":
            EmbeddedSource(dataset.source)  # refuses clips that it does not have
    for name in run.test_on:
        run.evaluation.protocol.frozen_folder(name)  # refuses one that lacks a list
    for name in run.datasets:
        run.crop_of(name)
    for slug in run.driven:
        run.output_of(slug)
        run.protocols_of(slug)
    for slug in [*run.taken, *run.trained]:
        kind = run.kind_of(slug)
        if slug in run.taken and not kind.official:
            raise InputError(f"checkpoint of '{slug}': the kind {kind.name} takes none of its authors'.")
        model, training = run.model_of(slug), run.training_of(slug) if slug in run.trained else None
        try:
            kind.check(model, training)
        except InputError as error:
            raise InputError(f"method '{slug}': {error}") from None
    return run


def read(path: str | Path) -> RunSettings:
    """:func:`load` of a YAML file."""
    return load(read_mapping(path))


def as_json(block: BaseModel, only: Collection[str] | None = None) -> str:
    """A block (or some of its keys) as one line of JSON with sorted keys, which a rule's shell passes on."""
    values = block.model_dump(mode="json", include=None if only is None else set(only))
    return json.dumps(values, sort_keys=True, ensure_ascii=False)
