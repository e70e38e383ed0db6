"""Features of clean-fid (Parmar et al., 2022): NVIDIA's TorchScript Inception on pictures resized with antialiasing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.metrics.choice import CLEAN_INCEPTION
from evaluation.pictures import Picture
from preprocessing.cli import InputError

Array = NDArray[np.float64]


class CleanFid:
    """Reads the Inception features [2048] of each picture; every picture has some."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """The network of ``path`` (:data:`CLEAN_INCEPTION`, as the package names it); other files raise InputError.

        A TorchScript file is a program: only one whose sha256 was checked may come here.
        """
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer

        if path.name != CLEAN_INCEPTION:
            raise InputError(f"clean-fid's network must be called {CLEAN_INCEPTION}, not {path.name}.")
        self._resize = build_resizer("clean")
        self._device = device
        try:
            self._net = InceptionV3W(str(path.parent), download=False).eval().to(device)
            self._features([np.zeros((8, 8, 3), np.uint8)])  # what a network of another layout fails at
        except (RuntimeError, ValueError, AttributeError, OSError) as error:
            raise InputError(f"{path} is not clean-fid's Inception: {' '.join(str(error).split())[:200]}.") from None

    def __call__(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Features [2048] of pictures [H, W, 3]."""
        return list(self._features(pictures)) if pictures else []

    @torch.inference_mode()
    def _features(self, pictures: Sequence[Picture]) -> Array:
        batch = np.stack([self._resize(picture) for picture in pictures])  # [n, 299, 299, 3], 0–255, floats
        return self._net(torch.from_numpy(batch).permute(0, 3, 1, 2).to(self._device)).double().cpu().numpy()
