"""The adversarial stage: a dual discriminator that learns beside the model (paper, "Training"; EG3D's settings)."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

from model.adversarial.foreign import load_discriminator
from model.adversarial.losses import R1_INTERVAL, discriminator_loss, generator_loss, r1_penalty, real_pair
from model.adversarial.real_images import RealBatch, RealImages
from model.discriminator import DualDiscriminator
from model.planedict import Output
from model.settings import AdversarialSettings, ModelSettings
from model.training.finite import check_finite
from model.training.pairs import ahead

log = logging.getLogger("train")


Judged = tuple[Output, Tensor]
"""What a discriminator is shown of the model: a rendered batch and its camera labels [b, 25]."""


class _Judge(nn.Module):
    """The discriminator's loss of one step as one forward pass, so that data parallelism wraps the whole of it."""

    def __init__(self, discriminator: DualDiscriminator, r1_gamma: float) -> None:
        super().__init__()
        self.discriminator, self.r1_gamma = discriminator, r1_gamma

    def forward(
        self, output: Output, labels: Float[Tensor, "b 25"], real: RealBatch, regularise: bool
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        image, raw = real_pair(real.images, output.raw.shape[-1])
        fake = self.discriminator(output.image.detach(), output.raw.detach(), labels)
        true = self.discriminator(image, raw, real.cameras)
        loss = discriminator_loss(true, fake)
        figures = {
            "discriminator": loss.detach(),
            "real_logit": true.detach().mean(),
            "fake_logit": fake.detach().mean(),
        }
        if regularise:
            with torch.autocast(image.device.type, enabled=False):
                penalty = r1_penalty(self.discriminator, image, raw, real.cameras)
            figures["r1"] = penalty.detach()
            loss = loss + self.r1_gamma / 2 * R1_INTERVAL * penalty
        return loss, figures


class Adversary:
    """Discriminator, its optimiser and its stream of real images."""

    def __init__(self, fabric: Fabric, model: ModelSettings, settings: AdversarialSettings, seed: int) -> None:
        self.fabric, self.settings, self.seed = fabric, settings, seed
        self.real = RealImages(settings.real, model.resolution)
        self.discriminator = DualDiscriminator(
            model.resolution, channel_base=settings.channel_base, channel_max=settings.channel_max
        )
        if settings.discriminator is not None:
            found = load_discriminator(settings.discriminator, self.discriminator)
            log.info("discriminator: %d tensors from %s", len(found.taken), settings.discriminator)
            log.info("discriminator: random weights for %s", ", ".join(found.fresh) or "none")
        # As lazy regularisation asks for (Karras et al. 2020): rate and betas for the steps that have no R1.
        share = R1_INTERVAL / (R1_INTERVAL + 1)
        rate = settings.discriminator_rate * share
        optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=(0.0, 0.99**share))
        self.judge, self.optimizer = fabric.setup(_Judge(self.discriminator, settings.r1_gamma), optimizer)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])

    def critic(self, image: Tensor, raw: Tensor, labels: Tensor) -> Float[Tensor, ""]:
        """The generator's weighted loss; the discriminator gets no gradient of it."""
        self.discriminator.requires_grad_(False)
        return self.settings.weight * generator_loss(self.discriminator(image, raw, labels))

    def batches(self, start: int, stop: int, size: int, workers: int) -> Iterator[RealBatch]:
        """This device's real images, ``size`` of them each time; one index per micro-batch."""
        rank = self.fabric.global_rank
        return ahead(lambda index: self.real.batch(size, self.seed, index, rank), range(start, stop), workers)

    def train_step(self, step: int, judged: Sequence[Judged], real: Iterator[RealBatch]) -> dict[str, Tensor]:
        """One step of the discriminator on the model's outputs (detached here) and as many real images."""
        self.discriminator.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        figures: dict[str, Tensor] = {}
        for number, (output, labels) in enumerate(judged, 1):
            photos = next(real).to(self.fabric.device)
            with self.fabric.no_backward_sync(self.judge, enabled=number < len(judged)):
                loss, figures = self.judge(output, labels, photos, step % R1_INTERVAL == 0)
                check_finite(self.fabric, loss, f"the discriminator's loss at step {step}", photos.names)
                self.fabric.backward(loss / len(judged))
        self.optimizer.step()
        return figures
