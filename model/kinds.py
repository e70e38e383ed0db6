"""The kinds of methods as a run's configuration knows them, without their networks: settings, abilities, words.

PlaneDict is one, each folder of ``model/baselines`` whose ``settings`` hold a ``KIND`` another. Nothing here imports
torch, so that planning stays quick.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self

from pydantic import Field

from model import baselines
from preprocessing.cli import Block, InputError

PLANEDICT = "planedict"
OFFICIAL = "official weights"
"""What a row of a table claims of a method whose weights are its authors', with what is missing."""
Reference = Literal["neutral", "first", "best"]
"""The driver's frame that motion is taken relative to: that of the smallest mouth opening among the held-out frames of
its clip, the first of them, or the one whose landmarks are most like the source's."""


@dataclass(frozen=True)
class FrameFormat:
    """The sides in pixels of the frames a method takes: whole frames as targets and as sources, aligned grey drivers.

    ``driver_side`` None: drivers are prepared as sources are.
    """

    side: int
    source_side: int
    driver_side: int | None = None


class MethodModel(Block):
    """What every kind's model settings have."""

    resolution: int = Field(256, ge=16, description="side of the output image")

    @property
    def frames(self) -> FrameFormat:
        """The frames the model takes."""
        return FrameFormat(self.resolution, self.resolution)

    def foreign_weights(self) -> list[str]:
        """Files of weights that the network needs beside its own: registered names, or paths."""
        return []


class LoopSettings(Block):
    """The training loop's settings, which every kind's training has."""

    iterations: int = Field(400_000, ge=0, description="optimiser steps")
    accumulate: int = Field(1, ge=1, description="micro-batches whose gradients are added up before a step")
    people: list[str] = Field(default_factory=list, description="train on these people only; empty: on all")
    adam_betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's decay rates")
    final_decay: float = Field(
        0.0, ge=0, lt=1, description="last share of the training, in which the rates fall to zero"
    )
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are what is exported")
    checkpoint_every: int = Field(5_000, ge=1, description="steps between checkpoints; two are kept")
    log_every: int = Field(50, ge=1, description="steps between rows of the curves")
    cache_frames: bool = Field(False, description="keep the decoded frames in memory (small datasets)")
    threads: int = Field(1, ge=1, description="CPU threads of the training job")
    workers: int = Field(0, ge=0, description="processes per device that read batches ahead; 0: none")
    devices: int = Field(1, ge=1, description="GPUs (or CPU processes, where there is no GPU) per machine")
    nodes: int = Field(1, ge=1, description="machines")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="of the networks; rays, renderer, keypoints and dictionary stay in float32"
    )
    compile: bool = Field(False, description="compile the networks with torch.compile (pays in long runs)")

    @property
    def images(self) -> int:
        """Images that one device makes in one micro-batch."""
        raise NotImplementedError

    def decay(self, done: float) -> float:
        """Factor of every learning rate when the share ``done`` of the training is done."""
        return min(1.0, (1 - done) / self.final_decay) if self.final_decay else 1.0

    def stage(self, finetune: bool) -> Self:
        """The settings of one of two stages: the training, or a fine-tune that starts from it.

        Raises InputError where there is no fine-tune.
        """
        if finetune:
            raise InputError("training: --start is where an adversarial fine-tune begins, and there is none here.")
        return self

    def registered_weights(self) -> list[str]:
        """The registered files without which the training cannot run (:mod:`preprocessing.weights`)."""
        return []


MACHINE = frozenset(
    ("cache_frames", "checkpoint_every", "compile", "devices", "log_every", "nodes", "precision", "threads", "workers")
)
"""What the training of any kind takes over from the run's ``training`` block: how the machine is used."""


@dataclass(frozen=True)
class Kind:
    """One kind of method.

    ``motions``: the kinds of motion it offers, each with the frame of the driver that it is relative to (``absolute``
    too, where codes are); ``self_motions``: those of self-reenactment, where not all. ``views``: whether it renders
    from any camera. ``outputs``: the pictures it makes, the re-enacted one first. ``method`` names the module whose
    ``METHOD`` is its :class:`model.method.Method`. ``check`` says with InputError what model and training cannot be
    together; ``claim`` what a row of a table may claim of it ("trained here", "mini", what it lacks); to both, training
    is None where the weights are its authors'; ``official`` says whether those can be taken.
    """

    name: str
    model: type[MethodModel]
    training: type[LoopSettings]
    method: str
    motions: Mapping[str, Reference]
    views: bool
    claim: Callable[[Any, Any], str]
    check: Callable[[Any, Any], None] = lambda model, training: None
    self_motions: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("prediction",)
    official: bool = False

    def motions_of(self, *, own: bool) -> Mapping[str, Reference]:
        """The kinds of motion of a pair, whose driver is the source's ``own`` clip or another."""
        limited = self.self_motions if own else ()
        return {motion: reference for motion, reference in self.motions.items() if not limited or motion in limited}


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by its name, PlaneDict first."""
    modules = ["model.settings"]
    for found in pkgutil.iter_modules(baselines.__path__, f"{baselines.__name__}."):
        if found.ispkg and importlib.util.find_spec(f"{found.name}.settings"):
            modules.append(f"{found.name}.settings")
    found_kinds = [getattr(importlib.import_module(name), "KIND", None) for name in modules]
    return {kind.name: kind for kind in found_kinds if kind is not None}


def kind_of(name: str) -> Kind:
    """The kind ``name``; InputError names those there are."""
    try:
        return kinds()[name]
    except KeyError:
        raise InputError(f"There is no kind of method '{name}': there are {', '.join(kinds())}.") from None
