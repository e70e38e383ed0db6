"""Real images for the adversarial stage: a folder or zip in EG3D's layout, images and ``dataset.json`` with cameras.

``dataset.json`` holds ``{"labels": [[name, [25 numbers]], …]}``: paths relative to it, and camera labels in EG3D's
convention. What it does not list is not used. Images with an alpha channel are composited over black, the background
of what the model is trained on: real images that keep theirs are told apart by it alone.
"""

import argparse
import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, from_numpy

from model.data import resized, to_tensor
from model.settings import TrainingSettings
from preprocessing.cameras import flip_camera
from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.files import write_json

LABELS = "dataset.json"
# What PIL raises for files that are missing, no images, damaged or too large ...
_NO_IMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
# ... and zips for entries that are missing, damaged or encrypted.
UNREADABLE = (*_NO_IMAGE, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError)


class RealBatch(NamedTuple):
    """Images in [−1, 1], camera labels, and the images' names (a mirrored one's with a trailing ``(mirrored)``)."""

    images: Float[Tensor, "b 3 r r"]
    cameras: Float[Tensor, "b 25"]
    names: list[str]

    def to(self, device: torch.device) -> "RealBatch":
        """The batch with its tensors on ``device``."""
        return RealBatch(self.images.to(device), self.cameras.to(device), self.names)


class RealImages:
    """Images and camera labels at one resolution; batches are functions of (seed, step, rank).

    Raises InputError with one sentence where ``path`` is neither folder nor zip, lacks ``dataset.json``, or where that
    names an image that is missing, unreadable or not square, or a label that is not 25 finite numbers. Only the images'
    headers are read for it: one whose pixels are damaged is an InputError of the batch that needs it.
    """

    def __init__(self, path: Path, resolution: int, mirror: bool = True) -> None:
        self.path, self.resolution, self.mirror = path, resolution, mirror
        self._archives: dict[int, zipfile.ZipFile] = {}
        if not path.exists():
            raise InputError(f"{path}: no such folder or zip of real images.")
        self._zipped = path.is_file()
        if self._zipped and not zipfile.is_zipfile(path):
            raise InputError(f"{path} is neither a folder of real images nor a zip archive.")
        self.names: list[str] = []
        labels = []
        for entry in self._entries():
            name, camera = self._checked(entry)
            self.names.append(name)
            labels.append(camera)
        self.labels = np.stack(labels)
        for name in progress(self.names, f"checking {path.name}"):
            self._check_header(name)

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, size: int, seed: int, step: int, rank: int = 0) -> RealBatch:
        """``size`` images drawn at random, half of them mirrored with their cameras where ``mirror`` is set."""
        rng = np.random.default_rng([seed, step, rank])
        chosen = rng.choice(len(self), size, replace=size > len(self))
        flips = rng.random(size) < 0.5 if self.mirror else np.zeros(size, bool)
        images = np.concatenate([resized(self._pixels(self.names[i])[None], self.resolution) for i in chosen])
        images[flips] = images[flips, :, ::-1]
        labels = np.where(flips[:, None], flip_camera(self.labels[chosen]), self.labels[chosen])
        names = [self.names[i] + " (mirrored)" * bool(flip) for i, flip in zip(chosen, flips, strict=True)]
        return RealBatch(to_tensor(images), from_numpy(labels), names)

    def _entries(self) -> list[Any]:
        try:
            content = json.loads(self._bytes(LABELS))
        except (FileNotFoundError, KeyError):
            raise InputError(f"{self.path}: {LABELS} is missing.") from None
        except UNREADABLE as error:
            raise InputError(f"{self.path}: cannot read {LABELS}: {error}.") from None
        entries = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{self.path}: {LABELS} must hold 'labels', a list of [name, 25 numbers].")
        return entries

    def _checked(self, entry: Any) -> tuple[str, Float[np.ndarray, "25"]]:
        """Name and label of one line of ``dataset.json``."""
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)):
            raise InputError(f"{self.path}: {LABELS} must list [name, 25 numbers], not {str(entry)[:80]}.")
        name, numbers = entry[0].replace("\\", "/"), entry[1]
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise InputError(f"{self.path}: {LABELS} names {entry[0]!r}, which is not inside.")
        if not isinstance(numbers, list) or len(numbers) != 25:
            count = len(numbers) if isinstance(numbers, list) else "no"
            raise InputError(f"{self.path}: {LABELS} gives {name} {count} numbers; a camera label has 25.")
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise InputError(f"{self.path}: {LABELS} gives {name} a camera label that is not 25 finite numbers.")
        return name, np.array(numbers, np.float32)

    def _check_header(self, name: str) -> None:
        try:
            with self._open(name) as stream, Image.open(stream) as image:
                width, height = image.size
        except (FileNotFoundError, KeyError):
            raise InputError(f"{self.path}: {LABELS} lists {name}, which is missing.") from None
        except UNREADABLE as error:
            raise InputError(f"{self.path}: cannot read the image {name}: {error}.") from None
        if width != height:
            raise InputError(f"{self.path}: the image {name} is {width} × {height}, not square.")

    def _pixels(self, name: str) -> UInt8[np.ndarray, "side side 3"]:
        try:
            with Image.open(io.BytesIO(self._bytes(name))) as image:
                if not image.has_transparency_data:
                    return np.asarray(image.convert("RGB"))
                pixels = np.asarray(image.convert("RGBA"))
        except UNREADABLE as error:
            raise InputError(f"{self.path}: cannot read the image {name}: {error}.") from None
        return (pixels[..., :3] * (pixels[..., 3:] / 255) + 0.5).astype(np.uint8)

    def _bytes(self, name: str) -> bytes:
        with self._open(name) as stream:
            return stream.read()

    def _open(self, name: str) -> Any:
        """A binary stream of a file of the folder or zip; each process opens the zip for itself."""
        if not self._zipped:
            return open(self.path / name, "rb")
        if os.getpid() not in self._archives:
            self._archives = {os.getpid(): zipfile.ZipFile(self.path)}
        return self._archives[os.getpid()].open(name)


def main(arguments: argparse.Namespace) -> None:
    """Check the real images of an adversarial fine-tune, and record what they are."""
    settings = load_settings(arguments.settings, TrainingSettings, "training").adversarial
    if settings is None:
        raise InputError("training: 'adversarial' is not set, so there are no real images to check.")
    images = RealImages(settings.real, 256)
    digest = hashlib.sha256(images.labels.tobytes() + "\n".join(images.names).encode()).hexdigest()
    write_json(arguments.output, {"images": len(images), "labels_sha256": digest})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.adversarial.real_images", description=__doc__)
    p.add_argument("--output", type=Path, required=True, metavar="JSON", help="number and hash of names and labels")
    add_common(p)
    return p


if __name__ == "__main__":
    run_command(main, parser())
