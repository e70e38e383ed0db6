"""Identity shapes by Deep3DFaceRecon and the user's Basel Face Model 2009, in decimetres."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.metrics.standard.mtcnn import POINTS, FaceDetector, Mtcnn
from evaluation.pictures import Picture
from preprocessing.cli import InputError
from preprocessing.detectors.deep3dfacerecon import aligned, load_matrices, load_network, load_standard_face

Array = NDArray[np.float64]

IDENTITIES = 80


class Deep3d:
    """Reads the identity shape [V, 3] of each picture's face, in decimetres, without expression or pose.

    It is the mean face, its centre at the origin, plus the identity basis times the coefficients: all shapes share one
    frame, and nothing need be aligned. None without a face.
    """

    def __init__(
        self, network: Path, model: Path, landmarks: Path, device: str = "cpu", detector: FaceDetector | None = None
    ) -> None:
        """The three files of the public project: coefficients' network, morphable model, and standard landmarks.

        ``model`` is :data:`BFM`, as its ``transferBFM09`` writes it. Files of another layout raise InputError.
        """
        self._standard = load_standard_face(landmarks)
        matrices = load_matrices(model, {"meanshape": (1, None), "idBase": (None, IDENTITIES)})
        mean, self._basis = matrices["meanshape"].reshape(-1), matrices["idBase"]
        if len(mean) != len(self._basis) or len(mean) % 3:
            raise InputError(
                f"{model} holds a meanshape of {len(mean)} and an idBase of {len(self._basis)} numbers, not three each "
                "for every vertex."
            )
        self._mean = (mean.reshape(-1, 3) - mean.reshape(-1, 3).mean(axis=0)).reshape(-1)
        self._net = load_network(network).to(device)
        self._device = device
        self._detector = detector or Mtcnn(device)

    def __call__(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Shapes [V, 3] of pictures [H, W, 3]."""
        faces = zip(pictures, self._detector(pictures), strict=True)
        crops = [None if face is None else aligned(picture, face[POINTS], self._standard) for picture, face in faces]
        found = [crop for crop in crops if crop is not None]
        if not found:
            return [None] * len(crops)
        shapes = iter((self._mean + self._identities(found) @ self._basis.T).reshape(len(found), -1, 3))
        return [None if crop is None else next(shapes) for crop in crops]

    @torch.inference_mode()
    def _identities(self, crops: list[Picture]) -> Array:
        """Identity coefficients [n, 80] of aligned crops."""
        batch = torch.from_numpy(np.stack(crops)).to(self._device).permute(0, 3, 1, 2).float() / 255.0
        return self._net(batch).identity.double().cpu().numpy()
