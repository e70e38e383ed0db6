"""Files of the paper's detectors: random numbers in the layout of the published ones."""

from pathlib import Path

import numpy as np
import torch
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models.fan import FAN as FanNetwork
from scipy.io import savemat
from torch import nn

from preprocessing.detectors.bisenet import BiSeNet
from preprocessing.detectors.deep3dfacerecon import CoefficientNetwork
from preprocessing.detectors.points import IBUG
from preprocessing.reference_face import reference_face
from preprocessing.weights import BISENET, DEEP3D_LANDMARKS, DEEP3D_NETWORK, FAN, S3FD


def write_sfd(folder: Path) -> Path:
    """face-alignment's S3FD. A face of about 130 pixels is found around every place, everywhere about as likely."""
    torch.manual_seed(1)
    network = s3fd()
    with torch.no_grad():
        for name, bias in network.named_parameters():
            if name.endswith("conf.bias"):
                bias.copy_(torch.tensor([3.0, -3.0] if len(bias) == 2 else [3.0, 3.0, 3.0, -3.0]))
        network.fc7_mbox_conf.bias.copy_(torch.tensor([-1.0, 1.0]))
    return _save(network, folder / S3FD)


def write_fan(folder: Path) -> Path:
    """face-alignment's 2D-FAN-4."""
    torch.manual_seed(2)
    return _save(FanNetwork(4), folder / FAN)


def write_bisenet(folder: Path) -> Path:
    """face-parsing.PyTorch's BiSeNet."""
    torch.manual_seed(3)
    network = BiSeNet()
    with torch.no_grad():
        network.conv_out.conv_out.weight.mul_(30)  # so that classes vary over the picture
    return _save(network, folder / BISENET)


def write_deep3d(folder: Path) -> tuple[Path, Path]:
    """Deep3DFaceRecon's network, which turns each head by a little, and its standard face, which is ours."""
    torch.manual_seed(4)
    network = CoefficientNetwork()
    with torch.no_grad():
        for head in network.final_layers:
            head.weight.mul_(0.1)
    path = folder / DEEP3D_NETWORK
    torch.save({"net_recon": network.state_dict()}, path)
    savemat(folder / DEEP3D_LANDMARKS, {"lm": reference_face()[list(IBUG.reference)]})
    return path, folder / DEEP3D_LANDMARKS


def _save(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def noise(side: int, seed: int = 0, wide: int | None = None) -> np.ndarray:
    """A smooth random picture [side, wide, 3] uint8."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 8, 8)))
    picture = nn.functional.interpolate(coarse, (side, wide or side), mode="bicubic", align_corners=False)
    return picture[0].permute(1, 2, 0).clamp(0, 255).numpy().astype(np.uint8)
