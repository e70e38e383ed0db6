"""Two or three equally named sequences of pictures, from folders of frames, folders of videos, or video files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from evaluation.pictures import read_picture
from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.video import frames as frames_of

Picture = NDArray[np.uint8]
FRAMES = {".png", ".jpg", ".jpeg"}
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm"}


@dataclass(frozen=True)
class Clip:
    """Frames that belong together: picture files, or one video file."""

    name: str
    frames: tuple[Path, ...]
    video: Path | None = None

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """Name and RGB picture of each frame, in order."""
        if self.video is not None:
            yield from _decoded(self.name, self.video)
        for path in self.frames:
            yield (f"{self.name}/{path.name}" if self.name else path.name), read_picture(path)


def clips(path: Path) -> list[Clip]:
    """The clips of a video file, or of a folder: its frames, its subfolders' frames, its video files.

    Raises InputError for a path that is none of these or holds no picture.
    """
    if path.is_file():
        if path.suffix.lower() in VIDEOS:
            return [Clip("", (), path)]
        raise InputError(f"{path} is neither a folder of frames nor a video ({', '.join(sorted(VIDEOS))}).")
    if not path.is_dir():
        raise InputError(f"{path} does not exist.")
    found = []
    for folder in [path, *sorted(entry for entry in path.rglob("*") if entry.is_dir())]:
        inside = folder.relative_to(path)
        if any(part.startswith(".") for part in inside.parts):
            continue
        name = inside.as_posix().removeprefix(".")
        files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
        frames = tuple(entry for entry in files if entry.suffix.lower() in FRAMES)
        if frames:
            found.append(Clip(name, frames))
        for video in (entry for entry in files if entry.suffix.lower() in VIDEOS):
            found.append(Clip(f"{name}/{video.stem}".lstrip("/"), (), video))
    if not found:
        raise InputError(f"{path} holds no PNG or JPEG frames and no videos.")
    return found


def _decoded(name: str, path: Path) -> Iterator[tuple[str, Picture]]:
    try:
        for index, frame in frames_of(path):
            yield f"{name}/{index:05d}".lstrip("/"), frame
    except Dropped as dropped:
        raise InputError(f"Cannot read the video {path}: {dropped}.") from None


def check_names(generated: list[Clip], other: list[Clip], folder: Path) -> None:
    """Refuse sequences whose clips or frames are not named alike; the sentence names the first odd file.

    Frames match by name without suffix, so that PNG outputs meet JPEG targets.
    """
    mine = {clip.name: clip for clip in generated}
    theirs = {clip.name: clip for clip in other}
    for name in sorted(mine.keys() ^ theirs.keys()):
        clip = mine.get(name) or theirs[name]
        _alone(clip.video or clip.frames[0], name in mine, folder, "frames or videos")
    for name, clip in mine.items():
        if (clip.video is None) != (theirs[name].video is None):
            raise InputError(f"'{name or folder}' is frames on one side and a video on the other.")
        left = {path.stem: path for path in clip.frames}
        right = {path.stem: path for path in theirs[name].frames}
        for stem in sorted(left.keys() ^ right.keys()):
            _alone(left.get(stem) or right[stem], stem in left, folder, "frames")
        if len(left) != len(clip.frames) or len(right) != len(theirs[name].frames):
            raise InputError(f"'{name or folder}' holds two frames of one name with different suffixes.")


def _alone(file: Path, generated: bool, folder: Path, what: str) -> NoReturn:
    where = str(folder) if generated else "the generated frames"
    raise InputError(f"{file} has no counterpart in {where}: both sides must hold equally named {what}.")


def source_photos(path: Path, generated: list[Clip]) -> dict[str, Picture]:
    """The source photo of each generated clip: one for all of them, or one in a subfolder named like each clip.

    Empty where ``path`` holds frames or videos instead. A clip without a photo raises InputError.
    """
    if path.is_file() and path.suffix.lower() in FRAMES:
        return dict.fromkeys((clip.name for clip in generated), read_picture(path))
    found = clips(path)
    if any(len(clip.frames) != 1 for clip in found):
        return {}
    if len(found) == 1:
        return dict.fromkeys((clip.name for clip in generated), read_picture(found[0].frames[0]))
    photos = {clip.name: clip.frames[0] for clip in found}
    for clip in generated:
        if clip.name not in photos:
            raise InputError(f"{path} holds a photo for each of some clips, but none for '{clip.name}'.")
    return {clip.name: read_picture(photos[clip.name]) for clip in generated}


def matched(
    generated: Path, target: Path | None = None, source: Path | None = None
) -> Iterator[tuple[str, str, int, list[Picture]]]:
    """Clip, name, frame number and pictures (generated, target, source as given) of every frame that all share.

    A source may be photos (:func:`source_photos`), of any size, which go with every frame of their clips. Everything
    else that does not match, cannot be read or differs in size raises InputError naming the file.
    """
    first = clips(generated)
    photos = source_photos(source, first) if source is not None else {}
    sequences = {path: clips(path) for path in (target, None if photos else source) if path is not None}
    for path, sequence in sequences.items():
        check_names(first, sequence, path)
    for clip in first:
        streams = {path: _named(clip.name, sequence).pictures() for path, sequence in sequences.items()}
        for number, (name, picture) in enumerate(clip.pictures()):
            pictures = [picture]
            for path, stream in streams.items():
                following = next(stream, None)
                if following is None:
                    raise InputError(f"{path}: {name} is missing.")
                if following[1].shape != picture.shape:
                    sizes = f"{_size(following[1])}, but {generated}: {name} is {_size(picture)}"
                    raise InputError(f"{path}: {following[0]} is {sizes}.")
                pictures.append(following[1])
            yield clip.name, name, number, pictures + ([photos[clip.name]] if photos else [])
        for path, stream in streams.items():
            if (extra := next(stream, None)) is not None:
                raise InputError(f"{path}: {extra[0]} has no counterpart in {generated}.")


def _named(name: str, sequence: list[Clip]) -> Clip:
    return next(clip for clip in sequence if clip.name == name)


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
