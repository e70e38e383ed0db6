"""Pupils by the method of GazeTracking (github.com/antoinelame/GazeTracking, MIT), written anew from its description.

dlib's 68 points outline the eyes; within an eye the pupil is the centroid of what is dark. What counts as dark is
calibrated so that the iris takes up a fixed share of the eye. The public tracker averages that threshold over its first
twenty frames; here each picture is its own calibration, so that no reading depends on the pictures before it.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.faces import dlib_weights
from evaluation.metrics.geometry import ALIGNED_EYES, ALIGNED_SIDE
from evaluation.pictures import Picture, resized
from preprocessing.cli import InputError
from preprocessing.geometry import procrustes

Array = NDArray[np.float64]

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
POINTS = 68
EYES = (slice(36, 42), slice(42, 48))  # image left, image right: outline of the eye among the 68 points
CORNERS = ((36, 39), (42, 45))
MARGIN = 5  # pixels around the outline
THRESHOLDS = range(5, 100, 5)  # grey levels that are tried
IRIS_SHARE = 0.48  # of the outline's box, after erosion


class GazeTracking:
    """Reads both eyes [2, 3] of each picture: x and y of the pupil (whole pixels, as the method gives them) and width.

    Image left first, in pixels of the eye-aligned 256² picture. None without a face; the reason without both pupils.
    """

    def __init__(self, predictor: Path | None = None) -> None:
        """``predictor`` is dlib's file of 68 points (the wheel's by default); another file raises InputError."""
        import dlib

        path = predictor or dlib_weights().with_name(PREDICTOR)
        self._detect = dlib.get_frontal_face_detector()
        try:
            self._predict = dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise InputError(f"{path} is not a shape predictor of dlib: {' '.join(str(error).split())}.") from None
        given = self._predict(np.zeros((8, 8), np.uint8), dlib.rectangle(0, 0, 7, 7)).num_parts
        if given != POINTS:
            raise InputError(f"{path} predicts {given} points, not the {POINTS} of {PREDICTOR}.")

    def __call__(self, pictures: Sequence[Picture]) -> list[Array | str | None]:
        """Eyes [2, 3] of pictures [H, W, 3]."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Picture) -> Array | str | None:
        grey = cv2.cvtColor(resized(picture, ALIGNED_SIDE), cv2.COLOR_RGB2GRAY)
        faces = self._detect(grey)
        if not faces:
            return None
        parts = self._predict(grey, faces[0]).parts()
        points = np.array([(part.x, part.y) for part in parts], dtype=np.float64)
        corners = points[np.array(CORNERS)]  # [2, 2, 2]: eye, corner, xy
        fit = procrustes(corners.mean(axis=1), ALIGNED_EYES)
        matrix = np.column_stack([fit.scale * fit.rotation, fit.translation])
        aligned = np.asarray(cv2.warpAffine(grey, matrix, (ALIGNED_SIDE, ALIGNED_SIDE)), dtype=np.uint8)
        outlines = np.rint(fit(points)).astype(np.int32)
        pupils = [found for eye in EYES if (found := pupil(aligned, outlines[eye])) is not None]
        if len(pupils) < 2:
            return "a pupil was not found"
        widths = fit.scale * np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1)
        return np.column_stack([pupils, widths])


def pupil(grey: NDArray[np.uint8], outline: NDArray[np.int32]) -> Array | None:
    """Pupil [2] within the outline [6, 2] of an eye in a grey picture [H, W]; None where nothing dark is enclosed."""
    mask = np.zeros_like(grey)
    cv2.fillPoly(mask, [outline], (255,))
    low = np.maximum(outline.min(axis=0) - MARGIN, 0)
    high = outline.max(axis=0) + MARGIN
    eye = np.where(mask, grey, 255)[low[1] : high[1], low[0] : high[0]]
    if min(eye.shape) <= 2 * MARGIN:
        return None
    smooth = cv2.erode(cv2.bilateralFilter(eye, 10, 15, 15), np.ones((3, 3), np.uint8), iterations=3)
    inner = smooth[MARGIN:-MARGIN, MARGIN:-MARGIN]
    threshold = min(THRESHOLDS, key=lambda level: abs(float(np.mean(inner <= level)) - IRIS_SHARE))
    _, bright = cv2.threshold(smooth, threshold, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(bright, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    if len(contours) < 2:
        return None
    # The largest contour is the frame around the eye; the iris is the largest one within.
    moments = cv2.moments(sorted(contours, key=cv2.contourArea)[-2])
    if moments["m00"] == 0:
        return None
    centroid = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    return low + np.floor(centroid)
