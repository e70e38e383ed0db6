"""PlaneDict as a method among others: how the training loop and the evaluation see it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from model.animator import Animator, Source
from model.cameras import relative_camera
from model.data import Frames, FrameStore
from model.method import Method, Reenactor
from model.planedict import PlaneDict
from model.settings import KIND, ModelSettings, TrainingSettings
from model.training.objective import Objective
from model.training.pairs import PairSampler
from model.training.released import ReleasedObjective

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from model.adversarial.adversary import Adversary

COMPILED = ("encoder", "identity_generator", "motion_generator", "superresolution")


class Still:
    """An encoded source and the camera it was filmed by."""

    def __init__(self, source: Source, label: Float[Tensor, "1 25"]) -> None:
        self.source, self.label = source, label


class PlaneDictReenactor(Reenactor[Still]):
    """A trained PlaneDict that animates (:class:`model.animator.Animator`)."""

    def __init__(self, model: PlaneDict) -> None:
        self.kind, self.frames = KIND, model.settings.frames
        self.animator = Animator(model)

    def encode(self, source: Frames) -> Still:
        return Still(self.animator.source(source.images), source.labels)

    def drive(self, source: Still, driving: Frames, reference: Frames, motion: str) -> UInt8[np.ndarray, "n r r 3"]:
        """From the driver's cameras (absolute), or the source's moved by the driver's change (relative)."""
        return self.drive_all(source, driving, {motion: reference})[motion]

    def drive_all(
        self, source: Still, driving: Frames, references: Mapping[str, Frames]
    ) -> dict[str, UInt8[np.ndarray, "n r r 3"]]:
        """In one batch, as every kind of motion has the same codes and the same reference."""
        reference = next(iter(references.values()))
        moved = relative_camera(source.label.expand_as(driving.labels), driving.labels, reference.labels)
        labels = torch.cat([moved if motion == "relative" else driving.labels for motion in references])
        codes = self.animator.motion(driving.drivers, reference.drivers).repeat(len(references), 1)
        images = self.animator.drive(source.source, codes, labels)
        return dict(zip(references, np.split(images, len(references)), strict=True))

    def render(
        self, source: Still, driving: Frames, reference: Frames, labels: Float[Tensor, "n 25"]
    ) -> UInt8[np.ndarray, "n r r 3"]:
        return self.animator.drive(source.source, self.animator.motion(driving.drivers, reference.drivers), labels)


class PlaneDictMethod(Method):
    """The paper's method."""

    kind = KIND

    def build(self, settings: ModelSettings) -> PlaneDict:
        return PlaneDict(settings)

    def groups(self, network: PlaneDict, settings: TrainingSettings) -> list[dict[str, Any]]:
        planes = [network.canonical]
        if network.settings.motion == "dictionary":
            planes.append(network.dictionary.weight)
        ids = {id(p) for p in planes}
        networks = [p for p in network.parameters() if id(p) not in ids]
        return [
            {"params": networks, "lr": settings.learning_rate},
            {"params": planes, "lr": settings.plane_learning_rate},
        ]

    def objective(self, network: PlaneDict, settings: TrainingSettings) -> Objective:
        """The losses the settings name: the paper's with what the recipe adds, or the authors' code's."""
        released = settings.released is not None
        return ReleasedObjective(network, settings) if released else Objective(network, settings)

    def sampler(self, store: FrameStore, model: ModelSettings, settings: TrainingSettings, seed: int) -> PairSampler:
        return PairSampler(store, settings, seed, model.relative_codes)

    def adversary(
        self, fabric: "Fabric", model: ModelSettings, settings: TrainingSettings, seed: int
    ) -> "Adversary | None":
        # Lightning Fabric, which it imports, takes seconds that animation need not wait for.
        from model.adversarial.adversary import Adversary

        return Adversary(fabric, model, settings.adversarial, seed) if settings.adversarial else None

    def reenactor(self, network: PlaneDict, output: str) -> PlaneDictReenactor:
        return PlaneDictReenactor(network)

    def compile(self, network: PlaneDict) -> None:
        for part in COMPILED:
            if hasattr(network, part):
                getattr(network, part).compile()

    def stepped(self, network: PlaneDict) -> None:
        """The bases stay orthonormal."""
        if network.settings.motion == "dictionary":
            network.dictionary.retract()

    def summary(self, model: ModelSettings) -> str:
        kind = "a generator of planes (ablation: without the plane dictionary)"
        if model.motion == "dictionary":
            kind = f"a plane dictionary of {model.num_bases} learned, orthogonal planes"
        return (
            f"Motion is {kind}.\n"
            "An independent reproduction of *Learning Dense Correspondence for NeRF-Based Face Reenactment* (Yang et"
            " al.,\nAAAI 2024); what is reproduced, and how far, is in `docs/reproducing.md`."
        )

    def sizes(self, model: ModelSettings) -> dict[str, str]:
        render = model.render
        return {
            "images": f"{model.resolution}² pixels, from {model.neural_rendering_resolution}² rays of"
            f" {render.coarse_samples} + {render.fine_samples} samples",
            "planes": f"3 × {model.plane_channels} × {model.plane_resolution}²",
            "planes are orthogonal per": model.orthogonality if model.motion == "dictionary" else "(no dictionary)",
        }


METHOD = PlaneDictMethod()
