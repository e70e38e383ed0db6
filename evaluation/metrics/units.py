"""AUCON-geo: thirteen facial action units read off FaceMesh geometry instead of a trained detector.

Every measure is a ratio of distances between 3-D landmarks, so it does not change with scale or head pose. The
thresholds lie between the resting face and the expression for most of the fourteen people of the development clips:
they are absolute, so a person with high brows may show unit 1 throughout. An activation is a logistic of the distance
to the threshold: above .5 means active.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """One action unit: active when ``measure`` is above (or below) ``threshold``."""

    code: str
    name: str
    measure: str
    above: bool
    threshold: float
    softness: float


UNITS = (
    Unit("AU1", "inner brow raised", "inner_brow", True, 0.262, 0.010),
    Unit("AU2", "outer brow raised", "outer_brow", True, 0.335, 0.012),
    Unit("AU4", "brows drawn together", "brow_gap", False, 0.272, 0.008),
    Unit("AU5", "upper lid raised", "eye_aspect", True, 0.370, 0.025),
    Unit("AU7", "lids tightened", "eye_aspect", False, 0.260, 0.025),
    Unit("AU45", "eyes closed", "eye_aspect", False, 0.180, 0.025),
    Unit("AU12", "lip corners pulled up", "corner_height", True, 0.020, 0.010),
    Unit("AU15", "lip corners lowered", "corner_height", False, -0.022, 0.008),
    Unit("AU18", "lips puckered", "mouth_width", False, 0.500, 0.020),
    Unit("AU20", "lips stretched", "mouth_width", True, 0.620, 0.020),
    Unit("AU25", "lips parted", "lip_gap", True, 0.040, 0.015),
    Unit("AU26", "jaw dropped", "lip_gap", True, 0.120, 0.030),
    Unit("AU27", "mouth wide open", "lip_gap", True, 0.250, 0.040),
)


def measures(landmarks: NDArray[np.floating]) -> dict[str, float]:
    """Geometry of one face, FaceMesh landmarks [478, 3] in pixels, relative to the distance of the outer canthi."""
    points = np.asarray(landmarks, dtype=np.float64)

    def distance(first: int, second: int) -> float:
        return float(np.linalg.norm(points[first] - points[second]))

    scale = distance(33, 263)
    if scale == 0:
        raise ValueError("the outer corners of the eyes coincide")
    upwards = points[10] - points[152]
    upwards = upwards / np.linalg.norm(upwards)
    corners = (points[61] + points[291]) / 2 - (points[13] + points[14]) / 2
    return {
        "inner_brow": (distance(55, 133) + distance(285, 362)) / (2 * scale),
        "outer_brow": (distance(105, 33) + distance(334, 263)) / (2 * scale),
        "brow_gap": distance(55, 285) / scale,
        "eye_aspect": (distance(159, 145) / distance(33, 133) + distance(386, 374) / distance(263, 362)) / 2,
        "corner_height": float(corners @ upwards) / scale,
        "mouth_width": distance(61, 291) / scale,
        "lip_gap": distance(13, 14) / scale,
    }


def action_units(landmarks: NDArray[np.floating]) -> Array:
    """Activations [13] in (0, 1) of :data:`UNITS`, in that order, for one face of landmarks [478, 3]."""
    geometry = measures(landmarks)
    signed = [(geometry[u.measure] - u.threshold) / u.softness * (1.0 if u.above else -1.0) for u in UNITS]
    return 1.0 / (1.0 + np.exp(-np.clip(signed, -50.0, 50.0)))
