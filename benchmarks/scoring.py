"""Seconds for scoring 1,000 pairs of 256² pictures with the embedded backends, and its peak memory.

``python benchmarks/scoring.py [PAIRS]``: the public command on folders of PNGs, against the same library called the way
scripts call it (one process, one metric and one pair at a time, every picture measured anew), in the same run.
The faces are one photograph (scikit-image's astronaut, public domain), turned, shifted and lit differently.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
from skimage import data

from evaluation.folders import matched
from evaluation.metrics import formulas, pixels
from evaluation.metrics.faces import Face, FaceReader
from evaluation.metrics.geometry import aligned_shapes
from evaluation.pictures import Picture

KEYS = ("ssim", "psnr", "csim", "prmse", "avd", "et")
SOURCES = 20
REFERENCE_PAIRS = 40
WATCHED = "import resource, sys; from evaluation.score import main; main(sys.argv[1:]); " + (
    "print('peak', *(resource.getrusage(who).ru_maxrss // 1024 for who in (0, -1)))"
)


def faces(count: int, seed: int) -> Iterator[Picture]:
    """``count`` different pictures [256, 256, 3] of one face."""
    photo = cv2.resize(data.astronaut()[0:220, 110:330], (256, 256), interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng(seed)
    for _ in range(count):
        matrix = cv2.getRotationMatrix2D((128, 128), random.uniform(-15, 15), random.uniform(0.8, 1.0))
        matrix[:, 2] += random.uniform(-8, 8, 2)
        yield np.clip(cv2.warpAffine(photo, matrix, (256, 256)) * random.uniform(0.7, 1.2), 0, 255).astype(np.uint8)


def write(folder: Path, pairs: int) -> list[str]:
    """Folders of generated, target and source frames; the command's options for them."""
    sources, options = list(faces(SOURCES, 2)), []
    pictures = {"generated": faces(pairs, 0), "target": faces(pairs, 1), "source": cycle(sources)}
    for name, stream in pictures.items():
        (folder / name).mkdir()
        for index, picture in enumerate(islice(stream, pairs)):
            cv2.imwrite(str(folder / name / f"{index:05d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        options += [f"--{name}", str(folder / name)]
    return options


def command(folder: Path, pairs: int) -> float:
    """Run the command on ``pairs`` pairs; prints its seconds and returns those of a pair."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        options = write(Path(place), pairs)
        options += ["--metrics", *KEYS, "--backend", "embedded", "--output", f"{place}/scores.json"]
        call = [sys.executable, "-c", WATCHED, *options]
        start = time.perf_counter()
        done = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
    own, child = map(int, re.findall(r"peak (\d+) (\d+)", done.stdout)[0])
    print(f"{pairs:,} pairs: {seconds:.1f} s, {1e3 * seconds / pairs:.0f} ms a pair")
    print(f"  peak memory {own} MiB, of each measuring process {child} MiB")
    return seconds / pairs


def reference(folder: Path) -> float:
    """Seconds a pair, one process: every metric reads the faces it needs itself, and remembers none."""
    reader = FaceReader()

    def read(*pictures: Picture) -> list[Face]:
        return [face for picture in pictures if (face := reader.read(picture)) is not None]

    with tempfile.TemporaryDirectory(dir=folder) as place:
        paths = [Path(part) for part in write(Path(place), REFERENCE_PAIRS)[1::2]]
        read(next(faces(1, 9)))
        start = time.perf_counter()
        for _, _, _, (generated, target, source) in matched(*paths):
            pixels.ssim(generated, target)
            pixels.psnr(generated, target)
            formulas.cosine_identity(*([face.identity] for face in read(source, generated)))
            formulas.pose_rmse(*([face.degrees] for face in read(target, generated)))
            shapes = aligned_shapes(*(face.landmarks for face in read(source, generated)))
            formulas.vertex_distance(*(shape[None] for shape in shapes))
            formulas.eye_tracking_error(*(face.eyes[None, :, :2] for face in read(target, generated)))
        seconds = (time.perf_counter() - start) / REFERENCE_PAIRS
    print(f"one pair and one metric at a time: {1e3 * seconds:.0f} ms a pair")
    return seconds


def main(pairs: int = 1000) -> None:
    """A fifth of the pairs first: memory must not grow with their number."""
    print(f"{', '.join(KEYS)} at 256², embedded, {os.cpu_count()} processes")
    with tempfile.TemporaryDirectory() as place:
        slow = reference(Path(place))
        command(Path(place), max(1, pairs // 5))
        print(f"{slow / command(Path(place), pairs):.1f} times as fast")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
