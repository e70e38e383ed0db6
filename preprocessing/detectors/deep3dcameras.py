"""Cameras by Deep3DFaceRecon's pose, converted as EG3D converts it, in the intrinsics of our windows.

The network sees its own 224² crop and gives the pose of a camera that looks at the crop's middle with the crop's focal
length. Our window is steadier than that crop, which follows each frame's landmarks in place and size. So the points of
the head are projected by the network's camera into the window, and the label is the camera that sees them there in the
window's own intrinsics. Where the window is EG3D's crop, that is EG3D's camera.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from preprocessing import weights
from preprocessing.cameras import OPENCV_TO_WORLD, label, project
from preprocessing.detectors.backends import Solved
from preprocessing.detectors.deep3dfacerecon import CAMERA_DISTANCE, aligned, load_network, load_standard_face, placed
from preprocessing.detectors.networks import device, stacks, to_channels_first
from preprocessing.detectors.points import layout_of
from preprocessing.detectors.pose import solve_points
from preprocessing.reasons import Dropped
from preprocessing.reference_face import RIGID, WORLD_OFFSET, WORLD_PER_DECIMETRE, reference_world


def cam2world(angles: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """EG3D's camera [4, 4] of Deep3DFaceRecon's angles [3] (radians) and translation [3] (decimetres) of the head.

    With R = (Rz·Ry·Rx)ᵀ: the centre is −R(t − (0, 0, 10))·.27 + (0, .006, .161), the rotation R·diag(1, −1, −1)
    (``3dface2idr_mat.py`` of EG3D). The distance is not forced to 2.7: our clips have one scale each.
    """
    turn = Rotation.from_euler("xyz", angles).as_matrix().T
    camera = np.eye(4)
    camera[:3, :3] = turn @ OPENCV_TO_WORLD
    camera[:3, 3] = -turn @ (translation - (0, 0, CAMERA_DISTANCE)) * WORLD_PER_DECIMETRE + WORLD_OFFSET
    return camera


class Deep3dCameras:
    """See :class:`~preprocessing.detectors.backends.CameraFinder`; needs network and standard face, no morphable model.

    The error of a camera is that of the head's points of the reference face, as it is for the embedded backend.
    """

    def __init__(self, network: Path, standard: Path) -> None:
        self.name = f"deep3dfacerecon {weights.named(network)}"
        self._standard = load_standard_face(standard)
        self._network = load_network(network).to(device())

    def __call__(
        self, windows: Sequence[np.ndarray], landmarks: Sequence[np.ndarray], matrices: Sequence[np.ndarray]
    ) -> list[Solved | None]:
        """Cameras of faces with these landmarks in windows of these intrinsics."""
        five = [layout_of(points).five_points(points)[:, :2] for points in landmarks]
        crops = [aligned(window, points, self._standard) for window, points in zip(windows, five, strict=True)]
        poses = iter(self._poses([crop for crop in crops if crop is not None]))
        found: list[Solved | None] = []
        for window, crop, points, full, matrix in zip(windows, crops, five, landmarks, matrices, strict=True):
            if crop is None:
                found.append(None)
                continue
            seen = label(next(poses), placed(window.shape, points, self._standard).intrinsics())
            found.append(_in_window(seen, full, matrix, len(window)))
        return found

    @torch.inference_mode()
    def _poses(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        """cam2world [4, 4] of each crop [224, 224, 3] uint8 RGB."""
        poses: list[np.ndarray] = []
        for stack in stacks(crops):
            coefficients = self._network(to_channels_first(stack).float() / 255)
            pose = torch.cat([coefficients.angles, coefficients.translation], dim=1).double().cpu().numpy()
            poses += [cam2world(numbers[:3], numbers[3:]) for numbers in pose]
        return poses


def _in_window(seen: np.ndarray, landmarks: np.ndarray, matrix: np.ndarray, size: int) -> Solved | None:
    """The camera in intrinsics ``matrix`` [3, 3] that sees the head where the label ``seen`` [25] sees it."""
    world = reference_world()
    try:
        camera, _ = solve_points(world[RIGID], project(world[RIGID], seen) * size, matrix, size)
    except Dropped:
        return None
    layout = layout_of(landmarks)
    apart = project(world[layout.rigid_reference], camera) * size - landmarks[list(layout.rigid), :2]
    return camera, float(np.median(np.linalg.norm(apart, axis=1)))
