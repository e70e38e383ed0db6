"""The discriminator of the first-order family, which learns beside generator and keypoint detector."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

from model.baselines.firstorder.discriminator import MultiScaleDiscriminator
from model.baselines.firstorder.losses import discriminator_loss, generator_loss, pyramid, weighted_l1
from model.baselines.firstorder.objective import Judged
from model.baselines.firstorder.settings import FirstOrderModel, FirstOrderTraining
from model.training.finite import check_finite

Verdicts = Mapping[float, tuple[list[Tensor], Tensor]]
"""Scale → the discriminator's maps and its prediction."""


class _Judge(nn.Module):
    """The discriminator's loss of one step as one forward pass, so that data parallelism wraps the whole of it.

    As in the authors' code generated pictures come first: with spectral normalisation every pass moves its estimates.
    """

    def __init__(self, discriminator: MultiScaleDiscriminator, scales: Sequence[float], weight: float) -> None:
        super().__init__()
        self.discriminator, self.scales, self.weight = discriminator, scales, weight

    def verdicts(self, images: Float[Tensor, "b 3 r r"], keypoints: Float[Tensor, "b k 2"]) -> Verdicts:
        """What the discriminator makes of images in [0, 1] with a driver's keypoints."""
        verdicts: Verdicts = self.discriminator(pyramid(images, self.scales), keypoints)
        return verdicts

    def forward(self, judged: Judged) -> Float[Tensor, ""]:
        generated = self.verdicts(judged.generated, judged.keypoints)
        real = self.verdicts(judged.real, judged.keypoints)
        losses = [discriminator_loss(real[scale][1], generated[scale][1]) for scale in self.scales]
        return self.weight * torch.stack(losses).sum()


class FirstOrderAdversary:
    """Discriminator and its optimiser; the real images are the drivers' frames of the same pairs."""

    def __init__(self, fabric: Fabric, model: FirstOrderModel, settings: FirstOrderTraining) -> None:
        self.fabric, self.settings = fabric, settings
        self.discriminator = MultiScaleDiscriminator(model.discriminator_params, model.common_params)
        optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=settings.lr_discriminator, betas=settings.adam_betas
        )
        weight, scales = settings.loss_weights.discriminator_gan, model.discriminator_params.scales
        self.module = _Judge(self.discriminator, scales, weight)
        self.judge, self.optimizer = fabric.setup(self.module, optimizer)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])

    def critic(self, judged: Judged) -> Float[Tensor, "2"]:
        """The generator's weighted losses, adversarial and feature matching; the discriminator gets no gradient."""
        self.discriminator.requires_grad_(False)
        weights = self.settings.loss_weights
        generated = self.module.verdicts(judged.generated, judged.keypoints)
        with torch.no_grad():
            real = self.module.verdicts(judged.real, judged.keypoints)
        losses = [
            torch.stack(
                [
                    weights.generator_gan * generator_loss(prediction),
                    weighted_l1(maps, real[scale][0], weights.feature_matching),
                ]
            )
            for scale, (maps, prediction) in generated.items()
        ]
        return torch.stack(losses).sum(0)

    def batches(self, start: int, stop: int, size: int, workers: int) -> Iterator[Any]:
        """Nothing: no images are needed but the pairs'."""
        return iter(())

    def train_step(self, step: int, judged: Sequence[Judged], real: Iterator[Any]) -> dict[str, Tensor]:
        """One step of the discriminator on what the objective handed over, at the rate of this ``step``."""
        self.discriminator.requires_grad_(True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr_discriminator * self.settings.decay(step / self.settings.iterations)
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, shown in enumerate(judged, 1):
            with self.fabric.no_backward_sync(self.judge, enabled=number < len(judged)):
                loss = self.judge(shown)
                check_finite(self.fabric, loss, f"the discriminator's loss at step {step}", shown.clips)
                self.fabric.backward(loss / len(judged))
            losses.append(loss.detach())
        self.optimizer.step()
        return {"discriminator": torch.stack(losses).mean()}
