"""Relative motion of the first-order family: the driver's change since a reference frame, applied to the source.

As ``normalize_kp`` of FOMM's public code with relative movement and relative Jacobians. Absolute motion needs nothing
of the kind: there the driver's keypoints are taken as they are.
"""

import math

import torch

from model.baselines.firstorder.network import Keypoints
from model.landmarks import hull_area


def relative_keypoints(source: Keypoints, driving: Keypoints, initial: Keypoints, scale: bool) -> Keypoints:
    """Where the source's keypoints come when they move as the driver's did since ``initial``.

    ``driving`` [n, k, 2] moves ``source`` by ``initial`` (both [1, k, 2], or n of them): p = s·(p_d − p_d0) + p_s and
    J = J_d J_d0⁻¹ J_s. s is 1 or, with ``scale``, what :func:`movement_scale` says.
    """
    factor = movement_scale(source, initial) if scale else 1.0
    value = (driving.value - initial.value) * factor + source.value
    if source.jacobian is None or driving.jacobian is None or initial.jacobian is None:
        return Keypoints(value, None)
    return Keypoints(value, driving.jacobian @ torch.linalg.inv(initial.jacobian) @ source.jacobian)


def movement_scale(source: Keypoints, initial: Keypoints) -> float:
    """√(area of the source's hull) / √(area of the driver's) around the keypoints of the first frame of each batch.

    Keypoints without an area (fewer than three, or all on a line), which the public code cannot take, say nothing
    about size: motion is then left as large as it is.
    """
    areas = [hull_area(keypoints.value[0].detach().cpu().numpy()) for keypoints in (source, initial)]
    return math.sqrt(areas[0]) / math.sqrt(areas[1]) if all(areas) else 1.0
