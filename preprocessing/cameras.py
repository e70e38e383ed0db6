"""Camera labels in EG3D's convention: 25 numbers, cam2world 4×4 row-major and intrinsics 3×3 by image size.

The camera looks along its +z, x right, y down (OpenCV). In the world y is up and the face looks along +z, so
the frontal camera sits on +z and looks at the origin. docs/cameras.md has a worked example.
"""

import numpy as np

FFHQ_FOCAL = 2985.29 / 700
"""EG3D's focal length over the side of its window: 4.2647."""

OPENCV_TO_WORLD = np.diag([1.0, -1.0, -1.0])
"""Rotation of the frontal camera: its x is the world's x, its y and z point against the world's."""


def label(cam2world: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Join cam2world [4, 4] and normalised intrinsics [3, 3] into one label [25] float32."""
    return np.concatenate([np.reshape(cam2world, 16), np.reshape(intrinsics, 9)]).astype(np.float32)


def split_label(camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cam2world [..., 4, 4] and normalised intrinsics [..., 3, 3] of labels [..., 25], as float64."""
    camera = np.asarray(camera, np.float64)
    return camera[..., :16].reshape(*camera.shape[:-1], 4, 4), camera[..., 16:].reshape(*camera.shape[:-1], 3, 3)


def intrinsics(focal: float = FFHQ_FOCAL, centre: tuple[float, float] = (0.5, 0.5), aspect: float = 1.0) -> np.ndarray:
    """Normalised intrinsics [3, 3]: ``focal`` is over the width of the image, ``aspect`` its width over its height."""
    return np.array([[focal, 0, centre[0]], [0, focal * aspect, centre[1]], [0, 0, 1]], np.float64)


def from_pose(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """cam2world [4, 4] of a pose that maps world points into the camera: x = rotation · X + translation."""
    cam2world = np.eye(4)
    cam2world[:3, :3] = rotation.T
    cam2world[:3, 3] = -rotation.T @ np.reshape(translation, 3)
    return cam2world


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Project world points [N, 3] by one label [25] to image positions [N, 2] in units of the image's size."""
    cam2world, matrix = split_label(camera)
    local = (points - cam2world[:3, 3]) @ cam2world[:3, :3]
    image = local @ matrix.T
    return image[:, :2] / image[:, 2:]


def angles(camera: np.ndarray) -> np.ndarray:
    """(yaw, pitch, roll) in radians of the camera about the face, for labels [..., 25] → [..., 3].

    The rotation is yaw about the world's y, then pitch about x, then roll about the viewing axis; the frontal
    camera is (0, 0, 0). Yaw is positive when the camera stands on the world's +x, pitch when it stands above, roll
    when the face leans to the image's right.
    """
    cam2world, _ = split_label(camera)
    backward = -cam2world[..., :3, 2]
    right = cam2world[..., :3, 0]
    up = -cam2world[..., :3, 1]
    yaw = np.arctan2(backward[..., 0], backward[..., 2])
    pitch = np.arcsin(np.clip(backward[..., 1], -1, 1))
    level = np.stack([np.cos(yaw), np.zeros_like(yaw), -np.sin(yaw)], -1)
    roll = np.arctan2(-(up * level).sum(-1), (right * level).sum(-1))
    return np.stack([yaw, pitch, roll], -1)


def flip_camera(camera: np.ndarray) -> np.ndarray:
    """Labels [..., 25] of the horizontally flipped images: yaw and roll change sign, the principal point mirrors."""
    cam2world, matrix = split_label(camera)
    mirror = np.diag([-1.0, 1, 1, 1])
    flipped = mirror @ cam2world @ mirror
    matrix = matrix.copy()
    matrix[..., 0, 2] = 1 - matrix[..., 0, 2]
    matrix[..., 0, 1] = -matrix[..., 0, 1]
    shape = np.shape(camera)[:-1]
    return np.concatenate([flipped.reshape(*shape, 16), matrix.reshape(*shape, 9)], -1).astype(np.float32)


def scale_world(camera: np.ndarray, factor: float) -> np.ndarray:
    """Labels [..., 25] after the world's coordinates were multiplied by ``factor``; images do not change."""
    scaled = np.array(camera, np.float32)
    scaled[..., [3, 7, 11]] *= factor
    return scaled
