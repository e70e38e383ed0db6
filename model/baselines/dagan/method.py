"""DaGAN as a method: how it is built, trained and told from its authors' state dicts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from model.baselines.dagan.depth import load_depth
from model.baselines.dagan.network import DaganNetwork
from model.baselines.dagan.objective import DaganObjective
from model.baselines.dagan.settings import KIND, DaganModel, DaganTraining
from model.baselines.firstorder.method import FirstOrderMethod
from model.baselines.firstorder.network import FirstOrderNetwork
from model.baselines.firstorder.pairs import FramePairs, FramePairSampler
from model.baselines.firstorder.settings import FirstOrderModel, FirstOrderTraining
from model.data import FrameStore
from preprocessing.cli import validated

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from model.baselines.dagan.adversary import DaganAdversary

SPADE = "dagan-spade"
WIDTHS = {
    "compress": ("compress.weight", 0),
    "fc": ("fc.weight", 0),
    "up": ("up_0.conv_1.weight_orig", 0),
    "out": ("conv_img.weight", 1),
    "hidden": ("G_middle_0.norm_0.mlp_shared.0.weight", 0),
}
"""Which dimension of which of the SPADE decoder's weights shows a width that the authors' code fixes."""


class DaganPairSampler(FramePairSampler):
    """FOMM's pairs; while the depth network learns, their colours stay as they are, and so the background black."""

    def __init__(self, store: FrameStore, settings: DaganTraining, seed: int, depth_steps: int) -> None:
        super().__init__(store, settings, seed)
        self.depth_steps = depth_steps
        still = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
        plain = settings.augmentation.model_copy(update=still)
        self.plain = FramePairSampler(store, settings.model_copy(update={"augmentation": plain}), seed)

    def batch(self, step: int, part: int = 0) -> FramePairs:
        return self.plain.batch(step, part) if step < self.depth_steps else super().batch(step, part)


class DaganMethod(FirstOrderMethod):
    """DaGAN (Hong et al., CVPR 2022), with either generator."""

    kind = KIND

    @property
    def official(self) -> tuple[str, ...]:
        return (self.kind.name, SPADE)

    def official_settings(
        self, name: str, model_params: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
    ) -> DaganModel:
        """Without a depth network: it is no part of the authors' checkpoints, and disparities are given."""
        values = dict(model_params) | {"depth": None, "generator": "depth"}
        if name == SPADE:
            spade = {width: shapes[f"generator.decoder.{key}"][axis] for width, (key, axis) in WIDTHS.items()}
            values |= {"generator": "spade", "spade": spade}
        return validated(DaganModel, values, "model_params")

    def build(self, settings: DaganModel) -> DaganNetwork:
        return DaganNetwork(settings)

    def complete(self, network: FirstOrderNetwork) -> None:
        """The authors' depth network, which has files of its own, where there is one."""
        assert isinstance(network, DaganNetwork)
        if network.depth is not None and network.settings.depth is not None:
            load_depth(network.depth, network.settings.depth)

    def groups(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> list[dict[str, Any]]:
        """Generator, keypoint detector and, where it is trained here, the depth network."""
        assert isinstance(network, DaganNetwork) and isinstance(settings, DaganTraining)
        groups = super().groups(network, settings)
        if network.depth is not None and settings.depth_steps(network.settings):
            trained = [p for p in network.depth.parameters() if p.requires_grad]
            groups.append({"params": trained, "lr": settings.lr_depth})
        return groups

    def objective(self, network: FirstOrderNetwork, settings: FirstOrderTraining) -> DaganObjective:
        """The losses; where the settings name the authors' depth network, this puts it into ``network``."""
        assert isinstance(network, DaganNetwork) and isinstance(settings, DaganTraining)
        self.complete(network)
        return DaganObjective(network, settings)

    def sampler(
        self, store: FrameStore, model: FirstOrderModel, settings: FirstOrderTraining, seed: int
    ) -> DaganPairSampler:
        assert isinstance(model, DaganModel) and isinstance(settings, DaganTraining)
        return DaganPairSampler(store, settings, seed, settings.depth_steps(model))

    def adversary(
        self, fabric: "Fabric", model: FirstOrderModel, settings: FirstOrderTraining, seed: int
    ) -> "DaganAdversary | None":
        """FOMM's discriminator, which waits for the depth network."""
        from model.baselines.dagan.adversary import DaganAdversary

        return DaganAdversary(fabric, model, settings) if settings.loss_weights.generator_gan else None

    def summary(self, model: FirstOrderModel) -> str:
        return f"{super().summary(model)} DaGAN (Hong et al., CVPR 2022) adds the face's depth."

    def sizes(self, model: FirstOrderModel) -> dict[str, str]:
        assert isinstance(model, DaganModel)
        depth = "none" if model.depth is None else f"ResNet-{model.depth.layers} from {model.depth.width} channels"
        decoder = {"depth": "residual blocks", "spade": f"SPADE from {model.spade.fc} channels"}[model.generator]
        return super().sizes(model) | {"depth network": depth, "decoder": f"{decoder}, behind attention to depth"}

    def compile(self, network: FirstOrderNetwork) -> None:
        super().compile(network)
        if isinstance(network, DaganNetwork) and network.depth is not None:
            network.depth.compile()


METHOD = DaganMethod()
