"""Face boxes of S3FD (Zhang et al. 2017) as face-alignment has it: its network, decoding and suppression."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from face_alignment.detection.sfd.bbox import nms
from face_alignment.detection.sfd.detect import batch_detect
from face_alignment.detection.sfd.net_s3fd import s3fd

from preprocessing import weights
from preprocessing.detectors.networks import device, stacks, to_channels_first
from preprocessing.statedicts import fill

OVERLAP = 0.3
"""Overlap from which the weaker of two boxes is suppressed, face-alignment's."""

LINES = 360
"""Height of the copy on which FOMM detects, in pixels."""


class S3fd:
    """Every face of a picture, with its score."""

    def __init__(self, path: Path, confidence: float) -> None:
        self.confidence = confidence
        self.network = s3fd()
        fill(self.network, weights.load(path), path, "face-alignment's S3FD")
        self.network.to(device()).eval()

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes [N, 5] float64 (l, t, r, b in pixels, score) of each of ``pictures`` [H, W, 3] uint8 RGB, best first.

        Found in a batch or alone, they are the same: what a batch adds to a picture lies far below any score kept.
        """
        found: list[np.ndarray] = []
        for stack in stacks(pictures):
            candidates = batch_detect(self.network, to_channels_first(stack), device().type)
            found += [self._chosen(np.asarray(boxes, np.float64).reshape(-1, 5)) for boxes in candidates]
        return found

    def _chosen(self, boxes: np.ndarray) -> np.ndarray:
        boxes = boxes[nms(boxes, OVERLAP)]
        return boxes[boxes[:, 4] > self.confidence].reshape(-1, 5)


class SfdBoxes:
    """FOMM's way: S3FD on a copy of 360 lines, boxes cut off at the frame's left and top.

    As large a copy as FOMM's, since a network's scores and the framing of its boxes depend on a face's size in pixels.
    """

    def __init__(self, path: Path, confidence: float) -> None:
        self.name = f"face-alignment-1.5.0-sfd {weights.named(path)}"
        self._detect = S3fd(path, confidence)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`~preprocessing.detectors.backends.BoxDetector`."""
        factors = [frame.shape[0] / LINES for frame in frames]
        copies = [
            cv2.resize(frame, (max(int(frame.shape[1] / factor), 1), LINES), interpolation=cv2.INTER_AREA)
            for frame, factor in zip(frames, factors, strict=True)
        ]
        found = self._detect(copies)
        return [np.maximum(boxes[:, :4], 0) * factor for boxes, factor in zip(found, factors, strict=True)]
