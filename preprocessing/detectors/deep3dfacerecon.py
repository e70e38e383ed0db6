"""Deep3DFaceRecon (Deng et al. 2019; github.com/sicxu/Deep3DFaceRecon_pytorch): its alignment and its network.

A face's five points and the five of a standard face in space give the scale and the place of a 224² crop; a ResNet-50
regresses from it the coefficients of a morphable model, the head's pose and the light. The layout of network and files
is that of the public project (``models/networks.py``, ``util/preprocess.py``, ``util/load_mats.py``). The pose needs no
morphable model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat
from torch import Tensor, nn
from torchvision.models import resnet50

from preprocessing import weights
from preprocessing.cameras import intrinsics
from preprocessing.cli import InputError
from preprocessing.detectors.points import IBUG
from preprocessing.geometry import scaled_orthographic
from preprocessing.statedicts import fill

SIDE = 224
STANDARD_SCALE = 102.0  # pixels of the crop per unit of the standard face
FOCAL = 1015.0  # pixels of the crop
CAMERA_DISTANCE = 10.0  # of the camera from the origin before the head moves, in decimetres


class Coefficients(NamedTuple):
    """What the network regresses for n faces; the order is that of its 257 outputs."""

    identity: Tensor  # [n, 80]
    expression: Tensor  # [n, 64]
    texture: Tensor  # [n, 80]
    angles: Tensor  # [n, 3], radians about x, y, z
    light: Tensor  # [n, 27]: spherical harmonics, nine per colour
    translation: Tensor  # [n, 3], decimetres


class CoefficientNetwork(nn.Module):
    """ResNet-50 without its classifier, then one linear head per group of coefficients (translation has two)."""

    HEADS = (80, 64, 80, 3, 27, 2, 1)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet50(weights=None)
        channels = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.final_layers = nn.ModuleList(nn.Conv2d(channels, size, 1) for size in self.HEADS)

    def forward(self, crops: Tensor) -> Coefficients:
        """Coefficients of crops [n, 3, 224, 224] in [0, 1], RGB."""
        features = self.backbone(crops)[..., None, None]
        *groups, across, depth = (head(features).flatten(1) for head in self.final_layers)
        return Coefficients._make([*groups, torch.cat([across, depth], dim=1)])


def load_network(path: Path) -> CoefficientNetwork:
    """The network from :data:`DEEP3D_NETWORK`; a file of another layout raises InputError."""
    state = weights.load(path).get("net_recon")
    if not isinstance(state, dict):
        raise InputError(f"The weights {path} lack the entry net_recon of Deep3DFaceRecon.")
    network = CoefficientNetwork()
    fill(network, state, path, "Deep3DFaceRecon's ResNet-50")
    return network.eval()


def load_matrices(path: Path, shapes: dict[str, Sequence[int | None]]) -> dict[str, NDArray[np.float64]]:
    """Arrays of a MATLAB file by name, their ``shapes`` as wanted (None: any size); InputError where one is not."""
    try:
        found: dict[str, Any] = loadmat(path, variable_names=list(shapes))
    except Exception as error:  # SciPy's reader fails in as many ways as a file can be damaged
        raise InputError(f"Cannot read the MATLAB file {path}: {' '.join(str(error).split())[:200]}.") from None
    for name, wanted in shapes.items():
        if name not in found or found[name].dtype.kind not in "fiu":
            raise InputError(f"{path} must hold numbers called {name}, but lacks them.")
        shape = found[name].shape
        if len(shape) != len(wanted) or any(w is not None and w != s for w, s in zip(wanted, shape, strict=True)):
            raise InputError(f"{path} must hold {name} [{_sizes(wanted)}], not [{_sizes(shape)}].")
    return {name: np.asarray(found[name], dtype=np.float64) for name in shapes}


def _sizes(shape: Sequence[int | None]) -> str:
    return " × ".join("n" if size is None else str(size) for size in shape)


def load_standard_face(path: Path) -> NDArray[np.float64]:
    """The standard face's five points [5, 3] from :data:`DEEP3D_LANDMARKS` (y up): eyes, nose, corners of the mouth."""
    points = load_matrices(path, {"lm": (68, 3)})["lm"]
    return IBUG.five_points(points)


class Place(NamedTuple):
    """Where the crop lies: size of the resized picture, left and top of the crop in its pixels."""

    wide: int
    high: int
    left: int
    top: int

    def intrinsics(self) -> NDArray[np.float64]:
        """Normalised intrinsics [3, 3] of the whole picture for the camera that sees the crop about its middle."""
        centre = (self.left + SIDE / 2) / self.wide, (self.top + SIDE / 2) / self.high
        return intrinsics(FOCAL / self.wide, centre, self.wide / self.high)


def placed(shape: Sequence[int], points: NDArray[np.floating], standard: NDArray[np.floating]) -> Place:
    """The crop's place in a picture of ``shape`` (height, width, …); arguments as of :func:`aligned`."""
    height, width = shape[:2]
    size, origin = scaled_orthographic(standard * (1, -1, 1), points)
    scale = STANDARD_SCALE / size
    wide, high = int(width * scale), int(height * scale)
    # The public code counts y upwards from the lowest row of pixels: hence the one.
    left = int(wide / 2 - SIDE / 2 + (origin[0] - width / 2) * scale)
    top = int(high / 2 - SIDE / 2 + (origin[1] + 1 - height / 2) * scale)
    return Place(wide, high, left, top)


def aligned(
    picture: NDArray[np.uint8], points: NDArray[np.floating], standard: NDArray[np.floating]
) -> NDArray[np.uint8] | None:
    """The crop [224, 224, 3] around a face, black beyond the picture.

    ``points`` are its five points [5, 2] in pixels (y down), ``standard`` the standard face's [5, 3]. None where the
    crop would show nothing of the picture.
    """
    height, width = picture.shape[:2]
    wide, high, left, top = placed(picture.shape, points, standard)
    columns, rows = slice(max(left, 0), min(left + SIDE, wide)), slice(max(top, 0), min(top + SIDE, high))
    if columns.stop <= columns.start or rows.stop <= rows.start:
        return None
    # What the crop shows of the resized picture, whose other parts may be huge and are never made.
    x, y = width / wide, height / high
    box = (columns.start * x, rows.start * y, min(columns.stop * x, width), min(rows.stop * y, height))
    shown = (columns.stop - columns.start, rows.stop - rows.start)
    part = Image.fromarray(picture).resize(shown, Image.Resampling.BICUBIC, box)
    crop = np.zeros((SIDE, SIDE, 3), np.uint8)
    crop[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return crop
