"""What the methods of the first-order family have in common when they are built, trained and driven."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from model.baselines.firstorder.network import FirstOrderNetwork
from model.baselines.firstorder.objective import FirstOrderObjective
from model.baselines.firstorder.pairs import FramePairSampler
from model.baselines.firstorder.reenactor import FirstOrderReenactor
from model.baselines.firstorder.settings import FirstOrderModel, FirstOrderTraining
from model.data import FrameStore
from model.method import Method, Reenactor
from preprocessing.cli import InputError, validated

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from model.baselines.firstorder.adversary import FirstOrderAdversary


class FirstOrderMethod(Method):
    """A kind whose network is a :class:`FirstOrderNetwork`; it gives ``kind`` and :meth:`build`, and what it adds."""

    @property
    def official(self) -> tuple[str, ...]:
        """The names of the networks of its authors that it can be compared with (:mod:`model.baselines.check`)."""
        return (self.kind.name,)

    def official_settings(
        self, name: str, model_params: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
    ) -> FirstOrderModel:
        """Settings of the authors' network ``name`` from their ``model_params``.

        ``shapes`` of a state dict tell the widths that their code does not make parameters. InputError names a wrong
        key or value.
        """
        settings = validated(self.kind.model, model_params, "model_params")
        assert isinstance(settings, FirstOrderModel)
        return settings

    @abstractmethod
    def build(self, settings: Any) -> FirstOrderNetwork: ...

    def complete(self, network: FirstOrderNetwork) -> None:
        """Load what the authors' checkpoints of generator and detector lack; InputError where it is not at hand."""
        if rest := {name for name, _ in network.named_children()} - {"generator", "kp_detector"}:
            raise InputError(f"Checkpoints of {self.kind.name} have no {', '.join(sorted(rest))}, and no file has it.")

    def groups(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> list[dict[str, Any]]:
        """Generator and keypoint detector, each with its rate; what else a network has stays as it is."""
        return [
            {"params": list(network.generator.parameters()), "lr": settings.lr_generator},
            {"params": list(network.kp_detector.parameters()), "lr": settings.lr_kp_detector},
        ]

    def objective(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> FirstOrderObjective:
        return FirstOrderObjective(network, settings)

    def sampler(
        self, store: FrameStore, model: FirstOrderModel, settings: FirstOrderTraining, seed: int
    ) -> FramePairSampler:
        return FramePairSampler(store, settings, seed)

    def adversary(
        self, fabric: "Fabric", model: FirstOrderModel, settings: FirstOrderTraining, seed: int
    ) -> "FirstOrderAdversary | None":
        """The discriminator; none where its loss has no weight in the generator's, as in the authors' code."""
        # Lightning Fabric, which it imports, takes seconds that animation need not wait for.
        from model.baselines.firstorder.adversary import FirstOrderAdversary

        return FirstOrderAdversary(fabric, model, settings) if settings.loss_weights.generator_gan else None

    def reenactor(self, network: FirstOrderNetwork, output: str) -> Reenactor[Any]:
        return FirstOrderReenactor(self.kind, network, output)

    def summary(self, model: FirstOrderModel) -> str:
        """What moves, and where the idea is from; kinds say more."""
        return (
            f"Motion is that of {model.common_params.num_kp} learned keypoints and what is around them: a first-order "
            "motion model (Siarohin et al.,\nNeurIPS 2019), written anew."
        )

    def sizes(self, model: FirstOrderModel) -> dict[str, str]:
        common, detector, generator = model.common_params, model.kp_detector_params, model.generator_params
        dense = generator.dense_motion_params
        return {
            "images": f"{model.resolution}² pixels",
            "keypoints": f"{common.num_kp}, {'with' if common.estimate_jacobian else 'without'} Jacobians",
            "keypoint detector": f"{detector.num_blocks} halvings from {detector.block_expansion} channels",
            "dense motion": f"{dense.num_blocks} halvings from {dense.block_expansion} channels, at"
            f" {dense.scale_factor:g} of the size",
            "generator": f"warps {generator.features} channels at 1/{2**generator.num_down_blocks} of the size",
        }

    def compile(self, network: FirstOrderNetwork) -> None:
        """Generator and keypoint detector; the network itself is never called as a whole."""
        network.generator.compile()
        network.kp_detector.compile()
