"""The camera that sees a face's landmarks, by perspective-n-point on the reference face."""

from collections.abc import Sequence

import cv2
import numpy as np

from preprocessing.cameras import angles, from_pose, label
from preprocessing.detectors.backends import Solved
from preprocessing.detectors.points import layout_of
from preprocessing.reasons import Dropped
from preprocessing.reference_face import reference_world

MAX_LEAN = np.radians(60)
"""Largest roll of a head, in radians: on a face that lies on its side the landmarks are wrong."""


class PnpCameras:
    """See :class:`~preprocessing.detectors.backends.CameraFinder`: each camera from the landmarks alone."""

    name = "pnp-reference-face"

    def __call__(
        self, windows: Sequence[np.ndarray], landmarks: Sequence[np.ndarray], matrices: Sequence[np.ndarray]
    ) -> list[Solved | None]:
        """Cameras of faces with these landmarks in windows of these intrinsics."""
        return [
            _or_none(points, matrix, len(window))
            for window, points, matrix in zip(windows, landmarks, matrices, strict=True)
        ]


def _or_none(landmarks: np.ndarray, matrix: np.ndarray, size: int) -> Solved | None:
    try:
        return solve_camera(landmarks, matrix, size)
    except Dropped:
        return None


def solve_camera(landmarks: np.ndarray, matrix: np.ndarray, size: int) -> Solved:
    """Camera label [25] of landmarks [478 or 68, ≥2] in pixels of a frame of ``size``, and its median error in pixels.

    ``matrix`` [3, 3] are the frame's normalised intrinsics. Only points that move with the head alone are used.
    Raises :class:`Dropped` (no-pose) when no camera in front of the face explains them.
    """
    layout = layout_of(landmarks)
    image = np.asarray(landmarks, np.float64)[list(layout.rigid), :2]
    return solve_points(reference_world()[layout.rigid_reference], image, matrix, size)


def solve_points(world: np.ndarray, image: np.ndarray, matrix: np.ndarray, size: int) -> Solved:
    """As :func:`solve_camera`, of any points of the world [N, 3] that are seen at ``image`` [N, 2] in pixels."""
    pixels = np.diag([size, size, 1.0]) @ matrix
    straight = np.zeros(4)  # no lens distortion
    found, rotation_vector, translation = cv2.solvePnP(world, image, pixels, straight, flags=cv2.SOLVEPNP_SQPNP)
    if found:
        rotation_vector, translation = cv2.solvePnPRefineLM(
            world, image, pixels, straight, rotation_vector, translation
        )
    if not found or not np.isfinite(translation).all() or translation[2] <= 0:
        raise Dropped("no-pose")
    rotation, _ = cv2.Rodrigues(rotation_vector)
    projected, _ = cv2.projectPoints(world, rotation_vector, translation, pixels, straight)
    error = float(np.median(np.linalg.norm(projected[:, 0] - image, axis=1)))
    return label(from_pose(rotation, translation), matrix), error


def looks_at_face(camera: np.ndarray) -> bool:
    """Whether the face is seen from the front half and leans by less than :data:`MAX_LEAN`."""
    backward = -camera[:16].reshape(4, 4)[2, 2]
    return bool(backward > 0 and abs(angles(camera)[2]) < MAX_LEAN)
