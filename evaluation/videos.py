"""Short videos of driven clips for the report: source | driver | output | the same expression from a moving camera.

Writes ``{number}.mp4`` and, last, ``videos.json`` that says what each shows.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio
import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.pictures import resized
from evaluation.settings import EvaluationSettings, ReportSettings
from model.animator import Animator
from model.cameras import view_labels
from model.checkpoints import load_weights
from model.data import FrameStore
from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.files import atomic, write_json
from preprocessing.reader import Sample, ShardReader

PANEL = 192  # pixels; a multiple of 16, as H.264 likes it
PANELS = ("source", "driver", "output", "output, moving camera")
SWING = 0.4  # radians of yaw and pitch, the multi-view protocol's range
TURN = 75  # frames of one round of the camera


@dataclass(frozen=True)
class Driven:
    """One video: whose photo, whose motion, and which frames (key, frame) of the driver."""

    source: Sample
    driver: str
    driver_person: str
    unseen: bool
    fps: float
    frames: tuple[tuple[str, int], ...]

    @property
    def kind(self) -> str:
        """Self or cross."""
        return "self" if self.source.person == self.driver_person else "cross"


def choose(samples: Sequence[Sample], settings: ReportSettings) -> list[Driven]:
    """Cross videos first, one per driver clip in turn, then self videos; held-out frames only, in their order.

    A driver's held-out blocks are joined, so a clip split by time shows cuts. An unseen clip drives after the others.
    """
    clips: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.split in ("test", "unseen-clip") and sample.frames:
            clips.setdefault(sample.clip, []).append(sample)
    drivers = sorted(clips.values(), key=lambda group: (group[0].split != "test", group[0].clip))
    sources = [group[0] for group in drivers if group[0].split == "test"] or [group[0] for group in drivers]
    crossed, own = [], []
    for turn, group in enumerate(drivers):
        others = [source for source in sources if source.person != group[0].person]
        if others:
            crossed.append(_driven(others[turn % len(others)], group, settings.video_frames))
        own.append(_driven(group[0], group, settings.video_frames))
    return (crossed + own)[: settings.videos]


def _driven(source: Sample, driver: Sequence[Sample], count: int) -> Driven:
    frames = tuple((sample.key, i) for sample in driver for i in range(sample.frames))[:count]
    first = driver[0]
    return Driven(source, first.clip, first.person, first.split != "test", first.fps, frames)


def render(driven: Driven, store: FrameStore, animator: Animator) -> NDArray[np.uint8]:
    """The video's frames [n, PANEL, 4 · PANEL, 3]."""
    at = (driven.source.key, 0)
    source = animator.source(store.sources([at]))
    frames = list(driven.frames)
    reference = store.neutral_frames(driven.driver, 1)
    motion = animator.motion(store.drivers(frames), store.drivers(reference))
    outputs = animator.drive(source, motion, store.labels(frames))
    angle = torch.arange(len(frames)) * (2 * math.pi / TURN)
    moving = animator.drive(source, motion, view_labels(SWING * torch.sin(angle), SWING / 2 * torch.sin(2 * angle)))
    drivers = store.images(frames)
    photo = resized(store.images([at])[0], PANEL)
    rows = [
        np.hstack([photo, *(resized(picture, PANEL) for picture in pictures)])
        for pictures in zip(drivers, outputs, moving, strict=True)
    ]
    return np.stack(rows)


def write_video(frames: NDArray[np.uint8], fps: float, path: Path) -> None:
    """H.264 that every browser plays, its index in front."""
    with atomic(path) as temporary:
        options = ["-crf", "24", "-preset", "slow", "-movflags", "+faststart", "-threads", "1"]
        imageio.mimwrite(
            temporary,
            list(frames),
            format="FFMPEG",
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=16,
            output_params=options,
        )


def main(argv: list[str] | None = None) -> None:
    """Command line: the driven clips of one trained method."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.videos", description=__doc__)
    parser.add_argument(
        "--shards",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="data/{dataset}/shards of the test datasets",
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="final.safetensors of the main method"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/videos")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").report
    if not arguments.checkpoint.is_file():
        raise InputError(f"There are no weights at {arguments.checkpoint}.")
    reader = ShardReader(arguments.shards)
    model, _ = load_weights(arguments.checkpoint)
    animator, entries = Animator(model), []
    for number, driven in enumerate(progress(choose(reader.samples, settings), "videos")):
        needed = {driven.source.key, *(key for key, _ in driven.frames)}
        # The driver's reference may be any of its held-out frames.
        group = [s for s in reader.samples if s.key in needed or (s.clip == driven.driver and s.split != "train")]
        store = FrameStore(reader, group, model.settings)
        write_video(render(driven, store, animator), driven.fps, arguments.output / f"{number}.mp4")
        entry = asdict(driven) | {"kind": driven.kind, "source": driven.source.clip, "frames": len(driven.frames)}
        entries.append({"file": f"{number}.mp4", **entry})
    write_json(arguments.output / "videos.json", {"panels": PANELS, "videos": entries})


if __name__ == "__main__":
    main()
