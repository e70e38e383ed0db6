"""FNeVR as a method: its networks, its losses, and its authors' checkpoint."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from model.baselines.firstorder.keypoints import KpDetector
from model.baselines.firstorder.method import FirstOrderMethod
from model.baselines.firstorder.network import FirstOrderNetwork
from model.baselines.fnevr.generator import FnevrGenerator
from model.baselines.fnevr.objective import FnevrObjective
from model.baselines.fnevr.settings import KIND, FnevrModel, FnevrTraining


class FnevrMethod(FirstOrderMethod):
    """FNeVR (Zeng et al. 2022)."""

    kind = KIND
    official = ("fnevr",)

    def build(self, settings: FnevrModel) -> FirstOrderNetwork:
        common = settings.common_params
        detector = KpDetector(common, settings.kp_detector_params, common.num_channels)
        return FirstOrderNetwork(settings, detector, FnevrGenerator(settings))

    def objective(self, network: FirstOrderNetwork, settings: FnevrTraining) -> nn.Module:
        return FnevrObjective(network, settings)

    def official_settings(
        self, name: str, model_params: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]
    ) -> FnevrModel:
        """The widths that the authors' code fixes are read off the weights."""

        def width(key: str) -> int:
            return shapes[f"generator.{key}"][0]

        generator = dict(model_params["generator_params"])
        generator["render_params"] = generator["render_params"] | {
            "render_channels": width("Render_model.nerf_module.layer6.weight"),
            "mini_channels": width("Render_model.mini_decoder.0.conv.weight"),
        }
        generator["spade_params"] = {
            "label_channels": width("decoder.seg_conv.0.weight"),
            "hidden_channels": width("decoder.SPADE_0.SPADE_0.mlp_shared.0.weight"),
        }
        return FnevrModel.model_validate(model_params | {"generator_params": generator})


METHOD = FnevrMethod()
