"""DaGAN's losses: first those of the depth network, where it is trained here, then FOMM's."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.baselines.dagan.network import DaganNetwork
from model.baselines.dagan.selfsupervision import Seen, depth_loss
from model.baselines.dagan.settings import DaganTraining
from model.baselines.firstorder.network import FirstOrderNetwork, Generated, View
from model.baselines.firstorder.objective import FirstOrderObjective, Terms
from model.baselines.firstorder.pairs import FramePairs
from model.method import Critic, Result

NEAR = 0.2
"""Two keypoints are too near at less than this, in coordinates [−1, 1]."""


def kp_distance(keypoints: Float[Tensor, "b k 2"]) -> Float[Tensor, ""]:
    """Mean over all pairs (i, j) of 1 − sign(|p_i − p_j| + .2 [i = j] − .2): twice the share of those too near.

    As in the authors' code. The sign's gradient is zero: the term is in the logs and moves nothing.
    """
    distances = ((keypoints[:, :, None] - keypoints[:, None]).square().sum(-1) + 1e-8).sqrt()
    own = torch.eye(keypoints.shape[1], dtype=distances.dtype, device=distances.device)
    return (1 - torch.sign(distances + NEAR * own - NEAR)).mean()


class DaganObjective(FirstOrderObjective):
    """The first ``depth_iterations`` steps train the depth network alone; all later ones the rest, with depth frozen.

    Where the network has no depth, or the authors', there are no first steps.
    """

    network: DaganNetwork
    settings: DaganTraining

    def forward(self, batch: FramePairs, averaged: FirstOrderNetwork, critic: Critic | None = None) -> Result:
        depth, params = self.network.depth, self.network.settings.depth
        if depth is None or params is None or batch.step >= self.settings.depth_steps(self.network.settings):
            return super().forward(batch, averaged, critic)
        disparities = depth.train()(batch.driving)
        driving, source = Seen(batch.driving, batch.driving_labels), Seen(batch.sources, batch.source_labels)
        terms = depth_loss([d.float() for d in disparities], driving, source, params, self.settings)
        weighted = {name: weight * value for name, (weight, value) in terms.items()}
        loss = torch.stack(list(weighted.values())).sum()
        return Result(loss, {name: value.detach() for name, value in (weighted | {"depth": loss}).items()})

    def extra_terms(self, batch: FramePairs, source: View, driving: View, generated: Generated) -> Terms:
        value = kp_distance(source.keypoints.value) + kp_distance(driving.keypoints.value)
        return {"kp_distance": (self.settings.loss_weights.kp_distance, value)}
