"""FNeVR's losses: FOMM's with an adversary, and one for the rendered picture."""

from torch.nn import functional as F

from model.baselines.firstorder.network import Generated, View
from model.baselines.firstorder.objective import FirstOrderObjective, Terms
from model.baselines.firstorder.pairs import FramePairs
from model.baselines.fnevr.settings import FnevrTraining


class FnevrObjective(FirstOrderObjective):
    """The rendered picture is supervised too, by what the authors' file is taken to mean with ``perceptual_l1``.

    Their training code is not public. The picture lies in [0.5, 1), so that against dark pixels its own L1 could not
    fall below one half: 2 · render − 1, which covers [0, 1), is compared. Neither DECA's vertices nor the pose editor
    are there.
    """

    settings: FnevrTraining

    def extra_terms(self, batch: FramePairs, source: View, driving: View, generated: Generated) -> Terms:
        assert generated.render is not None
        picture = 2 * generated.render.float() - 1
        return {"render": (self.settings.loss_weights.perceptual_l1, F.l1_loss(picture, driving.image))}
