"""Where a run departs from the paper, read off its configuration: the paper's value, ours, and why.

The defaults of the model's and the training's settings are the paper's, so every other value is a departure; so are
the preparation's embedded backends and a few decisions that no setting expresses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from model.settings import AdversarialSettings, ModelSettings, TrainingSettings


@dataclass(frozen=True)
class Departure:
    """One line of the list."""

    part: str
    what: str
    paper: str
    here: str
    why: str

    @property
    def only_smaller(self) -> bool:
        """Whether it is a size, which another configuration changes, and not a decision."""
        return self.why == SMALLER


SMALLER = "sizes for two cores and minutes; paper.yaml has the paper's"
RECIPE = "as printed the codes collapse or carry the identity; measured in docs/training.md"
# Why a setting differs, by its dotted path (the longest that fits). Settings without a line of their own say SMALLER.
REASONS = {
    "model.motion_encoder": "with one encoder for both codes, expression is not read from the driver in minutes",
    "model.relative_codes": "absolute codes carry the driver's identity into the output",
    "model.render.box_side": "a tight crop wastes no planes on empty space",
    "model.superresolution": "rendered at full size instead: the output is small",
    "training": RECIPE,
    "training.iterations": "the paper gives four days on eight GPUs, this run minutes on two cores",
    "training.rays": "rays are sampled, half of them in eyes and mouth, instead of whole images",
    "training.lambda_mask": "the squared error in the mask does this work",
    "training.mask_squared": "L1's median ignores a mouth that is rarely open",
    "training.squared": "sharper and nearer than L1 alone in a short training",
    "training.mask_margin": "what surrounds a moving mouth must not move along",
    "training.motion_penalty": "keeps the motion planes small where nothing moves",
    "training.flip": "mirrored pairs double the views of each head; from few, other views smear",
    "training.stratified_drivers": "open mouths are rare",
    "training.weight_dis": "with relative codes identity stays without it, and at this size it costs expression",
    "training.ema": "averaged weights, as EG3D exports them",
}
# Written out in the paper's text, and the run's settings that stand for them.
BACKENDS = (
    ("crop.backend", "face boxes", "sfd", "face-alignment (SFD), as FOMM"),
    ("faces.landmarks", "landmarks", "fan", "face-alignment (2D-FAN)"),
    ("faces.camera", "camera", "deep3dfacerecon", "Deep3DFaceRecon"),
    ("masks.backend", "region masks", "bisenet", "face-parsing.PyTorch (BiSeNet)"),
)
# Settings about which the paper says nothing, or which change no result.
UNSAID = {
    "recipe",
    "sources",
    "drivers",
    "ema",
    "norm",
    "final_decay",
    "mask_squared_until",
    "dis_start",
    "dis_ramp",
    "checkpoint_every",
    "log_every",
    "cache_frames",
    "threads",
    "accumulate",
    "adam_betas",
    "adversarial",
    "workers",
    "devices",
    "nodes",
    "precision",
    "compile",
}
PAPER_WORDS = {"training.iterations": "4 days on 8 V100"}


def departures(config: Mapping[str, Any]) -> list[Departure]:
    """The list for one validated configuration (the ``config`` of ``provenance.json``)."""
    model = _settings("model", config, ModelSettings())
    training = _settings("training", config, TrainingSettings())
    return [*_data(config), *model, *training, *_losses(config), *_evaluation(config)]


def _losses(config: Mapping[str, Any]) -> Iterator[Departure]:
    if _at(config, "training.weight_dis"):
        reason = "with gradient through both sides constant codes are the optimum"
        yield Departure("training", "targets of L_dis", "not said", "no gradient through them", reason)
    tuned = _at(config, "training.adversarial")
    methods = config.get("methods") or {}
    tuned = tuned or next((found for m in methods if (found := _at(methods[m], "training.adversarial"))), None)
    here, reason = "none", "EG3D's weights and FFHQ are not part of this run"
    if tuned:
        here = f"{tuned.get('iterations', AdversarialSettings.model_fields['iterations'].default):,} steps"
        reason = "neither its length nor its weight are given"
    yield Departure("training", "adversarial fine-tuning", "1 day with EG3D's discriminator and FFHQ", here, reason)


def _data(config: Mapping[str, Any]) -> Iterator[Departure]:
    trained, tested = config.get("train_on") or [], config.get("test_on") or []
    if trained:
        here = f"{', '.join(trained)} (tested on {', '.join(tested)})"
        yield Departure(
            "data",
            "data sets",
            "VoxCeleb1 + VoxCeleb2, also TalkingHead-1KH for tests",
            here,
            "what can be had without a licence form",
        )
    for path, what, value, words in BACKENDS:
        here = _at(config, path)
        if here is not None and here != value:
            yield Departure("data", what, words, str(here), "its weights lie inside an installed package")
    reason = "forcing it on every frame doubles the reprojection error"
    yield Departure("data", "camera distance", "2.7 on every frame", "solved per frame, median 2.7 in a clip", reason)
    if _at(config, "crop.framing") != "fomm":
        reason = "FOMM's crop and EG3D's fixed intrinsics do not agree"
        yield Departure("data", "frame", "FOMM's crop at 256²", "EG3D-framed window inside FOMM's tube", reason)


def _evaluation(config: Mapping[str, Any]) -> Iterator[Departure]:
    if _at(config, "evaluation.backend") != "standard":
        yield Departure(
            "evaluation",
            "CSIM, AUCON, PRMSE, AVD, ET",
            "facenet, py-feat, Deep3DFaceRecon, GazeTracking",
            "others (dlib, FaceMesh) where named in a row",
            "comparable within this run only",
        )
    pairs = _at(config, "evaluation.protocol.cross_pairs")
    if frozen := _at(config, "evaluation.protocol.frozen"):
        yield Departure("evaluation", "pairs", "its own, not published", f"frozen, of {frozen}", "given, not sampled")
    elif pairs is not None and pairs != 2083:
        yield Departure("evaluation", "cross pairs", "about 2,083 (DaGAN's code)", str(pairs), SMALLER)


def _settings(part: str, config: Mapping[str, Any], paper: BaseModel) -> Iterator[Departure]:
    given = config.get(part)
    if not isinstance(given, Mapping):
        return
    for path, theirs, ours, description in _differences(part, paper, given):
        reason = next((REASONS[p] for p in _prefixes(path) if p in REASONS), SMALLER)
        meaning, _, null = description.partition("; null: ")
        said = [null if value is None and null else _words(value) for value in (theirs, ours)]
        yield Departure(part, meaning, PAPER_WORDS.get(path, said[0]), said[1], reason)


def _differences(path: str, paper: BaseModel, given: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, str]]:
    for name, field in type(paper).model_fields.items():
        if name not in given or name in UNSAID:
            continue
        theirs, ours = getattr(paper, name), given[name]
        here = f"{path}.{name}"
        if isinstance(theirs, BaseModel) and isinstance(ours, Mapping):
            for inner, a, b, meaning in _differences(here, theirs, ours):
                yield inner, a, b, f"{field.description}: {meaning}"
        elif _plain(theirs) != ours:
            yield here, _plain(theirs), ours, field.description or name


def _plain(value: Any) -> Any:
    return (
        value.model_dump(mode="json")
        if isinstance(value, BaseModel)
        else list(value)
        if isinstance(value, tuple)
        else value
    )


def _prefixes(path: str) -> Iterator[str]:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length])


def _at(config: Mapping[str, Any], path: str) -> Any:
    value: Any = config
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    return (
        f"{value:,}"
        if isinstance(value, int) and value >= 10_000
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
