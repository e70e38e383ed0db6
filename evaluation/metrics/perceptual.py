"""LPIPS (lpips 0.1, AlexNet) and the Inception features of FID (pytorch-fid), from weights in the registry."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from preprocessing import weights
from preprocessing.cli import InputError
from preprocessing.statedicts import fill

Picture = NDArray[np.uint8]
SMALLEST = 31  # side of the smallest picture that AlexNet's strides leave anything of


def _tensor(pictures: Sequence[Picture], device: str) -> torch.Tensor:
    """Pictures [H, W, 3] of one size as floats [n, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float() / 255.0


def _one_size(pictures: Sequence[Picture]) -> bool:
    return len({picture.shape for picture in pictures}) <= 1


class Lpips:
    """LPIPS v0.1 over AlexNet: the backbone from ``path``, the linear heads from the lpips wheel."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        import lpips

        self._device = device

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._net = lpips.LPIPS(net="alex", version="0.1", pretrained=True, pnet_rand=True, verbose=False).eval()
        state = {key: value for key, value in weights.load(path).items() if key.startswith("features.")}
        backbone = self._net.net
        renamed = {}
        for name in backbone.state_dict():
            _, index, kind = name.split(".")
            renamed[name] = state.get(f"features.{index}.{kind}")
        absent = sorted(name for name, value in renamed.items() if value is None)
        if absent:
            raise InputError(f"The weights {path} lack AlexNet's layers {', '.join(absent)}.")
        fill(backbone, renamed, path, "AlexNet's")
        self._net.to(device)

    @torch.inference_mode()
    def __call__(self, a: Sequence[Picture], b: Sequence[Picture]) -> list[float | str]:
        """LPIPS of each pair of pictures [H, W, 3], the two of one size, or why there is none; lower is nearer."""
        if not _one_size(a):
            return [value for pair in zip(a, b, strict=True) for value in self([pair[0]], [pair[1]])]
        height, width = a[0].shape[:2]
        if min(height, width) < SMALLEST:
            return [f"LPIPS needs pictures of at least {SMALLEST} pixels a side, got {width}×{height}"] * len(a)
        first, second = (_tensor(side, self._device) * 2 - 1 for side in (a, b))
        return [float(value) for value in self._net(first, second).flatten()]


class Inception:
    """pytorch-fid's Inception: 2048 features of its last average pooling, input resized to 299² inside."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        from pytorch_fid import inception

        self._device = device

        state = weights.load(path)
        # The package only knows how to fetch its weights; the file at hand stands in for the download.
        with mock.patch.object(inception, "load_state_dict_from_url", lambda *_, **__: state):
            try:
                self._net = inception.InceptionV3([3]).eval().to(device)
            except RuntimeError as error:
                raise InputError(
                    f"The weights {path} are not FID's Inception: {' '.join(str(error).split())[:200]}."
                ) from None

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Picture]) -> list[NDArray[np.float64]]:
        """Features [2048] of each picture."""
        if not _one_size(pictures):
            return [features for picture in pictures for features in self([picture])]
        return list(self._net(_tensor(pictures, self._device))[0].flatten(1).double().cpu().numpy())
