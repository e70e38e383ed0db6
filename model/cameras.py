"""Cameras in EG3D's convention: cam2world with OpenCV axes (x right, y down, z forward); world y up, the face on +z."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from preprocessing.cameras import FFHQ_FOCAL

FRONTAL = math.pi / 2
"""Yaw and pitch of the frontal camera."""
REFERENCE_RADIUS = 2.7
"""Distance of EG3D's cameras from the origin, world units; near and far are given for it."""
VIEW_TARGET = (0.0, 0.0, 0.2)
"""Where cameras of chosen views look, world units (the authors' script)."""


def normalize(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Unit vectors along the last axis."""
    return vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)


def look_at(
    yaw: Float[Tensor, "batch"], pitch: Float[Tensor, "batch"], radius: float, target: Float[Tensor, "3"]
) -> Float[Tensor, "batch 4 4"]:
    """Cameras on an orbit around the origin that look at ``target`` (EG3D's ``LookAtPoseSampler``, without its noise).

    ``yaw`` and ``pitch`` are radians; the frontal camera is (π/2, π/2), +yaw moves it to +x and +pitch to −y.
    EG3D spaces the polar angle evenly in its cosine: φ = arccos(1 − 2·pitch/π), so pitch is φ only at π/2.
    Only the viewing direction goes through ``target``; the orbit stays around the origin. Returns cam2world matrices
    whose columns are right, down (OpenCV's y), forward and origin.
    """
    phi = torch.arccos(1 - 2 * pitch.clamp(1e-5, math.pi - 1e-5) / math.pi)
    theta = yaw
    origin = radius * torch.stack(
        [torch.sin(phi) * torch.cos(math.pi - theta), torch.cos(phi), torch.sin(phi) * torch.sin(math.pi - theta)],
        dim=-1,
    )
    forward = normalize(target.to(origin) - origin)
    world_up = torch.tensor([0.0, 1.0, 0.0], dtype=origin.dtype, device=origin.device).expand_as(forward)
    right = -normalize(torch.linalg.cross(world_up, forward))
    down = normalize(torch.linalg.cross(forward, right))
    cam2world = torch.eye(4, dtype=origin.dtype, device=origin.device).repeat(len(origin), 1, 1)
    cam2world[:, :3] = torch.stack([right, down, forward, origin], dim=-1)
    return cam2world


def view_labels(yaw: Float[Tensor, "batch"], pitch: Float[Tensor, "batch"]) -> Float[Tensor, "batch 25"]:
    """Labels of cameras at offsets (radians) of the frontal view, FFHQ intrinsics, looking at :data:`VIEW_TARGET`."""
    cam2world = look_at(FRONTAL + yaw, FRONTAL + pitch, REFERENCE_RADIUS, torch.tensor(VIEW_TARGET))
    intrinsics = torch.tensor([[FFHQ_FOCAL, 0, 0.5], [0, FFHQ_FOCAL, 0.5], [0, 0, 1]])
    return join_label(cam2world, intrinsics.expand(len(yaw), 3, 3))


def split_label(label: Float[Tensor, "batch 25"]) -> tuple[Float[Tensor, "batch 4 4"], Float[Tensor, "batch 3 3"]]:
    """The two parts of a 25-number camera label: cam2world and intrinsics (normalised by the image's size)."""
    return label[:, :16].reshape(-1, 4, 4), label[:, 16:].reshape(-1, 3, 3)


def join_label(
    cam2world: Float[Tensor, "batch 4 4"], intrinsics: Float[Tensor, "batch 3 3"]
) -> Float[Tensor, "batch 25"]:
    """Inverse of :func:`split_label`."""
    return torch.cat([cam2world.flatten(1), intrinsics.flatten(1)], dim=1)


def relative_camera(
    source: Float[Tensor, "batch 25"], driver: Float[Tensor, "batch 25"], reference: Float[Tensor, "batch 25"]
) -> Float[Tensor, "batch 25"]:
    """The source's camera moved as the driver's moved since its reference frame; intrinsics stay the source's.

    In the head's frame a camera is world2cam; the change of the head's rigid pose between reference and driver,
    seen from the camera, is W_driver · W_reference⁻¹, applied after the source's own pose.
    """
    source_pose, intrinsics = split_label(source)
    driver_pose, _ = split_label(driver)
    reference_pose, _ = split_label(reference)
    change = torch.linalg.inv(driver_pose) @ reference_pose
    rotation = change[:, :3, :3] @ torch.linalg.inv(source_pose)[:, :3, :3]
    # Rotation and translation change apart, so that a source at another distance does not swing sideways.
    shift = torch.linalg.inv(driver_pose)[:, :3, 3] - torch.linalg.inv(reference_pose)[:, :3, 3]
    world2cam = torch.eye(4, dtype=source.dtype, device=source.device).repeat(len(source), 1, 1)
    world2cam[:, :3, :3] = rotation
    world2cam[:, :3, 3] = torch.linalg.inv(source_pose)[:, :3, 3] + shift
    return join_label(torch.linalg.inv(world2cam), intrinsics)
