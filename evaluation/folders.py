"""Two or three equally named sequences of pictures, from folders of frames, folders of videos, or video files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

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
        where = clip.video or clip.frames[0]
        raise InputError(f"{where} has no counterpart: the folders must hold equally named frames or videos.")
    for name, clip in mine.items():
        if (clip.video is None) != (theirs[name].video is None):
            raise InputError(f"'{name or folder}' is frames on one side and a video on the other.")
        left = {path.stem: path for path in clip.frames}
        right = {path.stem: path for path in theirs[name].frames}
        for stem in sorted(left.keys() ^ right.keys()):
            path = left.get(stem) or right[stem]
            raise InputError(f"{path} has no counterpart: the folders must hold equally named frames.")
        if len(left) != len(clip.frames) or len(right) != len(theirs[name].frames):
            raise InputError(f"'{name or folder}' holds two frames of one name with different suffixes.")


def matched(
    generated: Path, target: Path | None = None, source: Path | None = None
) -> Iterator[tuple[str, str, int, list[Picture]]]:
    """Clip, name, frame number and pictures (generated, target, source as given) of every frame that all share.

    A source of exactly one picture, a photo of any name, goes with every frame. Everything that does not match, cannot
    be read or differs in size raises InputError naming the file.
    """
    first = clips(generated)
    others = [path for path in (target, source) if path is not None]
    rest = [clips(path) for path in others]
    alone = [_single(sequence, path) if path is source else None for sequence, path in zip(rest, others, strict=True)]
    for sequence, path, photo in zip(rest, others, alone, strict=True):
        if photo is None:
            check_names(first, sequence, path)
    for clip in first:
        streams = [_frames(clip.name, sequence, photo) for sequence, photo in zip(rest, alone, strict=True)]
        for number, (name, picture) in enumerate(clip.pictures()):
            pictures = [picture]
            for stream, path in zip(streams, others, strict=True):
                following = next(stream, None)
                if following is None:
                    raise InputError(f"{path}: {name} is missing.")
                if following[1].shape != picture.shape:
                    sizes = f"{_size(following[1])}, but {generated}: {name} is {_size(picture)}"
                    raise InputError(f"{path}: {following[0]} is {sizes}.")
                pictures.append(following[1])
            yield clip.name, name, number, pictures
        for stream, path, photo in zip(streams, others, alone, strict=True):
            if photo is None and (extra := next(stream, None)) is not None:
                raise InputError(f"{path}: {extra[0]} has no counterpart in {generated}.")


def _frames(name: str, sequence: list[Clip], photo: Picture | None) -> Iterator[tuple[str, Picture]]:
    if photo is not None:
        return repeat((sequence[0].frames[0].name, photo))
    return next(clip for clip in sequence if clip.name == name).pictures()


def _single(sequence: list[Clip], path: Path) -> Picture | None:
    """The photo of a folder that holds just one."""
    if path.is_dir() and len(sequence) == 1 and len(sequence[0].frames) == 1:
        return read_picture(sequence[0].frames[0])
    return None


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
