"""Pictures as the evaluation sees them: RGB, 8 bit, black background, one size."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.cli import InputError

Picture = NDArray[np.uint8]  # [H, W, 3], RGB


def digest(picture: Picture) -> str:
    """What tells a picture from others: 32 hexadecimal digits (BLAKE2b) of its pixels and its shape."""
    return hashlib.blake2b(
        np.ascontiguousarray(picture).tobytes() + str(picture.shape).encode(), digest_size=16
    ).hexdigest()


def resized(picture: Picture, side: int) -> Picture:
    """The picture at side × side pixels: averaged over areas when it shrinks, bicubic when it grows."""
    height, width = picture.shape[:2]
    if (height, width) == (side, side):
        return picture
    method = cv2.INTER_AREA if min(height, width) > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), dtype=np.uint8)


def on_black(frames: NDArray[np.uint8], masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames [n, H, W, 3] with everything labelled 0 (background) in ``masks`` [n, H, W] set to black."""
    return np.asarray(frames * (masks > 0)[..., None], dtype=np.uint8)


def read_picture(path: str | Path) -> Picture:
    """Read a PNG or JPEG as RGB, transparent parts black; an unreadable file raises InputError naming it."""
    return decode_picture(Path(path).read_bytes() if Path(path).is_file() else b"", str(path))


def decode_picture(data: bytes, name: str) -> Picture:
    """Decode PNG or JPEG bytes as RGB, transparent parts black; damaged bytes raise InputError naming ``name``."""
    transparent = data.startswith(b"\x89PNG") and data[25:26] in (b"\x04", b"\x06")  # the header's colour type
    mode = cv2.IMREAD_UNCHANGED if transparent else cv2.IMREAD_COLOR
    picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), mode) if data else None
    if picture is None:
        raise InputError(f"Cannot read the picture {name}.")
    if picture.shape[2:] == (4,):
        opaque = 65535 if picture.dtype == np.uint16 else 255
        picture = np.rint(picture[..., :3] * (picture[..., 3:] / opaque) * (255 / opaque))
    return np.asarray(cv2.cvtColor(picture.astype(np.uint8), cv2.COLOR_BGR2RGB), dtype=np.uint8)
