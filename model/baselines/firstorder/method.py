"""What the methods of the first-order family have in common when they are built, trained and driven."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from model.baselines.firstorder.adversary import FirstOrderAdversary
from model.baselines.firstorder.network import FirstOrderNetwork
from model.baselines.firstorder.objective import FirstOrderObjective
from model.baselines.firstorder.pairs import FramePairSampler
from model.baselines.firstorder.reenactor import FirstOrderReenactor
from model.baselines.firstorder.settings import FirstOrderModel, FirstOrderTraining
from model.data import FrameStore
from model.method import Method, Reenactor
from preprocessing.cli import validated


class FirstOrderMethod(Method):
    """A kind whose network is a :class:`FirstOrderNetwork`; it gives ``kind`` and :meth:`build`, and what it adds."""

    @property
    def official(self) -> tuple[str, ...]:
        """The names of the networks of its authors that it can be compared with (:mod:`model.baselines.check`)."""
        return (self.kind.name,)

    def official_settings(self, name: str, model_params: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Any:
        """Settings of the authors' network ``name`` from their ``model_params``.

        ``shapes`` of a state dict tell the widths that their code does not make parameters. InputError names a wrong
        key or value.
        """
        return validated(self.kind.model, dict(model_params), "model_params")

    def groups(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> list[dict[str, Any]]:
        """Generator and keypoint detector, each with its rate; what else a network has stays as it is."""
        return [
            {"params": list(network.generator.parameters()), "lr": settings.lr_generator},
            {"params": list(network.kp_detector.parameters()), "lr": settings.lr_kp_detector},
        ]

    def objective(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> nn.Module:
        """The losses; on several GPUs batch normalisation first becomes synchronised, as in the authors' code.

        It keeps its names. It does not exist on CPUs, where every process normalises by its own part of the batch.
        """
        if settings.devices * settings.nodes > 1 and torch.cuda.is_available():
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return self.losses(network, settings)

    def losses(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> FirstOrderObjective:
        """The kind's losses around ``network``."""
        return FirstOrderObjective(network, settings)

    def sampler(self, store: FrameStore, model: FirstOrderModel, settings: FirstOrderTraining, seed: int) -> FramePairSampler:
        return FramePairSampler(store, settings, seed)

    def adversary(
        self, fabric: Fabric, model: FirstOrderModel, settings: FirstOrderTraining, seed: int
    ) -> FirstOrderAdversary | None:
        """The discriminator; none where its loss has no weight in the generator's, as in the authors' code."""
        return FirstOrderAdversary(fabric, model, settings) if settings.loss_weights.generator_gan else None

    def reenactor(self, network: FirstOrderNetwork, output: str) -> Reenactor[Any]:
        return FirstOrderReenactor(self.kind, network, output)

    def summary(self, model: FirstOrderModel) -> str:
        """Keypoints, widths and what the generator does, in one sentence."""
        common, detector, generator = model.common_params, model.kp_detector_params, model.generator_params
        motion = "keypoints with Jacobians" if common.estimate_jacobian else "keypoints"
        occlusion = "an occlusion map and " if generator.estimate_occlusion_map else ""
        return (
            f"{common.num_kp} {motion} from an hourglass of {detector.num_blocks} halvings from "
            f"{detector.block_expansion} channels, dense motion with {occlusion}{common.num_kp + 1} masks, and a "
            f"generator that warps {generator.features} channels at 1/{2**generator.num_down_blocks} of "
            f"{model.resolution} pixels."
        )

    def compile(self, network: FirstOrderNetwork) -> None:
        """Generator and keypoint detector; the network itself is never called as a whole."""
        network.generator.compile()
        network.kp_detector.compile()
