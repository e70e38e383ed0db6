"""Read shards by sample and frame: random access by tar offset, after the index and its sha256 were checked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing.cli import InputError
from preprocessing.layout import Layout
from preprocessing.shardindex import FORMAT, intact
from preprocessing.tars import Archive, load_array, load_mapping
from preprocessing.verified import differing

OPEN = 256
"""Most files that are open at a time; a process may have 1,024."""


@dataclass(frozen=True)
class Sample:
    """One tube in a shard: its key, clip, person, split, number of frames and frame rate, and where it lies."""

    key: str
    clip: str
    person: str
    split: str
    frames: int
    fps: float
    shard: str
    dataset: str


class ShardReader:
    """Samples of one or several ``data/{dataset}/shards`` folders.

    Opening reads every index and checks each tar's sha256 (remembered for as long as the file does not change);
    anything missing, cut or edited raises :class:`InputError` in one sentence. Keys must be unique over all folders.
    ``first`` opens so many shards of each folder and leaves the others alone.
    Safe to use after fork or pickling: files are opened where they are first read, and few are open at a time.
    """

    def __init__(self, directories: Sequence[Path] | Path, *, verify: bool = True, first: int | None = None) -> None:
        folders = [directories] if isinstance(directories, str | Path) else list(directories)
        self.samples: list[Sample] = []
        self._where: dict[str, tuple[Path, Layout]] = {}
        self._open: dict[Path, Archive] = {}
        digests: dict[Path, str] = {}
        for folder in map(Path, folders):
            indices = sorted(folder.glob("[!.]*.json"))
            if not indices:
                raise InputError(f"{folder} holds no shards (no index *.json); run preprocessing.shards first.")
            if alone := {tar.stem for tar in folder.glob("[!.]*.tar")} - {index.stem for index in indices}:
                raise InputError(
                    f"{folder / min(alone)}.tar has no index; the next run of its stage writes both again."
                )
            for path in indices[:first]:
                tar, digest, entries = _read_index(path)
                if verify and not tar.is_file():
                    raise InputError(f"{tar} is missing, though {path.name} describes it.")
                digests[tar] = digest
                self._add(path, tar, entries)
        if verify and (wrong := differing(digests.items())) is not None:
            index = wrong.with_suffix(".json").name
            raise InputError(
                f"{wrong} is not the file that {index} describes: its sha256 differs;"
                " delete it, and the next run writes it again."
            )

    def _add(self, path: Path, tar: Path, entries: list[dict[str, Any]]) -> None:
        """List the samples of one index."""
        for entry in entries:
            try:
                found = Layout.of_index(entry["frames"], entry.pop("offset"), entry.pop("sizes"))
                sample = Sample(**entry, shard=path.stem, dataset=path.parent.parent.name)
            except (KeyError, ValueError, TypeError):
                raise InputError(f"{path} is not the index of a shard.") from None
            if sample.key in self._where:
                first, _ = self._where[sample.key]
                what = "delete what an older run left"
                if first.parent != tar.parent:
                    what = "clips of data sets that are read together need names of their own"
                raise InputError(f"Sample '{sample.key}' is in both {first} and {tar}: {what}.")
            self._where[sample.key] = tar, found
            self.samples.append(sample)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}

    def _read(self, key: str, name: str) -> bytes:
        """Bytes of member ``name`` of a sample."""
        if key not in self._where:
            raise InputError(f"There is no sample '{key}' in the shards.")
        path, found = self._where[key]
        member = found.member(name)
        if member is None:
            raise InputError(f"{path} has no member {key}.{name}.")
        if path not in self._open:
            if len(self._open) == OPEN:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = Archive(path)
        return self._open[path].read(f"{key}.{name}", member)

    def _images(self, key: str, indices: Sequence[int] | np.ndarray, suffix: str, flags: int) -> np.ndarray:
        images = []
        for index in indices:
            name = f"{int(index):05d}.{suffix}"
            image = cv2.imdecode(np.frombuffer(self._read(key, name), np.uint8), flags)
            if image is None:
                raise InputError(f"{self._where[key][0]}: {key}.{name} is not an image.")
            images.append(image)
        return images[0][None] if len(images) == 1 else np.stack(images)

    def frames(self, key: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames as filmed, [n, S, S, 3] uint8 RGB."""
        return self._images(key, indices, "jpg", cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)

    def masks(self, key: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Labels [n, S, S] uint8: 0 background, 1 face, 2 hair, 3 torso, 4 eyes, 5 mouth, 6 unknown part."""
        return self._images(key, indices, "mask.png", cv2.IMREAD_GRAYSCALE)

    def _array(self, key: str, name: str) -> np.ndarray:
        data = self._read(key, name)
        return load_array(data, f"{self._where[key][0]}: {key}.{name}")

    def cameras(self, key: str) -> np.ndarray:
        """Camera labels [T, 25] float32."""
        return self._array(key, "cameras.npy")

    def landmarks(self, key: str) -> np.ndarray:
        """Landmarks [T, 478 or 68, 3] float32 in pixels of the frame; z of the 68 points is 0."""
        return self._array(key, "landmarks.npy")

    def meta(self, key: str) -> dict[str, Any]:
        """The sample's meta, as docs/data.md lists it."""
        return load_mapping(self._read(key, "meta.json"), f"{self._where[key][0]}: {key}.meta.json")


def _read_index(path: Path) -> tuple[Path, str, list[dict[str, Any]]]:
    """The tar that an index describes, its sha256 and the samples' entries."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        described = path.parent / index["tar"], index["sha256"], index["samples"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path} is not the index of a shard.") from None
    if index.get("format") != FORMAT:
        raise InputError(f"{path} is of another version of this software; delete it, and the next run writes it again.")
    if not intact(index):
        raise InputError(f"{path} was changed after it was written; delete it, and the next run writes it again.")
    return described
