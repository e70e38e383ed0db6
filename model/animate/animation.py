"""A photo driven by a prepared video, frame by frame: which driving frame is shown when, and from which cameras."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from model.animate.fitting import fit
from model.animator import BATCH, Animator
from model.cameras import relative_camera, split_label, view_labels
from model.data import FrameStore, resized, to_images, to_tensor
from model.planedict import Output
from preprocessing.prepare import Photo

ORBIT = 0.4
"""Half width of the orbit and of the grid in yaw, radians; half of it in pitch."""
ORBIT_SECONDS = 4.0


@dataclass(frozen=True)
class View:
    """The cameras of one output frame; several make a grid.

    ``driver``: the photo's camera moved as the driver moves (``relative``), or the driver's own (``absolute``);
    ``orbit``: around the face; ``chosen``: ``angles``, row-major pairs of yaw and pitch in radians from the frontal
    view, in rows of ``columns``. Of methods without cameras it names the motion (``relative_best``: theirs alone).
    """

    kind: Literal["relative", "absolute", "relative_best", "orbit", "chosen"] = "relative"
    angles: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    columns: int = 1

    @classmethod
    def grid(cls, rows: int, columns: int) -> "View":
        """Yaws from left to right, pitches from above to below, over the orbit's range."""
        yaws, pitches = evenly(columns, ORBIT), evenly(rows, ORBIT / 2)
        return cls("chosen", tuple((yaw, pitch) for pitch in pitches for yaw in yaws), columns)

    def labels(
        self,
        photo: Float[Tensor, "1 25"],
        driver: Float[Tensor, "1 25"],
        neutral: Float[Tensor, "1 25"],
        seconds: float,
    ) -> Float[Tensor, "views 25"]:
        """Camera labels at ``seconds`` of the output, row-major."""
        if self.kind == "relative":
            return relative_camera(photo, driver, neutral)
        if self.kind == "absolute":
            return driver
        angles = torch.tensor(self.angles)
        if self.kind == "orbit":
            turn = 2 * math.pi * seconds / ORBIT_SECONDS
            angles = torch.tensor([[ORBIT * math.sin(turn), ORBIT / 2 * math.sin(2 * turn)]])
        return view_labels(angles[:, 0], angles[:, 1])


def evenly(count: int, half: float) -> list[float]:
    """``count`` numbers evenly spaced from −half to half; one is 0."""
    return [half * (2 * i / (count - 1) - 1) for i in range(count)] if count > 1 else [0.0]


@dataclass(frozen=True)
class Timeline:
    """Which prepared frame is shown in each frame of the output, which keeps the driver's time.

    Preparation leaves out frames without a face. The output runs from the first usable frame to the last one, at the
    driver's mean rate; where frames are missing, in the middle or between those of a variable rate, the last usable one
    stays. ``start`` is the moment of the first one in the driver, seconds.
    """

    shown: tuple[tuple[str, int], ...]
    start: float
    fps: float

    @property
    def span(self) -> tuple[float, float]:
        """When the output begins and ends, seconds of the driver."""
        return self.start, self.start + len(self.shown) / self.fps

    @classmethod
    def of(cls, store: FrameStore, times: Float[np.ndarray, "frames"]) -> "Timeline":
        """The timeline of the one video in ``store``, whose frames are shown at ``times`` (seconds)."""
        numbered = sorted(
            (number, key, index) for key in store.clips for index, number in enumerate(store.reader.meta(key)["frames"])
        )
        fps = next(iter(store.clips.values())).sample.fps
        moments = times[[number for number, _, _ in numbered]]
        chosen = slots(moments, fps)
        return cls(tuple(numbered[i][1:] for i in chosen), float(moments[0]), fps)


def slots(moments: Float[np.ndarray, "n"], fps: float) -> Int[np.ndarray, "m"]:
    """For each frame of constant rate ``fps`` from the first of ``moments`` on: the index of the last one not after it.

    ``moments`` ascend (seconds). Half a frame of tolerance: evenly spaced moments are each shown once.
    """
    count = round((moments[-1] - moments[0]) * fps) + 1
    middles = moments[0] + (np.arange(count) + 0.5) / fps
    return np.searchsorted(moments, middles, side="right") - 1


class Frame(NamedTuple):
    """One output frame: all its views tiled, and their depth (see :func:`grey_depth`), where there is any."""

    image: UInt8[np.ndarray, "h w 3"]
    depth: UInt8[np.ndarray, "h w"] | None = None


