"""Vertex distances of two faces as a coloured mesh (figure 5)."""

from functools import cache

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from evaluation.metrics.geometry import FACE_POINTS, aligned_shapes
from preprocessing.reference_face import reference_face

LIMIT = 0.08  # decimetres at the top of the colour scale: 8 mm
COLOURS = "magma"


def vertex_distances(reference: NDArray[np.floating], generated: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance in decimetres of each of 468 FaceMesh points after similarity alignment of landmarks [478, 3]."""
    a, b = aligned_shapes(reference, generated)
    return np.linalg.norm(a - b, axis=1)


@cache
def triangles() -> NDArray[np.int64]:
    """FaceMesh's triangles [T, 3]: the three-cycles of its published edges."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found = {
        (a, b, c) for a in neighbours for b in neighbours[a] if a < b for c in neighbours[a] & neighbours[b] if b < c
    }
    return np.array(sorted(found))


def heat_map(distances: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Distances [468] in decimetres drawn on the frontal reference face, RGB [side, side, 3], white page."""
    points = reference_face()[:FACE_POINTS]
    figure = plt.figure(figsize=(side / 100, side / 100), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    mesh = Triangulation(points[:, 0], points[:, 1], triangles())
    axes.tripcolor(mesh, distances, shading="gouraud", cmap=COLOURS, vmin=0.0, vmax=LIMIT)
    axes.triplot(mesh, color="white", linewidth=max(0.15, side / 1500), alpha=0.35)
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * 1.04
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_axis_off()
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return drawn


def colour_bar(width: int, height: int) -> NDArray[np.uint8]:
    """The scale of :func:`heat_map` in millimetres, RGB [height, width, 3]."""
    with plt.rc_context({"font.family": "STIXGeneral", "font.size": 0.24 * height * 72 / 100}):
        figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
        axes = figure.add_axes((0.28, 0.72, 0.44, 0.18))
        scale = plt.cm.ScalarMappable(plt.Normalize(0, LIMIT * 100), COLOURS)
        bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
        bar.set_label("vertex distance, mm (outer eye corners 90 mm apart)", labelpad=1)
        bar.outline.set_visible(False)
        figure.canvas.draw()
        drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
        plt.close(figure)
    return drawn
