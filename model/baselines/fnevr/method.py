"""FNeVR as a method: its networks, its losses, and what its authors' checkpoint says of their widths."""

from collections.abc import Mapping
from typing import Any

from model.baselines.firstorder.keypoints import KpDetector
from model.baselines.firstorder.method import FirstOrderMethod
from model.baselines.firstorder.network import FirstOrderNetwork
from model.baselines.firstorder.settings import FirstOrderModel
from model.baselines.fnevr.generator import FnevrGenerator
from model.baselines.fnevr.objective import FnevrObjective
from model.baselines.fnevr.settings import KIND, FnevrModel
from preprocessing.cli import validated

FIXED = {
    "render_params": {
        "render_channels": "Render_model.nerf_module.layer6.bias",
        "mini_channels": "Render_model.mini_decoder.0.conv.bias",
    },
    "spade_params": {
        "label_channels": "decoder.seg_conv.0.bias",
        "hidden_channels": "decoder.SPADE_0.SPADE_0.mlp_shared.0.bias",
    },
}
"""Settings that the authors' code does not have, and the vectors of its state dict that have so many elements."""


class FnevrMethod(FirstOrderMethod):
    """FNeVR (Zeng et al., NeurIPS 2022)."""

    kind = KIND

    def build(self, settings: FnevrModel) -> FirstOrderNetwork:
        common = settings.common_params
        detector = KpDetector(common, settings.kp_detector_params, common.num_channels)
        return FirstOrderNetwork(settings, detector, FnevrGenerator(settings))

    def objective(self, network: FirstOrderNetwork, settings: Any) -> FnevrObjective:
        return FnevrObjective(network, settings)

    def official_settings(
        self, name: str, model_params: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
    ) -> FirstOrderModel:
        values = super().official_settings(name, model_params, shapes).model_dump()
        for block, keys in FIXED.items():
            for field, key in keys.items():
                if shape := shapes[f"generator.{key}"]:
                    values["generator_params"][block][field] = shape[0]
        return validated(FnevrModel, values, "model_params")

    def summary(self, model: FirstOrderModel) -> str:
        return f"{super().summary(model)} FNeVR (Zeng et al., NeurIPS 2022) renders the warped features as a volume."

    def sizes(self, model: Any) -> dict[str, str]:
        render, spade = model.generator_params.render_params, model.generator_params.spade_params
        return super().sizes(model) | {
            "volume rendering": f"{render.floor_num} floors, {render.hidden_size} units, to {render.render_channels}"
            " channels",
            "decoder": f"SPADE, {spade.hidden_channels} channels from a label map of {spade.label_channels}",
        }


METHOD = FnevrMethod()
