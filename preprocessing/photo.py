"""A photo's pixels, as it is to be seen. Light: usable for a check before anything heavy is imported."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from preprocessing.cli import InputError


def read_photo(path: Path) -> np.ndarray:
    """Pixels [H, W, 3] uint8 RGB, upright as its EXIF tag says; raises :class:`InputError` when it is no image."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        raise InputError(f"Cannot read the photo {path}: it is not an image.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Cannot read the photo {path}: {reason.rstrip('.')}.") from None
