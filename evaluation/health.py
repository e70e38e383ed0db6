"""Does motion transfer, does identity stay? ``python -m evaluation.health`` answers from held-out frames, in numbers.

Pictures can look fine while the motion code is ignored (the camera explains the pose) or carries the whole person
(the output is the driver). These figures tell the cases apart; docs/training.md defines them.
"""

import argparse
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsFloat

import numpy as np
import torch

from evaluation.metrics.faces import FaceReader
from evaluation.sampling import TEST, by_clip, cross_pairs, first_samples
from model.animate.fitting import fit
from model.animator import Animator, Source
from model.checkpoints import load_weights
from model.data import FrameStore, to_tensor
from model.landmarks import aligned_face, eye_opening, gaze, mouth_opening, standardised
from model.planedict import PlaneDict
from preprocessing.cameras import angles
from preprocessing.cli import add_common, progress, run_command
from preprocessing.files import write_json
from preprocessing.reader import ShardReader

log = logging.getLogger("health")

FRAMES_PER_CLIP = 48
CROSS_PAIRS = 72
LIVELY = 0.02
"""A person counts for correlations when the held-out mouth opening deviates by this share of the eye distance."""
SAME_PERSON = 0.6
"""dlib's own threshold: two photos whose embeddings are nearer than this show one person."""
FACE_SHARE = 0.62
"""Part of the aligned view, from the top, that shows the face without the mouth."""

Frame = tuple[str, int]


