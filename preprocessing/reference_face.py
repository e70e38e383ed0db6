"""The reference face: 478 points, the generalised Procrustes mean of FaceMesh over the embedded clips.

``python -m preprocessing.reference_face VIDEO…`` builds it; its result, ``reference_face.csv``, is committed,
since every folder of videos needs it. Unit decimetre, outer canthi .90 apart, x to the image's right when seen
from the front, y up, z out of the face; the origin and tilt are those of the five-point template of
Deep3DFaceRecon, so that EG3D's window and world follow.
"""

import argparse
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.files import atomic
from preprocessing.geometry import generalised_procrustes, procrustes

REFERENCE_FILE = Path(__file__).with_name("reference_face.csv")
"""The committed numbers: one point a line, x, y, z in decimetres."""

CANTHI = (33, 263)
"""Outer corners of the eye at the image's left and at its right."""

FOREHEAD, CHIN = 10, 152
"""Topmost and lowest point of the face's outline."""

LOPSIDED = 0.2
"""Largest distance of a mirrored point from its partner, in units of the shape's root-mean-square size."""

CANTHI_DISTANCE = 0.90
"""Distance of the outer canthi in decimetres."""

WORLD_PER_DECIMETRE = 0.27
"""EG3D's world units per decimetre of Deep3DFaceRecon."""

WORLD_OFFSET = (0.0, 0.006, 0.161)
"""Where EG3D's world has the origin of Deep3DFaceRecon's face."""

# Forehead, temples, cheekbones, nose and the corners of the eyes: what neither jaw nor lips nor lids move.
RIGID = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 109, 67, 103, 54, 21, 162, 127, 234,
    151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 2, 98, 327, 48, 278, 129, 358, 115, 344, 220, 440,
    33, 133, 263, 362, 130, 359, 243, 463, 226, 446, 117, 346, 118, 347, 119, 348, 101, 330, 123, 352, 116, 345,
    69, 299, 104, 333, 108, 337, 71, 301, 68, 298,
]  # fmt: skip
"""FaceMesh points that move with the head alone."""

# Deep3DFaceRecon's template (eyes, nose tip, mouth corners) and the FaceMesh points that stand for each.
TEMPLATE = np.array(
    [
        [-0.3115, 0.2904, 0.1338],
        [0.3098, 0.2897, 0.1318],
        [0.0032, -0.0462, 0.5524],
        [-0.2522, -0.3813, 0.2441],
        [0.2485, -0.3813, 0.2382],
    ]
)
"""Five points [5, 3] in decimetres: eyes, nose tip, mouth corners."""

FIVE = ((33, 133, 159, 145), (263, 362, 386, 374), (4,), (61,), (291,))
"""FaceMesh points whose mean stands for each of the five."""


@lru_cache(maxsize=1)
def reference_face() -> np.ndarray:
    """The committed reference face [478, 3] float64 in decimetres (read-only)."""
    points = np.loadtxt(REFERENCE_FILE, delimiter=",")
    points.setflags(write=False)
    return points


@lru_cache(maxsize=1)
def reference_world() -> np.ndarray:
    """The reference face [478, 3] in EG3D's world before a clip's own scale (read-only)."""
    points = reference_face() * WORLD_PER_DECIMETRE + np.array(WORLD_OFFSET)
    points.setflags(write=False)
    return points


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """The five template points [5, D] of landmarks [478, D]."""
    return np.stack([landmarks[list(group)].mean(0) for group in FIVE])


def build(shapes: np.ndarray) -> np.ndarray:
    """Reference face [478, 3] in decimetres of FaceMesh shapes [M, 478, 3] (image axes: y down, z away)."""
    mean = generalised_procrustes(shapes * np.array([1.0, -1.0, -1.0]))
    mean = _symmetric(mean)
    mean *= CANTHI_DISTANCE / np.linalg.norm(mean[CANTHI[1]] - mean[CANTHI[0]])
    template = TEMPLATE * np.array([0.0, 1, 1]) + (TEMPLATE - TEMPLATE[[1, 0, 2, 4, 3]]) * np.array([0.5, 0, 0])
    template[:, 1:] = (template[:, 1:] + template[[1, 0, 2, 4, 3], 1:]) / 2
    fit = procrustes(five_points(mean), template)
    # rotation and position from the template, size from the canthi
    placed = mean @ fit.rotation.T
    placed += (template - five_points(placed)).mean(0)
    placed[:, 0] -= placed[list(CANTHI), 0].mean()
    return placed


def _symmetric(shape: np.ndarray) -> np.ndarray:
    """Average a shape with its mirror image and turn the mirror plane to x = 0, the chin below the forehead.

    Which point is which one's partner is found by matching the mirror image, aligned in turns, to the shape.
    """
    axis = shape[CANTHI[1]] - shape[CANTHI[0]]
    axis /= np.linalg.norm(axis)
    mirrored = shape - 2 * np.outer(shape @ axis, axis)
    pairs = np.arange(len(shape))
    for _ in range(10):
        distance = np.linalg.norm(mirrored[:, None] - shape[None], axis=-1)
        _, pairs = linear_sum_assignment(distance + distance.T)
        mirrored = procrustes(mirrored, shape[pairs])(mirrored)
    apart = float(np.linalg.norm(mirrored - shape[pairs], axis=1).max())
    if apart > LOPSIDED or not np.array_equal(pairs[pairs], np.arange(len(shape))):
        raise InputError("The mean face is too lopsided to pair its left and right points; use more frontal videos.")
    mean = (shape + mirrored[pairs]) / 2
    axis = mean[CANTHI[1]] - mean[CANTHI[0]]
    axis /= np.linalg.norm(axis)
    up = mean[FOREHEAD] - mean[CHIN]
    up -= axis * (up @ axis)
    up /= np.linalg.norm(up)
    turned = mean @ np.stack([axis, up, np.cross(axis, up)]).T
    return turned - (turned[CANTHI[0]] + turned[CANTHI[1]]) / 2


def collect(paths: list[Path], every: int) -> np.ndarray:
    """FaceMesh shapes [M, 478, 3] of every so many-th frame of videos, found in the detector's box."""
    from preprocessing.detectors.backends import FaceMesh, MediapipeBoxes
    from preprocessing.video import frames
    from preprocessing.window import context, cut

    boxes, mesh, shapes = MediapipeBoxes(), FaceMesh(), []
    for path in progress(paths, "videos"):
        for index, frame in frames(path):
            if index % every:
                continue
            (found,) = boxes([frame])
            if not len(found):
                continue
            centre, side = context(found[0])
            (landmarks,) = mesh([cut(frame, centre, side, 256)])
            if landmarks is not None:
                shapes.append(landmarks)
    if len(shapes) < 10:
        raise InputError(f"A reference face needs at least ten faces; {len(shapes)} were found.")
    return np.array(shapes, np.float64)


def main(argv: list[str] | None = None) -> None:
    """Command line: build the reference face from videos."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.reference_face", description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help="videos of talking heads")
    parser.add_argument("--every", type=int, default=20, help="use every so many-th frame (default 20)")
    parser.add_argument("--output", type=Path, default=REFERENCE_FILE, help="CSV to write")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    points = build(collect(arguments.videos, arguments.every))
    with atomic(arguments.output) as temporary:
        np.savetxt(temporary, points, fmt="%.5f", delimiter=",")


if __name__ == "__main__":
    main()
