"""The smallest first-order model that has every part, and weights under which all of it matters."""

from typing import Any, TypeVar

import torch
from torch import nn

DENSE: dict[str, Any] = {"block_expansion": 4, "max_features": 16, "num_blocks": 3, "scale_factor": 0.5}
TINY: dict[str, Any] = {
    "common_params": {"num_kp": 3},
    "kp_detector_params": {"block_expansion": 4, "max_features": 16, "num_blocks": 2, "scale_factor": 0.5},
    "generator_params": {
        "block_expansion": 4,
        "max_features": 12,
        "num_down_blocks": 2,
        "num_bottleneck_blocks": 2,
        "dense_motion_params": DENSE,
    },
}
N = TypeVar("N", bound=nn.Module)


@torch.no_grad()
def randomised(network: N, seed: int = 0) -> N:
    """``network`` in evaluation mode with random statistics, Jacobians and keypoints that are told apart."""
    torch.manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("jacobian.weight"):
            value.normal_(0, 0.02)
        elif name.endswith(("kp.weight", "mask.weight")):
            value.mul_(5)
    return network.eval()
