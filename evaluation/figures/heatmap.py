"""Vertex distances of two faces as colours on a shaded head (figure 5)."""

from dataclasses import dataclass
from functools import cache

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes

from evaluation.figures.canvas import INK, PAPER, typeface
from evaluation.metrics.geometry import FACE_POINTS, aligned_shapes
from preprocessing.reference_face import reference_face

LIMIT = 0.08  # decimetres at the top of the colour scale: 8 mm
COLOURS = "YlOrRd"
LIGHT = np.array([-0.42, 0.55, 0.72])  # towards the lamp, above the viewer's left shoulder
EYE, IRIS, MOUTH = (236, 236, 240), (84, 84, 92), (70, 60, 64)
IRISES = ((468, 469), (473, 474))  # centre and a point of the rim
SMOOTH = 2  # drawn this many times larger, then averaged


def vertex_distances(reference: NDArray[np.floating], generated: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance in decimetres of each of 468 FaceMesh points after similarity alignment of landmarks [478, 3]."""
    a, b = aligned_shapes(reference, generated)
    return np.linalg.norm(a - b, axis=1)


@cache
def triangles() -> NDArray[np.int64]:
    """FaceMesh's triangles [T, 3], the three-cycles of its published edges, turned to face the viewer."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found = np.array(
        sorted(
            (a, b, c)
            for a in neighbours
            for b in neighbours[a]
            if a < b
            for c in neighbours[a] & neighbours[b]
            if b < c
        )
    )
    a, b, c = (reference_face()[found[:, i], :2] for i in range(3))
    clockwise = _cross(b - a, c - a) < 0
    found[clockwise] = found[clockwise][:, [0, 2, 1]]
    return found


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cross product of vectors [..., 2] in the plane."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


@dataclass(frozen=True)
class _Raster:
    """The reference face from the front at one size: what every heat map of that size shares."""

    corners: NDArray[np.int64]  # [H, W, 3], the points of the triangle seen in a pixel
    weights: NDArray[np.float64]  # [H, W, 3], its barycentric coordinates; zero where there is no face
    light: NDArray[np.float64]  # [H, W], brightness
    still: NDArray[np.uint8]  # [H, W, 3], what carries no distance: page, eyeballs, mouth

    def colour(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Values [468] between 0 and 1 as shaded colours, RGB [H, W, 3]."""
        seen = (self.weights * values[self.corners]).sum(axis=2)
        paint = matplotlib.colormaps[COLOURS](np.clip(seen, 0.0, 1.0))[..., :3] * self.light[..., None]
        covered = self.weights.any(axis=2, keepdims=True)
        return np.where(covered, np.clip(255 * paint, 0, 255), self.still).astype(np.uint8)


@cache
def _raster(side: int) -> _Raster:
    """Rasterise the reference face, the nearest triangle in front."""
    points = reference_face()
    face = points[:FACE_POINTS]
    low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
    scale = (side - 1) / (1.04 * float((high - low).max()))
    flat = ((points[:, :2] - (low + high) / 2) * (1, -1)) * scale + (side - 1) / 2
    corners, weights = np.zeros((side, side, 3), np.int64), np.zeros((side, side, 3))
    depth = np.full((side, side), -np.inf)
    for triangle in triangles():
        a, b, c = flat[triangle]
        area = _cross(b - a, c - a)
        left, top = np.floor(np.min([a, b, c], axis=0)).astype(int)
        right, bottom = np.ceil(np.max([a, b, c], axis=0)).astype(int) + 1
        if area == 0:
            continue
        place = np.s_[top:bottom, left:right]
        pixels = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1)
        share = np.stack([_cross(q - p, pixels - p) / area for p, q in ((b, c), (c, a), (a, b))], axis=-1)
        near = share @ face[triangle, 2]
        front = (share >= -1e-9).all(axis=2) & (near > depth[place])
        corners[place][front], weights[place][front], depth[place][front] = triangle, share[front], near[front]
    return _Raster(corners, weights, _brightness(face, corners, weights), _still(flat, weights.any(axis=2)))


def _brightness(
    face: NDArray[np.float64], corners: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Lambert's law with soft surroundings and a faint highlight, normals interpolated between the points (Phong)."""
    a, b, c = (face[triangles()[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(face)
    for corner in range(3):
        np.add.at(normals, triangles()[:, corner], across)
    normal = np.einsum("hwk,hwkd->hwd", weights, normals[corners])
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    lamp = LIGHT / np.linalg.norm(LIGHT)
    half = lamp + np.array([0.0, 0.0, 1.0])
    shine = np.clip(normal @ (half / np.linalg.norm(half)), 0.0, 1.0) ** 24
    brightness: NDArray[np.float64] = 0.50 + 0.54 * np.clip(normal @ lamp, 0.0, 1.0) + 0.10 * shine
    return brightness


def _still(flat: NDArray[np.float64], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The page, and in the mesh's holes eyeballs that look ahead and the inside of the mouth, RGB [H, W, 3]."""
    side = len(covered)
    holes = binary_fill_holes(covered) & ~covered
    page = Image.new("RGB", (side, side), EYE)
    draw = ImageDraw.Draw(page)
    for middle, rim in IRISES:
        draw.circle(tuple(flat[middle]), float(np.linalg.norm(flat[rim] - flat[middle])), IRIS)
    below = (np.arange(side) > side / 2)[:, None, None]
    inside = np.where(below, np.array(MOUTH, np.uint8), np.asarray(page))
    return np.where(holes[..., None], inside, np.array(PAPER, np.uint8)).astype(np.uint8)


def heat_map(distances: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Distances [468] in decimetres on the frontal reference face, RGB [side, side, 3], white page."""
    large = _raster(SMOOTH * side).colour(distances / LIMIT)
    return np.asarray(cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def colour_bar(width: int, size: int) -> Image.Image:
    """The scale of :func:`heat_map` in decimetres on a page as wide as its figure, in letters of ``size`` pixels."""
    font, long, thick = typeface(size), round(width * 0.5), round(size * 0.8)
    colours = matplotlib.colormaps[COLOURS](np.linspace(0.0, 1.0, long))[:, :3]
    page = Image.new("RGB", (width, round(size * 4.2)), PAPER)
    left, top = (width - long) // 2, size // 2
    page.paste(Image.fromarray(np.tile((255 * colours).astype(np.uint8), (thick, 1, 1))), (left, top))
    draw = ImageDraw.Draw(page)
    for step in range(5):
        x, value = left + step * (long - 1) / 4, step * LIMIT / 4
        draw.line([(x, top + thick), (x, top + thick + size // 4)], INK, max(1, size // 16))
        text = f"{value:.2f}" if value else "0"
        draw.text((x, top + thick + size * 0.85), text if step < 4 else f"≥ {text}", INK, font, anchor="mm")
    label = "vertex distance in decimetres (outer eye corners 0.90 apart)"
    draw.text((width / 2, top + thick + size * 2.1), label, INK, font, anchor="mm")
    return page
