"""FFHQ, or other photos, in EG3D's layout: images and ``dataset.json`` with a camera of 25 numbers for each.

The photos are the real images of the adversarial fine-tune (``model/adversarial/real_images.py``), never clips: their
rows go from the sheet to ``preprocessing.photos``.
"""

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.settings import FFHQSettings
from preprocessing.sources.entries import Entry

LABELS = "dataset.json"
SUFFIXES = (".png", ".jpg", ".jpeg")


class FFHQSource:
    """The photos of a folder and of its ``dataset.json``."""

    def __init__(self, settings: FFHQSettings) -> None:
        self.folder = settings.path
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder of photos with {LABELS}.")

    def entries(self) -> list[Entry]:
        """One entry per line of ``dataset.json``, then one per image that it does not list."""
        images = {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        }
        found: list[Entry] = []
        listed: set[str] = set()
        seen: dict[str, int] = {}
        for number, line in enumerate(read_labels(self.folder), start=1):
            name, problem = judged(line)
            reason = "bad-row" if problem else ""
            if not reason and name in seen:
                reason, problem = "duplicate", f"label {seen[name]} is of the same image"
            elif not reason and name not in images:
                reason, problem = "missing", f"{name} is not in the folder"
            listed.add(name)
            if reason != "bad-row":  # a later camera of the image may be right
                seen.setdefault(name, number)
            clip = f"{name} ({LABELS}, label {number})" if reason else name
            found.append(_entry(clip, name, reason, problem))
        rest = sorted(images - listed)
        return found + [_entry(name, name, "no-camera", f"{LABELS} does not list it") for name in rest]

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """The user's own photo, in place."""
        if not (self.folder / file).is_file():
            raise Dropped("missing", f"{file} is not in {self.folder}")
        return self.folder / file


def read_labels(folder: Path) -> list[Any]:
    """The lines of ``dataset.json``, unjudged; a file that has none raises :class:`InputError`."""
    path = folder / LABELS
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder} holds no {LABELS}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from None
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list) or not labels:
        raise InputError(f"{path} must hold 'labels', a list of [name, 25 numbers].")
    return labels


def judged(line: Any) -> tuple[str, str]:
    """Name of a line of ``dataset.json``, and what is wrong with it or nothing."""
    if not (isinstance(line, list) and len(line) == 2 and isinstance(line[0], str)):
        return str(line)[:80], "not [name, 25 numbers]"
    name, label = line[0].replace("\\", "/"), line[1]
    place = PurePosixPath(name)
    if not place.parts or place.is_absolute() or ".." in place.parts:
        return name, "the name is not of a file in the folder"
    numbers = isinstance(label, list) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in label
    )
    if not numbers or len(label) != 25:
        return name, f"the camera is not 25 finite numbers but {len(label) if isinstance(label, list) else 'no'} values"
    return name, ""


def _entry(clip: str, name: str, reason: str, detail: str) -> Entry:
    return Entry(clip, name, name, () if reason else ((0, 1, "train"),), reason=reason, detail=detail)
