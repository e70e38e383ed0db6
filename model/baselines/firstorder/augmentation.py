"""Augmentation of a source and its driver, both alike, as FOMM's public code has it."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageEnhance

from model.baselines.firstorder.settings import Augmentation


def draw_flips(rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether source and driver change places, and whether both are mirrored.

    The first excludes the second: half of the pairs are swapped, a half of the others, a quarter of all, mirrored.
    """
    if rng.random() < 0.5:
        return True, False
    return False, bool(rng.random() < 0.5)


def turned(image: Image.Image, share: float) -> Image.Image:
    """The hue moved by ``share`` of the colour circle, in 256ths of it, as torchvision does with PIL's images."""
    hue, saturation, value = image.convert("HSV").split()
    moved = (np.asarray(hue, np.int16) + int(share * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(moved.astype(np.uint8)), saturation, value)).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": turned,
}


def jittered(
    frames: UInt8[np.ndarray, "n h w 3"], settings: Augmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "n h w 3"]:
    """Frames with brightness, contrast, saturation and hue changed: by the same factors, in the same random order."""
    factors = {}
    for name in CHANGES:
        spread = getattr(settings, name)
        low, high = (-spread, spread) if name == "hue" else (max(0, 1 - spread), 1 + spread)
        if spread:
            factors[name] = rng.uniform(low, high)
    images = [Image.fromarray(frame) for frame in frames]
    for name in rng.permutation(list(factors)):
        images = [CHANGES[name](image, factors[name]) for image in images]
    return np.stack([np.asarray(image) for image in images])
