"""What a method is to everything that trains it and drives it: the one interface of PlaneDict and the baselines.

A kind's module names its :class:`Method` ``METHOD`` (:class:`model.kinds.Kind`). The training loop asks it for a
network, an objective and batches, evaluation for a :class:`Reenactor`.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from model.data import Frames
from model.kinds import FrameFormat, Kind, kind_of

if TYPE_CHECKING:  # Fabric takes seconds to import, which animation does not need
    from lightning_fabric import Fabric

Critic = Callable[..., Tensor]
"""An adversary's loss of the generator; what it is shown is between a kind's objective and its adversary."""
Source = TypeVar("Source")


class TrainingBatch(Protocol):
    """One micro-batch: ``clips`` name where it is from."""

    @property
    def clips(self) -> Sequence[str]: ...

    def to(self, device: torch.device) -> "TrainingBatch":
        """The batch with its tensors on ``device``."""


class Sampler(Protocol):
    """The stream of a training's batches: each a pure function of (seed, step, part)."""

    settings: Any

    @property
    def people(self) -> Sequence[str] | dict[str, list[str]]:
        """Whom there is to train on; nobody: nothing can be trained."""

    def batch(self, step: int, part: int = 0) -> TrainingBatch:
        """The batch of one step; ``part`` counts what devices and accumulation add."""


class Result(NamedTuple):
    """The loss, figures for the curves (without gradient), and what the adversary, if any, judges."""

    loss: Float[Tensor, ""]
    figures: dict[str, Tensor]
    judged: Any = None


class Adversary(Protocol):
    """What learns to tell a method's pictures from real ones beside it."""

    @property
    def critic(self) -> Critic:
        """Its loss of the generator; the adversary itself gets no gradient of it."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""

    def batches(self, start: int, stop: int, size: int, workers: int) -> Iterator[Any]:
        """This device's real images, ``size`` at a time, one index per micro-batch; none where it needs none."""

    def train_step(self, step: int, judged: Sequence[Any], real: Iterator[Any]) -> dict[str, Tensor]:
        """One step on what the objective handed over, micro-batch by micro-batch; returns figures."""


class Reenactor(ABC, Generic[Source]):
    """A trained method that animates: encode a source once, then drive it with frames and cameras. No gradients."""

    kind: Kind
    frames: FrameFormat

    @abstractmethod
    def encode(self, source: Frames) -> Source:
        """All that depends on the source alone, of one frame."""

    @abstractmethod
    def drive(self, source: Source, driving: Frames, reference: Frames, motion: str) -> UInt8[np.ndarray, "n r r 3"]:
        """The source with the drivers' expressions and head poses.

        ``motion`` is one of the kind's ``motions``, ``reference`` the driver's frame that it is relative to.
        """

    def drive_all(
        self, source: Source, driving: Frames, references: Mapping[str, Frames]
    ) -> dict[str, UInt8[np.ndarray, "n r r 3"]]:
        """:meth:`drive` by several kinds of motion, each with the frame that it is relative to."""
        return {motion: self.drive(source, driving, frame, motion) for motion, frame in references.items()}

    def render(
        self, source: Source, driving: Frames, reference: Frames, labels: Float[Tensor, "n 25"]
    ) -> UInt8[np.ndarray, "n r r 3"]:
        """The source with the drivers' expressions, seen from the cameras ``labels``; of kinds with ``views``."""
        raise NotImplementedError(f"{self.kind.name} renders no other views")


class Method(ABC):
    """One kind of method: how it is built, trained and driven."""

    kind: Kind

    @abstractmethod
    def build(self, settings: Any) -> nn.Module:
        """The network with fresh weights; its ``settings`` are these. Its state dict is what is saved."""

    @abstractmethod
    def groups(self, network: Any, settings: Any) -> list[dict[str, Any]]:
        """Adam's groups: parameters and their learning rates."""

    @abstractmethod
    def objective(self, network: Any, settings: Any) -> nn.Module:
        """The loss as a module around ``network``: (batch, averaged network, critic or None) → :class:`Result`."""

    @abstractmethod
    def sampler(self, store: Any, model: Any, settings: Any, seed: int) -> Sampler:
        """The training's stream of batches."""

    @abstractmethod
    def reenactor(self, network: Any, output: str) -> Reenactor[Any]:
        """The trained network as something that animates; ``output`` is one of the kind's outputs."""

    @abstractmethod
    def summary(self, model: Any) -> str:
        """A sentence or two on the network and where it is from, for its card."""

    @abstractmethod
    def sizes(self, model: Any) -> dict[str, str]:
        """How large the network is, row by row, for its card."""

    def adversary(self, fabric: "Fabric", model: Any, settings: Any, seed: int) -> Adversary | None:
        """What is trained against the network, if anything."""
        return None

    def compile(self, network: Any) -> None:
        """torch.compile of what gains by it, in place."""
        network.compile()

    def stepped(self, network: Any) -> None:  # noqa: B027 - most need nothing
        """What has to hold after every optimiser step."""


def method_of(name: str) -> Method:
    """The method of the kind ``name``; InputError where there is no such kind."""
    method: Method = importlib.import_module(kind_of(name).method).METHOD
    return method
