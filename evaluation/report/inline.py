"""Pages that need no network and no other file: pictures and videos as data: URIs, one style sheet, one set of rules.

The pages' Content-Security-Policy allows nothing but what is inside them; links between pages still work.
"""

import base64
import io
from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.cli import InputError

TEMPLATES = Path(__file__).with_name("templates")


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as a data: URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def video_uri(path: Path) -> str:
    """An H.264 file as a data: URI; raises InputError where it cannot be read."""
    try:
        return data_uri(path.read_bytes(), "video/mp4")
    except OSError as error:
        raise InputError(f"Cannot read the video {path}: {error}.") from None


def picture_uri(path: Path, side: int, lossy: bool = True) -> str:
    """A picture as a data: URI, no longer than ``side``; JPEG for photographs, PNG for plots."""
    try:
        picture = Image.open(path).convert("RGB")
    except OSError as error:
        raise InputError(f"Cannot read the picture {path}: {error}.") from None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    if lossy:
        return _jpeg(picture)
    stream = io.BytesIO()
    picture.quantize(128).save(stream, "PNG", optimize=True)
    return data_uri(stream.getvalue(), "image/png")


def pixels_uri(pixels: NDArray[np.uint8]) -> str:
    """An RGB picture [H, W, 3] as a data: URI (JPEG)."""
    return _jpeg(Image.fromarray(pixels))


def _jpeg(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88, optimize=True, subsampling=0)
    return data_uri(stream.getvalue(), "image/jpeg")


def template(name: str) -> jinja2.Template:
    """One of ``templates/``: text is escaped, a name that was not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template(name)
