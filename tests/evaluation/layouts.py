"""Files of the standard backends' weights: random numbers in the layout of the published ones."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_fid import inception
from scipy.io import savemat
from torch import Tensor, nn

from evaluation.metrics.choice import ALEXNET, BFM, BUFFALO, CLEAN_INCEPTION, INCEPTION, VGGFACE2
from evaluation.metrics.standard.arcface import W600K
from preprocessing.detectors.deep3dfacerecon import CoefficientNetwork
from preprocessing.weights import DEEP3D_LANDMARKS, DEEP3D_NETWORK

VERTICES = 30
ROWS = {36: (-0.36, 0.29, 0.1), 39: (-0.26, 0.29, 0.16), 42: (0.26, 0.29, 0.16), 45: (0.36, 0.29, 0.1)}
ROWS |= {30: (0, -0.05, 0.55), 48: (-0.25, -0.38, 0.22), 54: (0.25, -0.38, 0.22)}
FLOAT = 1


def varint(value: int) -> bytes:
    """A whole number as protocol buffers write it."""
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def port(name: str, *shape: int) -> bytes:
    """onnx.ValueInfoProto of floats."""
    dimensions = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dimensions)))


def node(kind: str, output: str, *inputs: str) -> bytes:
    """onnx.NodeProto without attributes."""
    return b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)


def onnx(mixing: np.ndarray, side: int = 112) -> bytes:
    """onnx.ModelProto: the mean of each channel of [1, 3, side, side], times ``mixing`` [3, D]."""
    numbers = struct.pack(f"<{mixing.size}f", *mixing.ravel())
    tensor = b"".join(field(1, size) for size in mixing.shape) + field(2, FLOAT) + field(8, "m") + field(9, numbers)
    nodes = node("GlobalAveragePool", "p", "x"), node("Flatten", "f", "p"), node("MatMul", "y", "f", "m")
    graph = b"".join(field(1, part) for part in nodes) + field(2, "g") + field(5, tensor)
    graph += field(11, port("x", 1, 3, side, side)) + field(12, port("y", 1, mixing.shape[1]))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


MIXING = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)


def write_alexnet(folder: Path, network: nn.Module) -> Path:
    """The features of torchvision's AlexNet, ``network``."""
    path = folder / ALEXNET
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, path)
    return path


def write_inception(folder: Path) -> Path:
    """pytorch-fid's Inception in half precision."""
    torch.manual_seed(0)
    path = folder / INCEPTION
    with pytest.MonkeyPatch.context() as patch:
        # Weights of the right shapes without a download: the freshly initialised network is its own state.
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = inception.fid_inception_v3()
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    return path


def write_facenet(folder: Path, network: nn.Module) -> Path:
    """facenet-pytorch's ``network``, and the classifier that its published file also holds."""
    path = folder / VGGFACE2
    classifier = {"logits.weight": torch.zeros(8631, 1), "logits.bias": torch.zeros(8631)}
    torch.save(network.state_dict() | classifier, path)
    return path


def write_buffalo(folder: Path) -> Path:
    """insightface's pack with a network of ArcFace's inputs and outputs inside."""
    path = folder / BUFFALO
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr(W600K, onnx(MIXING))
    return path


class Small(nn.Module):
    """``layers`` turns normalised pictures [n, 3, 299, 299] into features [n, size, 1, 1]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, size, 16, stride=16), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def write_clean_fid(folder: Path, size: int = 2048) -> Path:
    """A TorchScript file that is called as clean-fid's is."""
    torch.manual_seed(0)
    path = folder / CLEAN_INCEPTION
    torch.jit.script(Small(size)).save(str(path))
    return path


def write_deep3d(folder: Path) -> tuple[Path, Path, Path, dict[str, np.ndarray]]:
    """Network, morphable model and landmarks as a user has them, and the model's arrays."""
    torch.manual_seed(0)
    torch.save({"net_recon": CoefficientNetwork().state_dict()}, folder / DEEP3D_NETWORK)
    generator = np.random.default_rng(0)
    model = {
        "meanshape": generator.normal(1, 1, (1, 3 * VERTICES)),
        "idBase": generator.normal(size=(3 * VERTICES, 80)),
    }
    savemat(folder / BFM, model | {"exBase": np.zeros((3 * VERTICES, 64))})
    points = np.zeros((68, 3))
    points[list(ROWS)] = list(ROWS.values())
    savemat(folder / DEEP3D_LANDMARKS, {"lm": points})
    return folder / DEEP3D_NETWORK, folder / BFM, folder / DEEP3D_LANDMARKS, model
