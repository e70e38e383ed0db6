"""Animate one photo with one video: ``python -m model.reenact``. Writes an H.264 video of the re-enacted face.

The source's planes are computed once; per driving frame only the motion encoder, the dictionary and the renderer run.
The video's metadata say that it is synthetic and how it was made.
"""

import argparse
import logging
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch

from model.animator import Animator
from model.cameras import relative_camera, view_labels
from model.checkpoints import load_weights
from model.data import Clip, FrameStore, open_store, resized, to_tensor
from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.files import atomic
from preprocessing.prepare import Photo, prepare_photo, prepare_video

log = logging.getLogger("reenact")

ORBIT = 0.4
"""Half width of the orbit in yaw, radians; half of it in pitch."""
ORBIT_SECONDS = 4.0


def labels_of(
    arguments: argparse.Namespace, store: FrameStore, clip: Clip, index: int, frame: int, photo: Photo
) -> torch.Tensor:
    """The camera of one output frame: fixed, orbiting, the driver's, or the photo's moved as the driver moves."""
    if arguments.orbit:
        turn = 2 * math.pi * frame / (ORBIT_SECONDS * clip.sample.fps)
        return view_labels(torch.tensor([ORBIT * math.sin(turn)]), torch.tensor([0.5 * ORBIT * math.sin(2 * turn)]))
    if arguments.yaw is not None or arguments.pitch is not None:
        return view_labels(torch.tensor([arguments.yaw or 0.0]), torch.tensor([arguments.pitch or 0.0]))
    label = store.labels([(clip.sample.key, index)])
    if arguments.motion == "absolute":
        return label
    reference = store.labels([store.neutral_frames(clip.sample.clip, 1)[0]])
    return relative_camera(torch.from_numpy(photo.camera)[None].float(), label, reference)


def animate(arguments: argparse.Namespace, animator: Animator, store: FrameStore, photo: Photo) -> Iterator[np.ndarray]:
    """The re-enacted frames [r, r, 3] uint8, in the driving video's order."""
    settings = animator.model.settings
    seen = resized(photo.on_black[None], settings.resolution)
    source = animator.source(to_tensor(resized(seen, settings.encoder.resolution)))
    frame = 0
    for key in progress(sorted(store.clips), "parts of the video"):
        clip = store.clips[key]
        neutral = store.drivers([store.neutral_frames(clip.sample.clip, 1)[0]])
        for index in range(clip.sample.frames):
            motion = animator.motion(store.drivers([(key, index)]), neutral)
            yield animator.drive(source, motion, labels_of(arguments, store, clip, index, frame, photo))[0]
            frame += 1


def main(arguments: argparse.Namespace) -> None:
    """Check everything that is cheap first, then prepare, animate and write."""
    torch.set_num_threads(1)
    if arguments.output.suffix.lower() != ".mp4":
        raise InputError(f"--output must end in .mp4, not '{arguments.output.name}'.")
    if arguments.orbit and (arguments.yaw is not None or arguments.pitch is not None):
        raise InputError("--orbit moves the camera by itself: leave --yaw and --pitch out.")
    for path in (arguments.source, arguments.driving):
        if not path.is_file():
            raise InputError(f"{path} does not exist.")
    model, facts = load_weights(arguments.checkpoint)
    photo = prepare_photo(arguments.source)
    with tempfile.TemporaryDirectory() as scratch:
        shards = prepare_video(arguments.driving, Path(scratch))
        store = open_store([shards], None, model.settings)
        fps = next(iter(store.clips.values())).sample.fps
        made_by = f"Synthetic: a photo animated by PlaneDict ({facts['method']}, {facts['step']} steps)"
        side = model.settings.resolution
        with atomic(arguments.output) as temporary:
            writer = imageio_ffmpeg.write_frames(
                temporary,
                (side, side),
                fps=fps,
                quality=8,
                macro_block_size=2,
                output_params=["-metadata", f"comment={made_by}"],
            )
            writer.send(None)
            for image in animate(arguments, Animator(model), store, photo):
                writer.send(np.ascontiguousarray(image))
            writer.close()
    log.info("wrote %s", arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.reenact", description=__doc__)
    p.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="final.safetensors of a trained method"
    )
    p.add_argument("--source", type=Path, required=True, metavar="IMAGE", help="a photo with a face")
    p.add_argument("--driving", type=Path, required=True, metavar="VIDEO", help="a video of a talking head")
    p.add_argument("--output", type=Path, required=True, metavar="OUT.mp4")
    p.add_argument(
        "--motion",
        choices=("relative", "absolute"),
        default="relative",
        help="camera: the photo's, moved as the driver moves; or the driver's",
    )
    p.add_argument("--yaw", type=float, metavar="RAD", help="fixed view: yaw from the frontal one, + towards +x")
    p.add_argument("--pitch", type=float, metavar="RAD", help="fixed view: pitch from the frontal one, + downwards")
    p.add_argument("--orbit", action="store_true", help="the camera moves around the face")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
