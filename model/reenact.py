"""Animate one photo with one video: ``python -m model.reenact``. Writes an H.264 video of the re-enacted face.

What was given is checked before anything heavy is imported, and outputs appear only when all of them are whole. The
video's tags say that it is synthetic and how it was made.
"""

import argparse
import contextlib
import json
import logging
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.files import sha256
from preprocessing.photo import read_photo
from preprocessing.reasons import REASONS, Dropped
from preprocessing.video import frame_times, frames

if TYPE_CHECKING:
    from model.animate.animation import View
    from model.kinds import Kind

log = logging.getLogger("reenact")


def check(arguments: argparse.Namespace) -> None:
    """Everything that can be found wrong within a second; raises :class:`InputError`."""
    if arguments.orbit or arguments.grid:
        moving = "--orbit" if arguments.orbit else "--grid"
        if arguments.yaw is not None or arguments.pitch is not None:
            raise InputError(f"{moving} chooses the views by itself: leave --yaw and --pitch out.")
    if arguments.fit < 0:
        raise InputError(f"--fit {arguments.fit} is not a number of steps.")
    inputs = {"--checkpoint": arguments.checkpoint, "--source": arguments.source, "--driving": arguments.driving}
    for path in inputs.values():
        if not path.is_file():
            raise InputError(f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
    outputs = {"--output": (arguments.output, ".mp4"), "--depth": (arguments.depth, ".mp4")}
    outputs["--mesh"] = (arguments.mesh, ".ply")
    taken = {path.resolve(): name for name, path in inputs.items()}
    for name, (path, suffix) in outputs.items():
        if path is None:
            continue
        if path.suffix.lower() != suffix:
            raise InputError(f"{name} must end in {suffix}, not '{path.name}'.")
        if not path.parent.is_dir():
            raise InputError(f"The folder {path.parent} of {name} does not exist.")
        if path.is_dir():
            raise InputError(f"{name} cannot be written to {path}: it is a folder.")
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise InputError(f"{name} cannot be written to {path}: {error.strerror}.") from None
        if (other := taken.setdefault(path.resolve(), name)) != name:
            raise InputError(f"{name} would overwrite the file of {other}, {path}.")
    read_photo(arguments.source)
    try:
        next(frames(arguments.driving))
    except Dropped as dropped:
        raise InputError(f"The video {arguments.driving} cannot be used: {REASONS[dropped.reason]}.") from None


def chosen_view(arguments: argparse.Namespace) -> "View":
    """The cameras that the command line asks for."""
    from model.animate.animation import View

    if arguments.grid:
        return View.grid(*arguments.grid)
    if arguments.orbit:
        return View("orbit")
    if arguments.yaw is not None or arguments.pitch is not None:
        return View("chosen", ((arguments.yaw or 0.0, arguments.pitch or 0.0),))
    return View(arguments.motion)


def check_kind(arguments: argparse.Namespace, kind: "Kind") -> None:
    """Raises :class:`InputError` for what a method of this kind has not got: motions; cameras, depth and fitting."""
    from model.kinds import PLANEDICT

    held = f"{arguments.checkpoint} holds a method of the kind {kind.name}"
    if arguments.motion not in kind.motions:
        raise InputError(f"{held}, which offers --motion {', '.join(kind.motions)}, not {arguments.motion}.")
    only = ("orbit", "grid", "yaw", "pitch", "depth", "mesh", "fit")
    given = [f"--{name}" for name in only if getattr(arguments, name) not in (None, False, 0)]
    if given and kind.name != PLANEDICT:
        raise InputError(f"{held}: {', '.join(given)} {'is' if len(given) == 1 else 'are'} for a {PLANEDICT} only.")


def tags(arguments: argparse.Namespace, kind: "Kind", facts: dict[str, str], view: "View") -> dict[str, str]:
    """What the files say of themselves: a title for people, and as the comment one JSON object for programs."""
    named = {
        role: {"file": path.name, "sha256": sha256(path)}
        for role, path in {"source": arguments.source, "driver": arguments.driving}.items()
    }
    title = f"Synthetic: a photo animated by {kind.name.replace('planedict', 'PlaneDict')}"
    provenance: dict[str, Any] = {
        "synthetic": True,
        "statement": f"{title} with the motion of another video",
        "kind": kind.name,
        "method": facts.get("method"),
        "step": facts.get("step"),
        "seed": facts.get("seed"),
        "checkpoint": {"file": arguments.checkpoint.name, "sha256": sha256(arguments.checkpoint)},
        **named,
        "view": view.kind,
        "angles": view.angles if view.kind == "chosen" else None,
        "fitted_steps": arguments.fit,
    }
    return {"title": title, "comment": json.dumps(provenance, ensure_ascii=False)}


def main(arguments: argparse.Namespace) -> None:
    """Check, prepare, animate, write."""
    check(arguments)
    import torch

    from model.animate.animation import Animation
    from model.animate.captions import side_by_side
    from model.animate.driven import DrivenPhoto
    from model.animate.mesh import extract, write_ply
    from model.animate.video import publish, video_writer
    from model.animator import Animator
    from model.checkpoints import load_method
    from model.data import open_store
    from model.kinds import PLANEDICT
    from model.method import method_of
    from preprocessing.prepare import prepare_photo, prepare_video

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, network, facts = load_method(arguments.checkpoint)
    check_kind(arguments, kind)
    if arguments.fit and not network.settings.relative_codes and network.settings.motion_encoder is not None:
        raise InputError("--fit needs a model with relative motion codes, or whose E gives both codes.")
    photo = prepare_photo(arguments.source)
    view = chosen_view(arguments)
    with tempfile.TemporaryDirectory() as folder:
        scratch, began = Path(folder), time.perf_counter()
        store = open_store([prepare_video(arguments.driving, scratch)], None, network.settings.frames)
        times, network = frame_times(arguments.driving), network.to(device)
        animation: Animation | DrivenPhoto
        if kind.name == PLANEDICT:
            animation = Animation(Animator(network), photo, store, times, view, arguments.fit)
        else:
            reenactor = method_of(kind.name).reenactor(network, kind.outputs[0])
            animation = DrivenPhoto(reenactor, photo, store, times, arguments.motion)
        log.info("preparation: %s", rate(sum(c.sample.frames for c in store.clips.values()), "frames", began))
        began, fps = time.perf_counter(), animation.timeline.fps
        with contextlib.ExitStack() as stack:
            add = stack.enter_context(video_writer(scratch / "output.mp4", fps))
            add_depth = stack.enter_context(video_writer(scratch / "depth.mp4", fps)) if arguments.depth else None
            for number, frame in enumerate(progress(animation.frames(), "frames", len(animation))):
                panels = arguments.side_by_side
                add(side_by_side(photo.frame, animation.driver(number), frame.image) if panels else frame.image)
                if add_depth and frame.depth is not None:
                    add_depth(frame.depth)
        log.info("rendering on %s: %s", device, rate(len(animation) * len(view.angles), "views", began))
        described = tags(arguments, kind, facts, view)
        if arguments.mesh and isinstance(animation, Animation):
            write_ply(arguments.mesh, extract(network, animation.planes(0)), described["comment"])
            log.info("wrote %s", arguments.mesh)
        if arguments.depth:
            publish(scratch / "depth.mp4", arguments.depth, described)
            log.info("wrote %s", arguments.depth)
        publish(scratch / "output.mp4", arguments.output, described, arguments.driving, animation.timeline.span)
        log.info("wrote %s", arguments.output)


def rate(count: int, things: str, began: float) -> str:
    """How many things in how long since ``began``, as words."""
    seconds = time.perf_counter() - began
    return f"{count} {things} in {seconds:.1f} s, {count / seconds:.1f} a second"


def grid(text: str) -> tuple[int, int]:
    """Rows and columns of "3x5"."""
    found = re.fullmatch(r"([1-9]\d?)[x×]([1-9]\d?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not ROWSxCOLUMNS, such as 3x5")
    return int(found[1]), int(found[2])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.reenact", description=__doc__)
    p.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="final.safetensors of a trained method"
    )
    p.add_argument("--source", type=Path, required=True, metavar="IMAGE", help="a photo with a face")
    p.add_argument("--driving", type=Path, required=True, metavar="VIDEO", help="a video of a talking head")
    p.add_argument("--output", type=Path, required=True, metavar="OUT.mp4", help="what to write, in an existing folder")
    p.add_argument(
        "--motion",
        choices=("relative", "absolute", "relative_best"),
        default="relative",
        help="of PlaneDict the camera: the photo's, moved as the driver moves, or the driver's; of first-order methods "
        "the keypoints: moved as the driver's since its first frame or the one most like the photo, or the driver's",
    )
    p.add_argument("--yaw", type=float, metavar="RAD", help="fixed view: yaw from the frontal one, + towards +x")
    p.add_argument("--pitch", type=float, metavar="RAD", help="fixed view: pitch from the frontal one, + downwards")
    moving = p.add_mutually_exclusive_group()
    moving.add_argument("--orbit", action="store_true", help="the camera moves around the face")
    moving.add_argument(
        "--grid", type=grid, nargs="?", const=(3, 5), metavar="RxC", help="R pitches × C yaws in one picture (3x5)"
    )
    p.add_argument(
        "--fit",
        type=int,
        default=0,
        metavar="STEPS",
        help="first fit the person's planes to the photo (500 are good); without, one-shot as in the paper",
    )
    p.add_argument("--side-by-side", action="store_true", help="source | driver | output, with captions")
    p.add_argument("--depth", type=Path, metavar="DEPTH.mp4", help="also write the depth as grey, near is bright")
    p.add_argument("--mesh", type=Path, metavar="MESH.ply", help="also write the first frame's surface")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
