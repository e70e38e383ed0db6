"""Empty space: which cells of the box hold nothing to see, found from the frame's own planes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.decoder import TriplaneDecoder
from model.kernels import rendering
from model.kernels.compiling import arrays, compilable
from model.renderer import Occupancy, RenderConfig, grid_of, layers_of, plane_rows

SHARE = 0.05
"""Cells looked at, as a share of the samples of the rays to be rendered."""
MARGIN = 1.25
"""Side of the cube over that of the box: each plane reaches beyond the box along the axis it lacks, and rays do too."""
INVISIBLE = 0.01
"""Opacity, and brightness, of space that no ray needs to see: about a grey level, if it filled the whole box."""


@torch.no_grad()
def find_occupancy(
    planes: Float[Tensor, "batch 3 channels height width"], decoder: TriplaneDecoder, config: RenderConfig, rays: int
) -> Occupancy | None:
    """What each cell and its neighbours hold, for ``rays`` per image; None where :func:`render_rays` would not use it.

    One density and colour per cell, of the planes that are to be rendered: motion needs no guess, and a frame costs a
    few hundredths of its rendering. Training on black backgrounds leaves a black haze around the head. Rays that meet
    nothing else are black without a look (and their opacity is zero); where there is something behind it, the haze is
    looked at, since it shades.
    """
    if not compilable(planes) or decoder.direction_channels:
        return None
    side = MARGIN * config.box_side
    count = max(8, round((SHARE * rays * (config.coarse_samples + config.fine_samples)) ** (1 / 3)))
    places = ((torch.arange(count) + 0.5) / count - 0.5) * side
    density, brightness = (planes.new_empty(len(planes), count, count, count) for _ in range(2))
    found = arrays(places, density, brightness)
    rendering.sense(*arrays(plane_rows(planes)), grid_of(planes, config), arrays(*layers_of(decoder)), *found)
    cells = torch.zeros(density.shape, dtype=torch.uint8)
    for opacity in (density, density * brightness):
        cells += grown(opacity * config.box_side > INVISIBLE)
    return Occupancy(cells, side)


def grown(cells: Bool[Tensor, "batch x y z"]) -> Bool[Tensor, "batch x y z"]:
    """Cells with their 26 neighbours."""
    for axis in (1, 2, 3):
        n = cells.shape[axis] - 1
        wider = cells.clone()
        wider.narrow(axis, 0, n).logical_or_(cells.narrow(axis, 1, n))
        wider.narrow(axis, 1, n).logical_or_(cells.narrow(axis, 0, n))
        cells = wider
    return cells
