"""Short videos of driven clips for the report and its pages, every method side by side.

Each chosen clip drives another person's photo and its own first held-out frame. Writes ``{number}.mp4``
(source | driver | every method); where another person is driven, ``{number}-{method}.mp4`` for each main method
(source | driver | output | the same expression from a moving camera, where it renders views); last, ``videos.json``
that says what each shows.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imageio
import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.outputs import Inputs, add_shards
from evaluation.pictures import resized
from evaluation.reenact import ABSOLUTE, chosen_reenactor
from evaluation.settings import EvaluationSettings, ReportSettings
from evaluation.tables.build import Methods
from model.animate.captions import strip
from model.cameras import view_labels
from model.checkpoints import load_method
from model.data import FrameStore
from model.method import Reenactor
from model.references import References
from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.files import atomic, write_json
from preprocessing.reader import Sample, ShardReader
from preprocessing.video import check_written

PANEL = 192  # pixels; a multiple of 16, as H.264 likes it
CAPTION = 32  # pixels of the line of words above each panel; the report shows videos at two thirds
ABREAST = 4  # panels in one row at most: more would be too small on a phone
SWING = 0.4  # radians of yaw and pitch, the multi-view protocol's range
TURN = 75  # frames of one round of the camera
Pictures = NDArray[np.uint8]  # [n, side, side, 3]


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
    """Of each dataset, the first clips as drivers: cross videos, then self videos; held-out frames, in their order.

    A driver's held-out blocks are joined, so a clip split by time shows cuts. An unseen clip drives after the others.
    """
    datasets: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        if sample.split in ("test", "unseen-clip") and sample.frames:
            datasets.setdefault(sample.dataset, {}).setdefault(sample.clip, []).append(sample)
    crossed, own = [], []
    for clips in datasets.values():
        drivers = sorted(clips.values(), key=lambda group: (group[0].split != "test", group[0].clip))
        sources = [group[0] for group in drivers if group[0].split == "test"] or [group[0] for group in drivers]
        for turn, group in enumerate(drivers[: settings.videos]):
            others = [source for source in sources if source.person != group[0].person]
            if others:
                crossed.append(_driven(others[turn % len(others)], group, settings.video_frames))
            own.append(_driven(group[0], group, settings.video_frames))
    return crossed + own


def _driven(source: Sample, driver: Sequence[Sample], count: int) -> Driven:
    frames = tuple((sample.key, i) for sample in driver for i in range(sample.frames))[:count]
    first = driver[0]
    return Driven(source, first.clip, first.person, first.split != "test", first.fps, frames)


def drive(reenactor: Reenactor[Any], reader: ShardReader, driven: Driven, moving: bool) -> list[Pictures]:
    """What one method makes of a driven clip by absolute motion and, with ``moving``, that from a moving camera."""
    needed = {driven.source.key, *(key for key, _ in driven.frames)}
    # The driver's reference may be any of its held-out frames.
    group = [s for s in reader.samples if s.key in needed or (s.clip == driven.driver and s.split != "train")]
    store = FrameStore(reader, group, reenactor.frames)
    landmarks = store.clips[driven.source.key].landmarks[0]
    name = reenactor.kind.motions[ABSOLUTE]
    reference = store.frames([References(store).frame(name, landmarks, driven.driver)])
    source, frames = reenactor.encode(store.frames([(driven.source.key, 0)])), store.frames(driven.frames)
    outputs = [reenactor.drive(source, frames, reference, ABSOLUTE)]
    if moving:
        angle = torch.arange(len(driven.frames)) * (2 * math.pi / TURN)
        views = view_labels(SWING * torch.sin(angle), SWING / 2 * torch.sin(2 * angle))
        outputs.append(reenactor.render(source, frames, reference, views))
    return outputs


def side_by_side(panels: dict[str, Pictures]) -> NDArray[np.uint8]:
    """Panels below their names, at most :data:`ABREAST` in a row, as frames [n, rows · 224, columns · 192, 3].

    Rows are filled evenly; a panel of one picture stands still. Names stand above, where a player's controls do not.
    """
    columns = math.ceil(len(panels) / math.ceil(len(panels) / ABREAST))
    count = max(map(len, panels.values()))
    cells = []
    for name, pictures in panels.items():
        words = 255 - strip((name,), (PANEL,), CAPTION)  # light on dark
        cell = np.stack([np.concatenate([words, resized(picture, PANEL)]) for picture in pictures])
        cells.append(cell.repeat(count // len(cell), axis=0))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[start : start + columns], axis=2) for start in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=1)


def write_video(frames: NDArray[np.uint8], fps: float, path: Path) -> None:
    """H.264 that every browser plays, its index in front."""
    with atomic(path) as temporary:
        options = ["-crf", "24", "-preset", "medium", "-movflags", "+faststart", "-threads", "1"]
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
        check_written(temporary, len(frames))


def main(argv: list[str] | None = None) -> None:
    """Command line: the driven clips of a run's methods."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report.videos", description=__doc__)
    add_shards(parser)
    parser.add_argument(
        "--checkpoints", type=Path, required=True, metavar="DIR", help="holds {method}/final.safetensors"
    )
    Methods.add_to(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/videos")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").report
    methods = Methods.read(arguments.methods)
    weights = {slug: arguments.checkpoints / slug / "final.safetensors" for slug in methods.main | methods.ablation}
    for path in weights.values():
        if not path.is_file():
            raise InputError(f"There are no weights at {path}.")
    reader = ShardReader(arguments.shards)
    drivers = {slug: chosen_reenactor(load_method(path), None) for slug, path in weights.items()}
    inputs, entries = Inputs(reader, PANEL), []
    for number, driven in enumerate(progress(choose(reader.samples, settings), "videos")):
        photo = inputs.picture(driven.source.key, 0)[None]
        shown = {"source": photo, "driver": np.stack([inputs.picture(*frame) for frame in driven.frames])}
        # As in the tables, the ablation's methods take part in cross-identity reenactment only.
        taking_part = methods.main | (methods.ablation if driven.kind == "cross" else {})
        together, alone = dict(shown), {}
        for slug in taking_part:
            name, own = methods.heads[slug], driven.kind == "cross" and slug in methods.main
            outputs = drive(drivers[slug], reader, driven, own and drivers[slug].kind.views)
            together[name] = outputs[0]
            if own:
                panels = shown | dict(zip((name, "moving camera"), outputs, strict=False))
                alone[slug] = f"{number}-{slug}.mp4"
                write_video(side_by_side(panels), driven.fps, arguments.output / alone[slug])
        write_video(side_by_side(together), driven.fps, arguments.output / f"{number}.mp4")
        facts = asdict(driven) | {"kind": driven.kind, "source": driven.source.clip, "frames": len(driven.frames)}
        names = {"file": f"{number}.mp4", "dataset": driven.source.dataset, "panels": list(together), "alone": alone}
        entries.append({**names, "methods": list(taking_part), **facts})
    write_json(arguments.output / "videos.json", {"videos": entries})


if __name__ == "__main__":
    main()
