"""Figures 1 and 3 to 6 of the paper from this run's re-enacted frames: our rows, with room for any number of methods.

Rows are taken at even steps through the pair lists, not picked.
"""

from collections.abc import Callable

from PIL import Image

from evaluation.figures.grids import figure3, figure4, figure5
from evaluation.figures.material import Material
from evaluation.figures.views import figure1, figure6
from evaluation.settings import FigureSettings

DRAW: dict[int, Callable[[list[Material], FigureSettings, str], Image.Image]] = {
    1: figure1,
    3: figure3,
    4: figure4,
    5: figure5,
    6: figure6,
}
"""Draws a figure of the given material with its settings; the text is the run's label, such as demo-scale."""
