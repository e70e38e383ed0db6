"""The same method's network, loss, batches and re-enactment."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from model.data import Frames, FrameStore, to_images, to_tensor
from model.method import Critic, Method, Reenactor, Result
from model.training.pairs import ClipSampler

from .settings import KIND, MixtureModel, MixtureTraining


class Mixture(nn.Module):
    def __init__(self, settings: MixtureModel) -> None:
        super().__init__()
        self.settings, self.share = settings, nn.Parameter(torch.tensor(settings.start))

    def forward(self, source: Tensor, driver: Tensor) -> Tensor:
        return self.share * source + (1 - self.share) * driver


class Loss(nn.Module):
    def __init__(self, network: Mixture) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: "Pairs", averaged: Mixture, critic: Critic | None = None) -> Result:
        loss = (self.network(batch.sources, batch.drivers) - batch.drivers).abs().mean()
        return Result(loss, {"loss": loss.detach()})


class Pairs(NamedTuple):
    sources: Tensor
    drivers: Tensor
    clips: list[str]

    def to(self, device: torch.device) -> "Pairs":
        return Pairs(self.sources.to(device), self.drivers.to(device), self.clips)


class PairsOfClips(ClipSampler):
    def __init__(self, store: FrameStore, settings: MixtureTraining, seed: int) -> None:
        super().__init__(store, settings.people, seed)
        self.settings = settings

    def batch(self, step: int, part: int = 0) -> Pairs:
        rng = np.random.default_rng([self.seed, step, part])
        clips = [str(rng.choice(self.people[person])) for person in self.draw_people(self.settings.images, rng)]
        drawn = [[self.frame(clip, int(i)) for i in rng.integers(self.length(clip), size=2)] for clip in clips]
        sources, drivers = (to_tensor(self.store.images(list(frames))) for frames in zip(*drawn, strict=True))
        return Pairs(sources, drivers, clips)


class MixtureReenactor(Reenactor[Tensor]):
    def __init__(self, network: Mixture) -> None:
        self.kind, self.frames, self.network = KIND, network.settings.frames, network

    def encode(self, source: Frames) -> Tensor:
        return source.images

    @torch.inference_mode()
    def drive(self, source: Tensor, driving: Frames, reference: Frames, motion: str) -> np.ndarray:
        return to_images(self.network(source, driving.images))


class MixtureMethod(Method):
    kind = KIND

    def build(self, settings: MixtureModel) -> Mixture:
        return Mixture(settings)

    def groups(self, network: Mixture, settings: MixtureTraining) -> list[dict[str, Any]]:
        return [{"params": list(network.parameters()), "lr": settings.learning_rate}]

    def objective(self, network: Mixture, settings: MixtureTraining) -> Loss:
        return Loss(network)

    def sampler(self, store: FrameStore, model: MixtureModel, settings: MixtureTraining, seed: int) -> PairsOfClips:
        return PairsOfClips(store, settings, seed)

    def reenactor(self, network: Mixture, output: str) -> MixtureReenactor:
        return MixtureReenactor(network)

    def summary(self, model: MixtureModel) -> str:
        return "Source and driver are mixed."

    def sizes(self, model: MixtureModel) -> dict[str, str]:
        return {"parameters": "one"}


METHOD = MixtureMethod()