@dataclass
class Observations:
    """What was seen, person by person, pooled over runs (seeds) before it is summarised.

    ``values`` are observations by figure and person; ``traces`` pairs of (driver, output) that should correlate.
    """

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    traces: dict[str, dict[str, list[tuple[float, float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    lively: set[str] = field(default_factory=set)
    swap: list[tuple[float, float]] = field(default_factory=list)

    def add(self, figure: str, person: str, value: SupportsFloat) -> None:
        """One observation."""
        self.values[figure][person].append(float(value))

    def trace(self, figure: str, person: str, driver: SupportsFloat, output: SupportsFloat) -> None:
        """One pair of a quantity at the driver and at the output."""
        self.traces[figure][person].append((float(driver), float(output)))

    def correlations(self, figure: str) -> dict[str, float]:
        """Pearson per person, of whom it is defined; of mouths, only where the driver's moves."""
        people = sorted(self.traces[figure].items())
        found = {p: correlation(pairs) for p, pairs in people if p in self.lively or "mouth" not in figure}
        return {p: r for p, r in found.items() if not np.isnan(r)}


def psnr(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float:
    """PSNR in dB of two uint8 images, over ``mask`` where given (infinite difference is capped at 100 dB)."""
    difference = np.square(a.astype(np.float64) - b)
    error = float(difference[mask].mean() if mask is not None else difference.mean())
    return 100.0 if error == 0 else min(100.0, 10 * np.log10(255**2 / error))


def correlation(pairs: Iterable[tuple[float, float]]) -> float:
    """Pearson correlation of (driver, output) values; NaN below three values or without variation."""
    values = np.array(list(pairs), np.float64).reshape(-1, 2)
    if len(values) < 3 or (values.std(0) < 1e-9).any():
        return float("nan")
    return float(np.corrcoef(values.T)[0, 1])


def code_spread(codes: dict[str, np.ndarray]) -> dict[str, float]:
    """Per clip: standard deviation of ω_m over its frames (RMS over dimensions) / RMS of ω_m over all frames."""
    everything = np.concatenate(list(codes.values()))
    rms = np.sqrt(np.square(everything).mean())
    return {name: float(np.sqrt(np.square(c.std(0)).mean()) / max(rms, 1e-12)) for name, c in codes.items()}


class Examiner:
    """Runs the tests of one checkpoint on one dataset's held-out frames and adds to the observations."""

    def __init__(self, animator: Animator, store: FrameStore, seen: Observations, fit_steps: int = 0) -> None:
        self.animator, self.store, self.seen, self.fit_steps = animator, store, seen, fit_steps
        self.reader = FaceReader()
        self.sources: dict[Frame, Source] = {}
        self.embeddings: dict[Frame, np.ndarray | None] = {}

    def source(self, frame: Frame) -> Source:
        """The encoded source, fitted to its photo where the examiner was told to; computed once."""
        if frame not in self.sources:
            image = self.store.sources([frame])
            if self.fit_steps:
                target, label = to_tensor(self.store.images([frame])), self.store.labels([frame])
                motion = self.resting([frame])
                self.sources[frame] = fit(self.animator, image, target, label, motion, self.fit_steps)
            else:
                self.sources[frame] = self.animator.source(image)
        return self.sources[frame]

    def resting(self, frames: Sequence[Frame]) -> torch.Tensor:
        """The motion code of a source's own expression: zero where codes are relative, and the source the reference."""
        settings = self.animator.model.settings
        return torch.zeros(len(frames), settings.motion_dim) if settings.relative_codes else self.motion(frames)

    def motion(self, frames: Sequence[Frame]) -> torch.Tensor:
        """Motion codes [n, m] of driving frames, relative to their clips' references where the model wants that."""
        codes = []
        for frame in frames:
            reference = self.store.neutral_frames(self.clip(frame), 1)[0]
            codes.append(self.animator.motion(self.store.drivers([frame]), self.store.drivers([reference])))
        return torch.cat(codes)

    def clip(self, frame: Frame) -> str:
        """Name of the clip a frame belongs to."""
        return self.store.clips[frame[0]].sample.clip

    def opening(self, frame: Frame) -> float:
        """The driver's own mouth opening."""
        return float(self.store.clips[frame[0]].opening[frame[1]])

    def self_tests(self, person: str, start: Frame, drivers: Sequence[Frame]) -> np.ndarray:
        """Self-reenactment of one clip from its frame ``start``: gain over the copy, correlations, shuffle and swap.

        Returns the drivers' motion codes [n, m].
        """
        source, motion = self.source(start), self.motion(drivers)
        labels, targets, masks = self.store.labels(drivers), self.store.images(drivers), self.store.masks(drivers) > 0
        copied = self.store.images([start])[0]
        outputs = self.animator.drive(source, motion, labels)
        shuffled_order = np.random.default_rng(0).permutation(len(drivers))
        shuffled = self.animator.drive(source, motion[shuffled_order], labels)
        openings = np.array([self.opening(f) for f in drivers])
        for i, frame in enumerate(drivers):
            gain = psnr(outputs[i], targets[i]) - psnr(copied, targets[i])
            self.seen.add("psnr_gain_db", person, gain)
            if masks[i].any():
                drop = psnr(outputs[i], targets[i], masks[i]) - psnr(shuffled[i], targets[i], masks[i])
                self.seen.add("shuffle_drop_db", person, drop)
            face = self.reader.read(outputs[i])
            self.seen.add("face_found", person, face is not None)
            if face is not None:
                clip = self.store.clips[frame[0]]
                driver = clip.landmarks[frame[1]]
                self.seen.trace("mouth_correlation", person, openings[i], mouth_opening(face.landmarks))
                self.seen.trace("eye_correlation", person, eye_opening(driver), eye_opening(face.landmarks))
                wanted, seen = gaze(driver), gaze(face.landmarks)
                if wanted is not None and seen is not None:
                    self.seen.trace("gaze_correlation", person, wanted, seen)
                yaw = np.degrees(angles(clip.cameras[frame[1]])[0])
                self.seen.trace("yaw_correlation", person, yaw, face.degrees[1])
        if person in self.seen.lively:
            self.swap_test(source, motion, labels, targets, masks, openings, outputs)
        return motion.numpy()

    def swap_test(
        self,
        source: Source,
        motion: torch.Tensor,
        labels: torch.Tensor,
        targets: np.ndarray,
        masks: np.ndarray,
        openings: np.ndarray,
        outputs: np.ndarray,
    ) -> None:
        """Squared error in the mask with the opposite extreme's code, beside that with the frame's own."""
        order = np.argsort(openings)
        count = max(1, len(order) // 6)
        closed, opened = order[:count], order[-count:][::-1].copy()  # torch takes no negative strides
        for own, other in ((closed, opened), (opened, closed)):
            swapped = self.animator.drive(source, motion[other], labels[own])
            for image, i in zip(swapped, own, strict=True):
                if masks[i].any():
                    target = targets[i][masks[i]].astype(np.float64)
                    wrong = np.square(image[masks[i]] - target).mean()
                    right = np.square(outputs[i][masks[i]] - target).mean()
                    self.seen.swap.append((float(wrong), float(right)))

    def cross_tests(self, pairs: Sequence[tuple[Frame, Frame]]) -> None:
        """Cross-identity: (source, driver). Whose face is the output, whose mouth does it follow?"""
        for at, driver in progress(pairs, "cross pairs"):
            whose, person = (self.store.clips[frame[0]].sample.person for frame in (at, driver))
            source, label = self.source(at), self.store.labels([driver])
            motion = torch.cat([self.motion([driver]), self.resting([at])])
            output, still = self.animator.drive(source, motion, torch.cat([label, label]))
            target = self.store.images([driver])[0]
            self.seen.add("source_nearer", whose, self.is_nearer(output, still, target, driver))
            face = self.reader.read(output)
            self.seen.add("face_found", whose, face is not None)
            if face is None:
                continue
            opening = float(mouth_opening(face.landmarks))
            self.seen.trace("mouth_correlation_cross", person, self.opening(driver), opening)
            ours, theirs = self.embedding(at), self.embedding(driver)
            if ours is not None and theirs is not None:
                distances = [np.linalg.norm(face.identity - e) for e in (ours, theirs)]
                self.seen.add("source_nearer_embedding", whose, distances[0] < distances[1])
                self.seen.add("recognised", whose, distances[0] < SAME_PERSON)

    def is_nearer(self, output: np.ndarray, still: np.ndarray, target: np.ndarray, driver: Frame) -> bool:
        """Is the output, grey, aligned, mouth excluded, nearer (L2) to the resting source than to the driver's frame?

        All three share the driver's camera, so the driver's landmarks align them.
        """
        clip = self.store.clips[driver[0]]
        landmarks = clip.landmarks[driver[1]] * (len(output) / clip.frame_side)
        views = standardised(np.stack([aligned_face(image, landmarks, 64) for image in (output, still, target)]))
        views = views[:, : int(64 * FACE_SHARE)]
        return bool(np.linalg.norm(views[0] - views[1]) < np.linalg.norm(views[0] - views[2]))

    def embedding(self, frame: Frame) -> np.ndarray | None:
        """Face embedding of an input photo, computed once; None where no face is found."""
        if frame not in self.embeddings:
            face = self.reader.read(self.store.images([frame])[0])
            self.embeddings[frame] = None if face is None else face.identity
        return self.embeddings[frame]


def examine(
    model: PlaneDict,
    reader: ShardReader,
    seen: Observations,
    sources: Collection[str] | None = None,
    fit_steps: int = 0,
) -> None:
    """Run all tests of one trained model on the held-out frames of ``reader`` and add to ``seen``.

    ``sources``: only these people are re-enacted (by themselves and by everybody else); None: all. ``fit_steps``: each
    source is first fitted to its photo.
    """
    test = [s for s in reader.samples if s.split == TEST]
    samples = [s for s in test if sources is None or s.person in sources]
    first = first_samples(reader.samples)
    keys = {s.key for s in test} | {first[s.clip].key for s in test}
    store = FrameStore(reader, [s for s in reader.samples if s.key in keys], model.settings.frames)
    examiner = Examiner(Animator(model), store, seen, fit_steps)
    codes = {}
    for clip, group in progress(sorted(by_clip(test).items()), "clips"):
        start, person = (first[clip].key, 0), group[0].person
        frames = [(s.key, i) for s in group for i in range(s.frames) if (s.key, i) != start]
        if len(frames) < 2:
            continue
        chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, FRAMES_PER_CLIP).round().astype(int))]
        if np.std([examiner.opening(frame) for frame in chosen]) >= LIVELY:
            seen.lively.add(person)
        if group[0] in samples:
            codes[clip] = examiner.self_tests(person, start, chosen)
    if codes:
        for clip, value in code_spread(codes).items():
            seen.add("code_spread", first[clip].person, value)
    rows = cross_pairs(samples, test, CROSS_PAIRS, seed=2)
    examiner.cross_tests(
        [
            (
                (str(r["source_key"]), int(str(r["source_frame"]))),
                (str(r["driver_key"]), int(str(r["driver_frame"]))),
            )
            for r in rows
        ]
    )


def summary(seen: Observations, seeds: Sequence[int]) -> dict[str, object]:
    """``health.json``: the contract's figures, None where nothing could be observed."""

    def mean(values: Iterable[float]) -> float | None:
        known = [v for v in values if not np.isnan(v)]
        return round(float(np.mean(known)), 4) if known else None

    def pooled(figure: str) -> float | None:
        return mean(value for values in seen.values[figure].values() for value in values)

    def per_person(figure: str) -> dict[str, float]:
        return {person: round(r, 4) for person, r in seen.correlations(figure).items()}

    wrong, right = np.array(seen.swap, np.float64).reshape(-1, 2).mean(0) if seen.swap else (np.nan, np.nan)
    traced = ("yaw_correlation", "mouth_correlation", "mouth_correlation_cross", "eye_correlation", "gaze_correlation")
    shares = ("face_found", "source_nearer", "source_nearer_embedding", "recognised", "code_spread", "shuffle_drop_db")
    return {
        "psnr_gain_db": {person: mean(values) for person, values in sorted(seen.values["psnr_gain_db"].items())},
        **{figure: pooled(figure) for figure in shares},
        **{figure: mean(seen.correlations(figure).values()) for figure in traced},
        "swap_ratio": mean([float(wrong / right)]),
        "seeds": list(seeds),
        "per_person": {
            **{figure.replace("_correlation", ""): per_person(figure) for figure in traced},
            "lively": sorted(seen.lively),
        },
    }


def main(arguments: argparse.Namespace) -> None:
    """Examine one or more checkpoints (seeds) and write the pooled figures."""
    torch.set_num_threads(1)
    seen, seeds = Observations(), []
    readers = [ShardReader(shards) for shards in arguments.shards]
    for checkpoint in arguments.checkpoint:
        model, facts = load_weights(checkpoint)
        seeds.append(int(facts["seed"]))
        for reader in readers:
            examine(model, reader, seen)
    write_json(arguments.output, summary(seen, seeds))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m evaluation.health", description=__doc__)
    p.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR", help="shards of the test datasets")
    p.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, metavar="FILE", help="final.safetensors, one per seed"
    )
    p.add_argument("--output", type=Path, required=True, metavar="JSON", help="health.json")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
