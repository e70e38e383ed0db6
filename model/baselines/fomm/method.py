"""FOMM as a method: its networks; all else is the family's."""

from model.baselines.firstorder.generator import OcclusionAwareGenerator
from model.baselines.firstorder.keypoints import KpDetector
from model.baselines.firstorder.method import FirstOrderMethod
from model.baselines.firstorder.network import FirstOrderNetwork
from model.baselines.firstorder.settings import FirstOrderModel
from model.baselines.fomm.settings import KIND


class FommMethod(FirstOrderMethod):
    """FOMM (Siarohin et al. 2019)."""

    kind = KIND

    def build(self, settings: FirstOrderModel) -> FirstOrderNetwork:
        common = settings.common_params
        detector = KpDetector(common, settings.kp_detector_params, common.num_channels)
        generator = OcclusionAwareGenerator(common, settings.generator_params, settings.align_corners)
        return FirstOrderNetwork(settings, detector, generator)


METHOD = FommMethod()
