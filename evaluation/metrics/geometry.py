"""Alignment of faces and eyes before vertex distance and eye tracking, and the head's angles by PnP."""

import numpy as np
from numpy.typing import NDArray

from preprocessing.cameras import angles, intrinsics
from preprocessing.detectors.pose import solve_camera
from preprocessing.geometry import procrustes
from preprocessing.reasons import Dropped
from preprocessing.reference_face import CANTHI, CANTHI_DISTANCE

Array = NDArray[np.float64]
Landmarks = NDArray[np.floating]

FACE_POINTS = 468  # FaceMesh without the ten iris points, which move with the gaze
EYE_CORNERS = ((33, 133), (263, 362))  # image left, image right: outer, inner
IRISES = (468, 473)  # image left, image right
ALIGNED_SIDE = 256
ALIGNED_EYES = np.array([[0.35, 0.40], [0.65, 0.40]]) * ALIGNED_SIDE


def aligned_shapes(source: Landmarks, generated: Landmarks) -> tuple[Array, Array]:
    """Two FaceMesh faces [478, 3] as shapes [468, 3] in decimetres, the second similarity-aligned to the first.

    The source is scaled so that its outer canthi are .90 dm apart; alignment takes pose and size out, but not
    expression, which a 3DMM's identity shape would not hold.
    """
    a = np.asarray(source, dtype=np.float64)[:FACE_POINTS]
    b = np.asarray(generated, dtype=np.float64)[:FACE_POINTS]
    a = a * (CANTHI_DISTANCE / np.linalg.norm(a[CANTHI[0]] - a[CANTHI[1]]))
    return a, procrustes(b, a)(b)


def aligned_eyes(landmarks: Landmarks) -> Array:
    """Each eye [2, 3] in pixels of the eye-aligned 256² picture: x and y of its pupil, and its width.

    The middle of each eye (of its two corners, which the gaze does not move) goes to (.35, .40) and (.65, .40) of the
    picture by a similarity; FaceMesh's iris centres are the pupils.
    """
    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    middles = np.array([(points[a] + points[b]) / 2 for a, b in EYE_CORNERS])
    fit = procrustes(middles, ALIGNED_EYES)
    widths = [np.linalg.norm(points[a] - points[b]) * fit.scale for a, b in EYE_CORNERS]
    return np.column_stack([fit(points[list(IRISES)]), widths])


def head_degrees(landmarks: Landmarks, side: int) -> Array:
    """Pitch, yaw and roll [3] in degrees of the camera about the head, FaceMesh landmarks [478, 3] in pixels.

    PnP of the landmarks on the reference face with EG3D's focal length, as the whole picture (``side`` pixels) is a
    window of EG3D's framing. Signs as in :func:`preprocessing.cameras.angles`: differences do not depend on them.
    Raises ValueError where no camera explains the landmarks.
    """
    try:
        camera, _ = solve_camera(landmarks, intrinsics(), side)
    except Dropped:
        raise ValueError("no head pose explains the landmarks") from None
    return camera_degrees(camera)


def camera_degrees(camera: NDArray[np.floating]) -> Array:
    """Pitch, yaw and roll [3] in degrees of a camera label [25] about a head that looks along the world's +z."""
    yaw, pitch, roll = np.degrees(angles(camera))
    return np.array([pitch, yaw, roll])
