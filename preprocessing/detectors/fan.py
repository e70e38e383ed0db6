"""The 68 landmarks of 2D-FAN-4 (Bulat & Tzimiropoulos 2017), found as face-alignment finds them, in batches.

S3FD finds the face; the crop about its box, the flipped second look and the reading of the heat maps are the
package's own functions. Its points are whole pixels of the picture.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from face_alignment.models.fan import FAN
from face_alignment.utils import CENTER_Y_OFFSET, REFERENCE_SCALE, crop, flip, get_preds_fromhm

from preprocessing import weights
from preprocessing.detectors.networks import device, stacks, to_channels_first
from preprocessing.detectors.sfd import S3fd
from preprocessing.statedicts import fill

STACKS = 4
"""Hourglasses of the network."""


class FanLandmarks:
    """See :class:`~preprocessing.detectors.backends.LandmarkDetector`; z is 0, since the network gives none."""

    def __init__(self, path: Path, sfd: Path, confidence: float) -> None:
        self.name = f"face-alignment-1.5.0-2dfan4 {weights.named(path)} {weights.named(sfd)}"
        self._faces = S3fd(sfd, confidence)
        self.network = FAN(STACKS)
        fill(self.network, weights.load(path), path, "face-alignment's 2D-FAN-4")
        self.network.to(device()).eval()

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """Landmarks [68, 3] of the face nearest to the middle of each picture, None where S3FD finds none."""
        boxes = [nearest(found, image) for found, image in zip(self._faces(images), images, strict=True)]
        shown = [(image, box) for image, box in zip(images, boxes, strict=True) if box is not None]
        points = iter(self.in_boxes([image for image, _ in shown], [box for _, box in shown]))
        return [None if box is None else next(points) for box in boxes]

    @torch.inference_mode()
    def in_boxes(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Landmarks [68, 3] float32 in pixels of each picture [H, W, 3] within its box (l, t, r, b)."""
        places = [place(box) for box in boxes]
        crops = [crop(image, centre, scale) for image, (centre, scale) in zip(images, places, strict=True)]
        maps: list[np.ndarray] = []
        for stack in stacks(crops):
            pictures = to_channels_first(stack).float() / 255
            heat = self.network(pictures)[-1] + flip(self.network(flip(pictures))[-1], is_label=True)
            maps += list(heat.cpu().numpy())
        found = []
        for heat_map, (centre, scale) in zip(maps, places, strict=True):
            _, points, _ = get_preds_fromhm(heat_map[None], centre, scale)
            # The package counts whole pixels; the centre of ours lies at .5.
            found.append(np.pad(points[0] + 0.5, ((0, 0), (0, 1))).astype(np.float32))
        return found


def place(box: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (x, y) and scale of face-alignment's crop about a box (l, t, r, b)."""
    left, top, right, bottom = (float(side) for side in box[:4])
    centre = np.array([right - (right - left) / 2, bottom - (bottom - top) / 2 - (bottom - top) * CENTER_Y_OFFSET])
    return centre, (right - left + bottom - top) / REFERENCE_SCALE


def nearest(boxes: np.ndarray, image: np.ndarray) -> np.ndarray | None:
    """Of boxes [N, ≥4] the one whose centre is nearest to the middle of the picture [H, W, 3], which the face is in."""
    if not len(boxes):
        return None
    middle = np.array(image.shape[1::-1]) / 2
    distance = np.linalg.norm((boxes[:, :2] + boxes[:, 2:4]) / 2 - middle, axis=1)
    return np.asarray(boxes[distance.argmin()])
