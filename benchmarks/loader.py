"""Images per second out of shards, against a folder of PNGs read in the manner of FOMM's FramesDataset.

``python benchmarks/loader.py SHARDS``: the same frames, as shards (made by the chain) and as PNGs, at random
places of random clips, one process each by processor time, then with DataLoader workers by wall time. The reference
lists a clip's folder, reads PNGs with scikit-image and gives float32 images, as that dataset does without augmentation.
Ours gives float32 tensors of the same frames, as filmed, and once more as training asks for them: with the mask of each
read too, and the background black, which the reference does not do.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from skimage import img_as_float32, io
from torch.utils.data import DataLoader, Dataset

from benchmarks.timing import compare
from model.data import FrameStore, to_tensor
from model.settings import ModelSettings
from preprocessing.reader import ShardReader

IMAGES = 400


class Folders(Dataset[np.ndarray]):
    """A folder of PNGs per clip; an item is one float32 frame [3, S, S] of it, at a random place."""

    def __init__(self, root: Path) -> None:
        self.clips = sorted(path for path in root.iterdir())

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> np.ndarray:
        random = np.random.default_rng(index)
        clip = self.clips[random.integers(len(self.clips))]
        frames = sorted(os.listdir(clip))
        image = img_as_float32(io.imread(clip / frames[random.integers(len(frames))]))
        return np.array(image, np.float32).transpose((2, 0, 1))


class Shards(Dataset[torch.Tensor]):
    """The same out of shards; with ``masks`` the background is black."""

    def __init__(self, root: Path, masks: bool) -> None:
        self.masks, self.reader = masks, (reader := ShardReader(root))
        side = reader.frames(reader.samples[0].key, [0]).shape[1]
        self.samples = reader.samples
        self.store = FrameStore(reader, reader.samples, ModelSettings().model_copy(update={"resolution": side}).frames)

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> torch.Tensor:
        random = np.random.default_rng(index)
        sample = self.samples[random.integers(len(self.samples))]
        number = int(random.integers(sample.frames))
        frames = self.store.images([(sample.key, number)]) if self.masks else self.reader.frames(sample.key, [number])
        return to_tensor(frames)[0]


def export(root: Path, folder: Path) -> None:
    """The shards' frames as PNGs, a folder for each sample."""
    reader = ShardReader(root)
    for sample in reader.samples:
        (folder / sample.key).mkdir()
        for index in range(sample.frames):
            image = reader.frames(sample.key, [index])[0]
            io.imsave(folder / sample.key / f"{index:07d}.png", image, check_contrast=False)


def every(dataset: Dataset[np.ndarray] | Dataset[torch.Tensor]) -> Callable[[], None]:
    """Read a whole epoch in this process."""

    def read() -> None:
        for index in range(IMAGES):
            dataset[index]

    return read


def main(root: Path) -> None:
    """Print images per second of both, in one process and with a worker per core."""
    torch.set_num_threads(1)
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place:
        export(root, Path(place))
        ours, masked, reference = Shards(root, False), Shards(root, True), Folders(Path(place))
        sizes = [path.stat().st_size for path in Path(place).rglob("*.png")]
        print(f"{len(sizes)} frames, {sum(sizes) / len(sizes) / 1024:.0f} KiB each as PNG")
        for name, dataset in (("frames", ours), ("frames and masks", masked)):
            seconds = compare(f"{IMAGES} {name}, one process", every(dataset), every(reference), repeats=5)
            print(f"  ours {IMAGES / seconds:,.0f} images/s of processor time")
        for name, dataset in (("frames", ours), ("frames and masks", masked), ("reference", reference)):
            loader = DataLoader(dataset, batch_size=16, num_workers=cores, persistent_workers=True)
            list(loader)  # the workers start
            start = time.perf_counter()
            list(loader)
            print(f"{name}, {cores} workers: {IMAGES / (time.perf_counter() - start):,.0f} images/s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