class Animation:
    """The output frames of one photo, driven by the one video in ``store``. The source's work is done once, here."""

    def __init__(
        self,
        animator: Animator,
        photo: Photo,
        store: FrameStore,
        times: Float[np.ndarray, "frames"],
        view: View,
        fit_steps: int = 0,
    ) -> None:
        self.animator, self.store, self.view = animator, store, view
        self.timeline = Timeline.of(store, times)
        self.camera = torch.from_numpy(photo.camera)[None].float()
        self.device = next(animator.model.parameters()).device
        settings = animator.model.settings
        seen = resized(photo.on_black[None], settings.resolution)
        image = to_tensor(resized(seen, settings.encoder.resolution)).to(self.device)
        if fit_steps:
            still = torch.zeros(1, settings.motion_dim, device=self.device)
            motion = still if settings.relative_codes else animator.source(image).motion
            if motion is None:
                raise ValueError("a photo has no driver's view for a motion encoder of its own")
            target = to_tensor(seen).to(self.device)
            self.source = fit(animator, image, target, self.camera.to(self.device), motion, fit_steps)
        else:
            self.source = animator.source(image)
        self.neutral = store.neutral_frames(next(iter(store.clips.values())).sample.clip, 1)
        self.neutral_driver = store.drivers(self.neutral).to(self.device)

    def __len__(self) -> int:
        return len(self.timeline.shown)

    def motion(self, frames: Sequence[tuple[str, int]]) -> Float[Tensor, "n m"]:
        """ω_m of prepared frames."""
        return self.animator.motion(self.store.drivers(frames).to(self.device), self.neutral_driver)

    def driver(self, frame: int) -> UInt8[np.ndarray, "s s 3"]:
        """The driving frame, as filmed, that one output frame shows."""
        key, index = self.timeline.shown[frame]
        return self.store.reader.frames(key, [index])[0]

    def labels(self, frame: int) -> Float[Tensor, "views 25"]:
        """The cameras of one output frame."""
        driver, neutral = self.store.labels([self.timeline.shown[frame]]), self.store.labels(self.neutral)
        return self.view.labels(self.camera, driver, neutral, frame / self.timeline.fps)

    def planes(self, frame: int) -> Float[Tensor, "1 3 c r r"]:
        """The tri-plane that one output frame is rendered from."""
        model, driver = self.animator.model, self.motion([self.timeline.shown[frame]])
        with torch.inference_mode():
            motion = model.driving_code(driver, self.source.motion)
            return model.planes(self.source.planes, model.motion_planes(motion, self.animator.bases))

    def frames(self) -> Iterator[Frame]:
        """All output frames in order, rendered several at a time."""
        box, views = self.animator.model.settings.render.box_side, len(self.view.angles)
        for first in range(0, len(self), BATCH):
            numbers = range(first, min(first + BATCH, len(self)))
            shown = [self.timeline.shown[number] for number in numbers]
            labels = torch.cat([self.labels(number) for number in numbers]).to(self.device)
            outputs = list(self.animator.outputs(self.source, self.motion(shown).repeat_interleave(views, 0), labels))
            images = np.concatenate([to_images(output.image) for output in outputs])
            depths = np.concatenate(
                [grey_depth(output, part, box) for output, part in zip(outputs, labels.split(BATCH), strict=True)]
            )
            for at in range(len(shown)):
                rows = slice(at * views, (at + 1) * views)
                yield Frame(tiled(images[rows], self.view.columns), tiled(depths[rows], self.view.columns))


def grey_depth(output: Output, labels: Float[Tensor, "b 25"], box_side: float) -> UInt8[np.ndarray, "b r r"]:
    """Depth as grey, at the image's size: near is bright.

    255 is a camera's distance from the origin less half of ``box_side``, 1 that distance plus half of it, evenly
    between; 0 where less than half of the light is stopped.
    """
    distance = torch.linalg.vector_norm(split_label(labels)[0][:, :3, 3], dim=1)[:, None, None, None]
    nearness = ((distance + box_side / 2 - output.depth) / box_side).clamp(0, 1)
    grey = torch.where(output.opacity >= 0.5, 1 + 254 * nearness, 0.0)
    grey = F.interpolate(grey, output.image.shape[-2:], mode="nearest")
    return grey[:, 0].round().byte().cpu().numpy()


def tiled(pictures: UInt8[np.ndarray, "n h w *c"], columns: int) -> UInt8[np.ndarray, "hh ww *c"]:
    """Pictures in rows of ``columns``."""
    rows = [np.concatenate(list(pictures[i : i + columns]), axis=1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows)
