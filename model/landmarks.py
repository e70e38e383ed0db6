"""What training and evaluation read off FaceMesh's 478 landmarks: mouth opening, and the aligned view of a driver."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from preprocessing.reference_face import CANTHI, reference_face

INNER_LIPS = (13, 14)
EYES = (((33, 133), (159, 145), 468), ((362, 263), (386, 374), 473))
"""Per eye: its corners (image left, image right), its lids (upper, lower), its iris' centre."""
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 2, 98, 327, 9, 8, 127, 356, 234, 454)
"""Landmarks that move with the skull and hardly with expression: eye corners, nose, root of the nose, temples."""

TEMPLATE_CENTRE = (0.0, -0.35)
TEMPLATE_HALF_SIDE = 0.95
"""The aligned view in units of the outer-canthi distance: from above the brows to below an open jaw."""


def eye_distance(landmarks: Float[np.ndarray, "*batch 478 3"]) -> Float[np.ndarray, "*batch"]:
    """Distance of the outer eye corners, in the landmarks' unit, depth included (so yaw does not shrink it)."""
    return np.linalg.norm(landmarks[..., CANTHI[0], :] - landmarks[..., CANTHI[1], :], axis=-1)


def mouth_opening(landmarks: Float[np.ndarray, "*batch 478 3"]) -> Float[np.ndarray, "*batch"]:
    """Distance of the inner lips' midpoints as a share of the outer-canthi distance."""
    gap = np.linalg.norm(landmarks[..., INNER_LIPS[0], :] - landmarks[..., INNER_LIPS[1], :], axis=-1)
    return gap / eye_distance(landmarks)


def eye_opening(landmarks: Float[np.ndarray, "*batch 478 3"]) -> Float[np.ndarray, "*batch"]:
    """Distance of the lids as a share of the eye's width, mean of both eyes: about .3 open, below .15 shut."""
    shares = []
    for corners, lids, _ in EYES:
        width, gap = (np.linalg.norm(landmarks[..., a, :] - landmarks[..., b, :], axis=-1) for a, b in (corners, lids))
        shares.append(gap / width)
    return np.mean(shares, axis=0)


def gaze(landmarks: Float[np.ndarray, "*batch 478 3"]) -> Float[np.ndarray, "*batch"]:
    """Horizontal place of the irises between the eyes' corners, mean of both: −.5 left to .5 right in the image."""
    places = []
    for (left, right), _, iris in EYES:
        axis = landmarks[..., right, :2] - landmarks[..., left, :2]
        offset = landmarks[..., iris, :2] - landmarks[..., left, :2]
        places.append((offset * axis).sum(-1) / np.square(axis).sum(-1) - 0.5)
    return np.mean(places, axis=0)


def template_points() -> Float[np.ndarray, "rigid 2"]:
    """The rigid landmarks of the frontal reference face in the aligned view, as shares of its side (0–1, y down)."""
    face = reference_face()
    face = (face - face[list(CANTHI)].mean(0)) / np.linalg.norm(face[CANTHI[0]] - face[CANTHI[1]])
    points = face[list(RIGID), :2] - np.array(TEMPLATE_CENTRE)
    return np.stack([points[:, 0], -points[:, 1]], axis=1) / (2 * TEMPLATE_HALF_SIDE) + 0.5


def alignment(landmarks: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "2 3"]:
    """Affine map from frame pixels to the aligned view (0–1), least squares over the rigid landmarks."""
    points = landmarks[list(RIGID), :2].astype(np.float64)
    design = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, template_points(), rcond=None)
    return solution.T


def aligned_face(
    frame: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 3"], side: int
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
