"""What training and evaluation read off landmarks, FaceMesh's 478 or 2D-FAN's 68: openings, gaze, aligned views."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from scipy.spatial import ConvexHull, QhullError

from preprocessing.detectors.points import IBUG, MESH, layout_of
from preprocessing.reference_face import CANTHI, reference_face


@dataclass(frozen=True)
class Reading:
    """Which points of a kind of landmarks are read."""

    canthi: tuple[int, int]
    """Outer corners of the eyes (image left, image right)."""
    inner_lips: tuple[int, int]
    """Middles of the inner lips (upper, lower)."""
    eyes: tuple[tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]], ...]
    """Per eye: its corners (image left, image right), its upper and its lower lid."""
    irises: tuple[int, ...]
    """The irises' centres, none where there are none."""
    rigid: tuple[int, ...]
    """Points that move with the skull and hardly with expression: eye corners, nose, root of the nose, temples."""
    on_reference: tuple[int, ...]
    """For each of these, the one of the reference face that stands for it."""


RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 2, 98, 327, 9, 8, 127, 356, 234, 454)
MESH_READING = Reading(
    CANTHI, (13, 14), (((33, 133), (159,), (145,)), ((362, 263), (386,), (374,))), (468, 473), RIGID, RIGID
)
IBUG_READING = Reading(
    (36, 45),
    (62, 66),
    (((36, 39), (37, 38), (41, 40)), ((42, 45), (43, 44), (47, 46))),
    (),
    IBUG.rigid,
    tuple(IBUG.rigid_reference),
)


def reading_of(landmarks: Float[np.ndarray, "*batch points 3"]) -> Reading:
    """What is read off landmarks of this kind; another number of points raises InputError."""
    return MESH_READING if layout_of(landmarks) is MESH else IBUG_READING


TEMPLATE_CENTRE = (0.0, -0.35)
TEMPLATE_HALF_SIDE = 0.95
"""The aligned view in units of the outer-canthi distance: from above the brows to below an open jaw."""


def eye_distance(landmarks: Float[np.ndarray, "*batch points 3"]) -> Float[np.ndarray, "*batch"]:
    """Distance of the outer eye corners, in the landmarks' unit.

    FaceMesh's depth counts, so that yaw does not shrink it; the 68 points have none.
    """
    left, right = reading_of(landmarks).canthi
    return np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1)


def mouth_opening(landmarks: Float[np.ndarray, "*batch points 3"]) -> Float[np.ndarray, "*batch"]:
    """Distance of the inner lips' midpoints as a share of the outer-canthi distance."""
    upper, lower = reading_of(landmarks).inner_lips
    gap = np.linalg.norm(landmarks[..., upper, :] - landmarks[..., lower, :], axis=-1)
    return gap / eye_distance(landmarks)


def eye_opening(landmarks: Float[np.ndarray, "*batch points 3"]) -> Float[np.ndarray, "*batch"]:
    """Distance of the lids as a share of the eye's width, mean of both eyes: about .3 open, below .15 shut."""
    shares = []
    for (left, right), upper, lower in reading_of(landmarks).eyes:
        width = np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1)
        lids = landmarks[..., list(upper), :] - landmarks[..., list(lower), :]
        shares.append(np.linalg.norm(lids, axis=-1).mean(-1) / width)
    return np.mean(shares, axis=0)


def gaze(landmarks: Float[np.ndarray, "*batch points 3"]) -> Float[np.ndarray, "*batch"] | None:
    """Horizontal place of the irises between the eyes' corners, mean of both: −.5 left to .5 right in the image.

    None of landmarks without irises.
    """
    reading = reading_of(landmarks)
    if not reading.irises:
        return None
    places = []
    for ((left, right), _, _), iris in zip(reading.eyes, reading.irises, strict=True):
        axis = landmarks[..., right, :2] - landmarks[..., left, :2]
        offset = landmarks[..., iris, :2] - landmarks[..., left, :2]
        places.append((offset * axis).sum(-1) / np.square(axis).sum(-1) - 0.5)
    return np.mean(places, axis=0)


def hull_area(points: Float[np.ndarray, "points 2"]) -> float:
    """Area within the convex hull of points in the plane; 0 where they are fewer than three or lie on a line."""
    try:
        return float(ConvexHull(points).volume)  # of plane points Qhull's "volume" is the area, its "area" the outline
    except QhullError:
        return 0.0


def template_points(reading: Reading) -> Float[np.ndarray, "rigid 2"]:
    """The rigid landmarks of the frontal reference face in the aligned view, as shares of its side (0–1, y down)."""
    face = reference_face()
    face = (face - face[list(CANTHI)].mean(0)) / np.linalg.norm(face[CANTHI[0]] - face[CANTHI[1]])
    points = face[list(reading.on_reference), :2] - np.array(TEMPLATE_CENTRE)
    return np.stack([points[:, 0], -points[:, 1]], axis=1) / (2 * TEMPLATE_HALF_SIDE) + 0.5


def alignment(landmarks: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "2 3"]:
    """Affine map from frame pixels to the aligned view (0–1), least squares over the rigid landmarks."""
    reading = reading_of(landmarks)
    points = landmarks[list(reading.rigid), :2].astype(np.float64)
    design = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, template_points(reading), rcond=None)
    return solution.T


def aligned_face(
    frame: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "points 3"], side: int
) -> UInt8[np.ndarray, "side side"]:
    """The driver's face warped to the frontal template, grey: position, roll, scale and most of the yaw are gone."""
    matrix = alignment(landmarks) * side
    # Pixel centres: index i covers [i, i + 1), so its centre is at i + .5 in both images.
    matrix[:, 2] += matrix[:, :2].sum(1) * 0.5 - 0.5
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), 0.4 / scale)
    return cv2.warpAffine(grey, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def standardised(aligned: UInt8[np.ndarray, "*batch side side"]) -> Float[np.ndarray, "*batch side side"]:
    """Aligned faces with zero mean and unit deviation each: lighting and skin tone say little about motion."""
    values = aligned.astype(np.float32)
    mean = values.mean((-2, -1), keepdims=True)
    deviation = values.std((-2, -1), keepdims=True)
    return (values - mean) / (deviation + 8)
