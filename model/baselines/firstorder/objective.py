"""From a batch of pairs to the loss of generator and keypoint detector, in one forward pass.

A module, so that data parallelism and mixed precision wrap the whole of it.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.firstorder.equivariance import Transformation, jacobian_loss, value_loss
from model.baselines.firstorder.losses import PyramidLoss, pyramid
from model.baselines.firstorder.network import FirstOrderNetwork, Generated, View
from model.baselines.firstorder.pairs import FramePairs
from model.baselines.firstorder.settings import FirstOrderTraining
from model.method import Critic, Result
from model.settings import VGG19
from model.training.perceptual import load_vgg19
from preprocessing.weights import require

Terms = dict[str, tuple[float, Tensor]]
"""Name → weight and value of a term of the loss."""


class Judged(NamedTuple):
    """What a discriminator is shown: real and generated drivers in [0, 1] and the driver's keypoints, detached."""

    real: Float[Tensor, "b 3 r r"]
    generated: Float[Tensor, "b 3 r r"]
    keypoints: Float[Tensor, "b k 2"]
    clips: list[str]


class FirstOrderObjective(nn.Module):
    """FOMM's losses: perceptual pyramid, equivariance of keypoints and Jacobians, and the adversary's.

    Figures are the weighted terms, as the authors' logs have them, and the L1 of the prediction and of the warped
    source against the driver's frame. On several GPUs the network's batch normalisation becomes synchronised, as the
    authors' is, and keeps its names; on CPUs, where that does not exist, every process normalises by its own part.
    """

    def __init__(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        if settings.devices * settings.nodes > 1 and torch.cuda.is_available():
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        vgg19 = load_vgg19(require(VGG19)) if settings.registered_weights() else None
        self.perceptual = PyramidLoss(settings.perceptual, vgg19)

    def forward(self, batch: FramePairs, averaged: FirstOrderNetwork, critic: Critic | None = None) -> Result:
        """The loss of one batch; ``averaged`` takes no part."""
        source, driving = self.network.view(batch.sources), self.network.view(batch.driving)
        generated = self.network.generate(source, driving.keypoints)
        terms: Terms = {}
        if any(self.perceptual.weights):
            scales = self.settings.scales
            loss = self.perceptual(pyramid(generated.prediction, scales), pyramid(batch.driving, scales))
            terms["perceptual"] = (1.0, loss)
        judged = Judged(batch.driving, generated.prediction, driving.keypoints.value.detach(), batch.clips)
        if critic is not None:
            terms["adversarial"], terms["feature_matching"] = ((1.0, loss) for loss in critic(judged))
        terms |= self.equivariance(driving) | self.extra_terms(batch, source, driving, generated)
        weighted = {name: weight * value for name, (weight, value) in terms.items()}
        loss = torch.stack(list(weighted.values())).sum()
        figures = {name: value.detach() for name, value in (weighted | {"loss": loss}).items()}
        figures["l1"] = F.l1_loss(generated.prediction.detach().float(), batch.driving)
        figures["deformed_l1"] = F.l1_loss(generated.deformed.detach().float(), batch.driving)
        return Result(loss, figures, judged._replace(generated=generated.prediction.detach()))

    def equivariance(self, driving: View) -> Terms:
        """Eqs. 9–11: keypoints of the driver's frame against those of the same frame warped.

        Without autocast, as the detector gives keypoints.
        """
        weights, align_corners = self.settings.loss_weights, self.network.settings.align_corners
        if not weights.equivariance_value and not weights.equivariance_jacobian:
            return {}
        transformation = Transformation.random(driving.image, self.settings)
        with torch.autocast(driving.image.device.type, enabled=False):
            frames = transformation.frames(driving.image, align_corners)
        transformed = self.network.view(frames).keypoints
        terms: Terms = {}
        with torch.autocast(driving.image.device.type, enabled=False):
            pair = driving.keypoints, transformed
            if weights.equivariance_value:
                terms["equivariance_value"] = (weights.equivariance_value, value_loss(*pair, transformation))
            if weights.equivariance_jacobian:
                terms["equivariance_jacobian"] = (weights.equivariance_jacobian, jacobian_loss(*pair, transformation))
        return terms

    def extra_terms(self, batch: FramePairs, source: View, driving: View, generated: Generated) -> Terms:
        """What a method adds."""
        return {}
