"""The face as a mesh: marching cubes of the density, vertices coloured by the decoder, written as PLY."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from skimage.measure import label, marching_cubes
from torch import Tensor
from torch.nn import functional as F

from model.planedict import PlaneDict
from preprocessing.files import atomic

SIDE = 128
"""Grid points per side of the cube the planes span."""
HALF_OPAQUE = 0.04
"""Length in world units over which matter of the surface's density stops half of the light.

Measured on the demo's checkpoints: 97 % of the rays that are stopped meet such matter, 0.02 before their mean depth.
Thinner matter (0.05 and more) includes haze in front of the face, denser matter (0.03) leaves holes.
"""
SURFACE = math.log(2) / HALF_OPAQUE
"""Density of the surface: 1 − exp(−density · length) is one half over :data:`HALF_OPAQUE`."""


class Mesh(NamedTuple):
    """Vertices in world units (x to the subject's left, y up, z out of the face), their colours, and triangles.

    Seen from outside, a triangle's corners go round counter-clockwise.
    """

    vertices: Float[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]


@torch.inference_mode()
def query(
    model: PlaneDict, planes: Float[Tensor, "1 3 c r r"], points: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n 3"]]:
    """Density per world unit and colour in [0, 1] at ``points`` (world units), looked at from the front."""
    densities, colours = [], []
    for part in points.to(planes).split(1 << 17):
        density, colour = model.query(planes, part[None])
        densities.append(F.softplus(density[0, :, 0] - 1))
        colours.append(colour[0, :, :3].clamp(0, 1))
    return torch.cat(densities), torch.cat(colours)


def extract(model: PlaneDict, planes: Float[Tensor, "1 3 c r r"], side: int = SIDE) -> Mesh:
    """The surface of the largest connected part denser than :data:`SURFACE`; empty where there is none.

    ``planes`` are those of one source and motion. The surface is closed at the cube's walls.
    """
    box = model.settings.render.box_side
    axis = ((torch.arange(side) + 0.5) / side - 0.5) * box
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    density = query(model, planes, grid)[0].cpu().numpy().reshape(side, side, side)
    parts = label(density > SURFACE, connectivity=1)
    sizes = np.bincount(parts.ravel())[1:]
    if not len(sizes):
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros((0, 3), np.int32))
    # Other parts are lowered, not cut out: beside the largest one the density stays, and the surface smooth.
    density[(parts > 0) & (parts != 1 + sizes.argmax())] = 0
    indices, faces, _, _ = marching_cubes(np.pad(density, 1), SURFACE, gradient_direction="ascent")
    vertices = ((indices - 0.5) / side - 0.5) * box
    colours = query(model, planes, torch.from_numpy(vertices.astype(np.float32)))[1]
    return Mesh(vertices.astype(np.float32), (colours * 255).round().byte().cpu().numpy(), faces.astype(np.int32))


def write_ply(path: Path, mesh: Mesh, comment: str) -> None:
    """Binary little-endian PLY, with ``comment`` (one line) in its header."""
    lines = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {len(mesh.vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    lines += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header\n"]
    vertices = np.zeros(len(mesh.vertices), [("position", "<f4", 3), ("colour", "u1", 3)])
    vertices["position"], vertices["colour"] = mesh.vertices, mesh.colours
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    with atomic(path) as temporary:
        temporary.write_bytes(
            "\n".join(lines).encode("ascii", "backslashreplace") + vertices.tobytes() + faces.tobytes()
        )
