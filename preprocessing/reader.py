"""Read shards by sample and frame: random access by tar offset, after the index and its sha256 were checked."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from preprocessing.cli import InputError
from preprocessing.files import sha256
from preprocessing.tars import TarFile


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

    Opening reads every index and checks each tar's sha256 and members; anything missing, cut or edited raises
    :class:`InputError` in one sentence. Keys must be unique over all folders. Safe to use after fork or pickling:
    files are opened where they are first read.
    """

    def __init__(self, directories: Sequence[Path] | Path, *, verify: bool = True) -> None:
        folders = [directories] if isinstance(directories, str | Path) else list(directories)
        self.samples: list[Sample] = []
        self._where: dict[str, Path] = {}
        self._open: dict[Path, TarFile] = {}
        for folder in map(Path, folders):
            indices = sorted(folder.glob("[!.]*.json"))
            if not indices:
                raise InputError(f"{folder} holds no shards (no index *.json); run preprocessing.shards first.")
            for index in indices:
                self._read_index(index, verify)

    def _read_index(self, path: Path, verify: bool) -> None:
        """Check one index against its tar and list its samples."""
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            tar, digest, entries = path.parent / index["tar"], index["sha256"], index["samples"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{path} is not the index of a shard.") from None
        if verify:
            if not tar.is_file():
                raise InputError(f"{tar} is missing, though {path.name} describes it.")
            if sha256(tar) != digest:
                raise InputError(f"{tar} is not the file that {path.name} describes: its sha256 differs.")
        for entry in entries:
            sample = Sample(**entry, shard=path.stem, dataset=path.parent.parent.name)
            if sample.key in self._where:
                first = self._where[sample.key]
                what = "delete what an older run left"
                if first.parent != tar.parent:
                    what = "clips of data sets that are read together need names of their own"
                raise InputError(f"Sample '{sample.key}' is in both {first} and {tar}: {what}.")
            self._where[sample.key] = tar
            self.samples.append(sample)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}

    def _tar(self, key: str) -> TarFile:
        if key not in self._where:
            raise InputError(f"There is no sample '{key}' in the shards.")
        path = self._where[key]
        if path not in self._open:
            self._open[path] = TarFile(path)
        return self._open[path]

    def _images(self, key: str, indices: Sequence[int] | np.ndarray, suffix: str, mode: str) -> np.ndarray:
        tar = self._tar(key)
        images = []
        for index in indices:
            name = f"{key}.{int(index):05d}.{suffix}"
            try:
                images.append(np.asarray(Image.open(io.BytesIO(tar.read(name))).convert(mode)))
            except (OSError, ValueError) as error:
                raise InputError(f"{tar.path}: {name} is not an image: {error}.") from None
        return np.stack(images)

    def frames(self, key: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames as filmed, [n, S, S, 3] uint8 RGB."""
        return self._images(key, indices, "jpg", "RGB")

    def masks(self, key: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Labels [n, S, S] uint8: 0 background, 1 face, 2 hair, 3 torso, 4 eyes, 5 mouth, 6 unknown part."""
        return self._images(key, indices, "mask.png", "L")

    def cameras(self, key: str) -> np.ndarray:
        """Camera labels [T, 25] float32."""
        return self._tar(key).array(f"{key}.cameras.npy")

    def landmarks(self, key: str) -> np.ndarray:
        """Landmarks [T, 478 or 68, 3] float32 in pixels of the frame; z of the 68 points is 0."""
        return self._tar(key).array(f"{key}.landmarks.npy")

    def meta(self, key: str) -> dict[str, Any]:
        """The sample's meta, as docs/data.md lists it."""
        return self._tar(key).mapping(f"{key}.meta.json")
