"""Rendering that leaves out empty space against rendering all of it: PSNR and times.

``python benchmarks/occupancy.py [CHECKPOINT]``: a trained model with codes drawn at random, or, without one, a smooth
ellipsoidal head in the demo's sizes and in the paper's; six cameras.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import compare
from model.cameras import split_label, view_labels
from model.checkpoints import load_weights
from model.decoder import TriplaneDecoder
from model.occupancy import find_occupancy
from model.planedict import HEAD_CENTRE, HEAD_RADII
from model.rays import sample_rays
from model.renderer import RenderConfig, render_rays
from model.settings import ModelSettings
from workflow.settings import read

FRAMES = 6
CONFIG = Path(__file__).parent.parent / "workflow/config"


def ellipsoid_layer(side: int, box_side: float) -> Tensor:
    """1 − |(p − c) / r|² of a head as planes [3, side, side], a third of it in each: nothing where two planes end."""
    axis = ((torch.arange(side) + 0.5) / side - 0.5) * box_side
    x, y, z = (((axis - c) / radius).square() / 2 for c, radius in zip(HEAD_CENTRE, HEAD_RADII, strict=True))
    return torch.stack([1 / 3 - v[:, None] - u for u, v in ((x, y), (x, z), (z, y))])


def ellipsoid_decoder(channels: int, hidden_channels: int, feature_channels: int) -> TriplaneDecoder:
    """A decoder whose density is solid within :func:`ellipsoid_layer` in the first channel, and nothing outside."""
    decoder = TriplaneDecoder(channels, hidden_channels, feature_channels).requires_grad_(False)
    decoder.fc1.weight[0] = 0
    decoder.fc1.weight[0, 0] = 8 / decoder.fc1.weight_gain
    decoder.fc1.bias[0] = -4
    decoder.fc2.weight[0] = 0
    decoder.fc2.weight[0, 0] = 20 / decoder.fc2.weight_gain
    decoder.fc2.bias[0] = -10
    return decoder


def head(settings: ModelSettings) -> tuple[list[Tensor], TriplaneDecoder]:
    """Planes that hold an ellipsoid in smooth colours, and a decoder whose density is that of the ellipsoid."""
    torch.manual_seed(0)
    channels, side, r = settings.plane_channels, settings.plane_resolution, settings.render
    colours = F.interpolate(torch.randn(3, channels, 12, 12), (side, side), mode="bicubic")
    shape = ellipsoid_layer(side, r.box_side)[:, None]
    planes = torch.cat([shape, colours[:, 1:]], dim=1)[None]
    decoder = ellipsoid_decoder(channels, r.hidden_channels, r.feature_channels)
    return [planes] * FRAMES, decoder


@torch.inference_mode()
def trained(path: Path) -> tuple[list[Tensor], TriplaneDecoder, ModelSettings]:
    """Planes of a checkpoint, one identity in different motions."""
    torch.manual_seed(1)
    model = load_weights(path)[0]
    still = model.identity_planes(torch.randn(1, model.settings.identity_dim))
    motion = model.motion_planes(torch.randn(FRAMES, model.settings.motion_dim), model.scaled_bases())
    return list(model.planes(still, motion).split(1)), model.decoder, model.settings


@torch.inference_mode()
def measure(name: str, planes: list[Tensor], decoder: TriplaneDecoder, settings: ModelSettings) -> None:
    """One frame at a time, from cameras up to half a radian off."""
    r = settings.render
    config = RenderConfig(
        r.near, r.far, r.coarse_samples, r.fine_samples, r.box_side, aggregate=r.aggregate, plane_axes=r.plane_axes
    )
    labels = view_labels(torch.linspace(-0.5, 0.5, FRAMES), torch.linspace(-0.2, 0.2, FRAMES))
    origins, directions = sample_rays(*split_label(labels), settings.neural_rendering_resolution)

    def frame(i: int, skip: bool) -> Tensor:
        occupancy = find_occupancy(planes[i], decoder, config, origins.shape[1]) if skip else None
        rays = origins[i : i + 1], directions[i : i + 1]
        return render_rays(planes[i], decoder, *rays, config, occupancy=occupancy).features

    errors = [(frame(i, True) - frame(i, False)).square().mean().item() for i in range(FRAMES)]
    print(f"{name}: PSNR {10 * math.log10(4 / max(*errors, 1e-16)):.1f} dB (least of {FRAMES} frames)")
    turns = {True: 0, False: 0}

    def next_frame(skip: bool) -> None:
        frame(turns[skip] % FRAMES, skip)
        turns[skip] += 1

    compare("  frame", lambda: next_frame(True), lambda: next_frame(False), repeats=7)


def main(*checkpoints: str) -> None:
    """Checkpoints, or the head in both sizes."""
    torch.set_num_threads(1)
    for path in checkpoints:
        measure(path, *trained(Path(path)))
    for name in () if checkpoints else ("demo", "paper"):
        settings = read(CONFIG / f"{name}.yaml").model
        measure(f"head, {name}'s sizes", *head(settings), settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
