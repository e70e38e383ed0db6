"""The recipe's ablation: what each ingredient does to motion and identity, for people trained on and for strangers.

``python -m evaluation.recipe measure`` examines one trained variant (figures of docs/training.md, person by person);
``python -m evaluation.recipe table`` pools variants and seeds into a table with intervals.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from evaluation.figures.canvas import Cell, Grid, Row
from evaluation.health import Observations, examine
from evaluation.sampling import TEST, first_samples
from model.animator import Animator
from model.checkpoints import load_weights
from model.data import FrameStore
from model.planedict import PlaneDict
from preprocessing.cli import InputError, add_common, run_command
from preprocessing.files import atomic
from preprocessing.reader import ShardReader

COLUMNS = ("variant", "seed", "people", "person", "figure", "value", "steps", "fitted")
KNOWN, UNSEEN = "known", "unseen"
FIGURES = {
    "psnr_gain_db": "gain over the copy, dB",
    "mouth_correlation": "mouth, self",
    "mouth_correlation_cross": "mouth, cross",
    "eye_correlation": "eyes",
    "gaze_correlation": "gaze",
    "yaw_correlation": "yaw",
    "shuffle_drop_db": "shuffle drop, dB",
    "source_nearer_embedding": "source nearer, embedding",
    "recognised": "recognised",
}
RESAMPLES = 2000


def rows_of(seen: Observations) -> list[tuple[str, str, float]]:
    """(figure, person, value): a person's mean of each figure, or the person's correlation."""
    rows = [
        (figure, person, float(np.mean(values)))
        for figure, people in seen.values.items()
        for person, values in people.items()
    ]
    return rows + [(figure, person, r) for figure in seen.traces for person, r in seen.correlations(figure).items()]


def measure(arguments: argparse.Namespace) -> None:
    """Examine one checkpoint on known people and on strangers, and draw its pictures."""
    torch.set_num_threads(1)
    model, facts = load_weights(arguments.checkpoint)
    reader = ShardReader(arguments.shards)
    trained = {s.person for s in reader.samples if s.split == "train"}
    trained &= set(json.loads(facts.get("training", "{}")).get("people") or trained)
    tested = {s.person for s in reader.samples if s.split == TEST}
    table = []
    for people, group in ((KNOWN, tested & trained), (UNSEEN, tested - trained)):
        for fitted in (0, arguments.fit) if arguments.fit and people == UNSEEN else (0,):
            seen = Observations()
            if group:
                examine(model, reader, seen, group, fitted)
            common = {"variant": facts["method"], "seed": int(facts["seed"]), "people": people}
            table += [
                common | {"person": p, "figure": f, "value": v, "steps": int(facts["step"]), "fitted": fitted}
                for f, p, v in rows_of(seen)
            ]
    with atomic(arguments.output) as temporary:
        pd.DataFrame(table, columns=list(COLUMNS)).to_parquet(temporary, index=False)
    with atomic(arguments.output.with_suffix(".npy")) as temporary, open(temporary, "wb") as stream:
        np.save(stream, pictures(model, reader, arguments.clips))


def pictures(model: PlaneDict, reader: ShardReader, clips: Sequence[str]) -> np.ndarray:
    """Each clip's first frame driven by the others' most open mouths: source, driver, output [pairs, 3, r, r, 3].

    Of ``clips``, or of all where none of these is there.
    """
    known = {s.clip for s in reader.samples}
    chosen = known & set(clips) or known
    store = FrameStore(reader, [s for s in reader.samples if s.clip in chosen], model.settings.frames)
    animator, shown = Animator(model), []
    first = {clip: (sample.key, 0) for clip, sample in first_samples(list(store.clips.samples.values())).items()}
    for clip, start in first.items():
        source = animator.source(store.sources([start]))
        for other in first:
            if other == clip and len(first) > 1:
                continue
            keys = [key for key, sample in store.clips.samples.items() if sample.clip == other]
            _, key, index = max((float(o), key, i) for key in keys for i, o in enumerate(store.clips[key].opening))
            neutral = store.drivers(store.neutral_frames(other, 1))
            motion = animator.motion(store.drivers([(key, index)]), neutral)
            output = animator.drive(source, motion, store.labels([(key, index)]))
            shown.append(np.concatenate([store.images([start, (key, index)]), output]))
    return np.stack(shown) if shown else np.zeros((0, 3, store.side, store.side, 3), np.uint8)


def cells(values: pd.DataFrame) -> pd.DataFrame:
    """One value per seed (rows) and person (columns)."""
    return values.pivot_table(index="seed", columns="person", values="value")


def interval(values: pd.DataFrame, seed: int = 0) -> tuple[float, float, float]:
    """Mean over :func:`cells` and its 95 % interval, people and seeds both resampled (with three seeds: too narrow)."""
    grid = values.to_numpy()
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(RESAMPLES):
        seeds, people = (rng.integers(0, n, n) for n in grid.shape)
        drawn = grid[np.ix_(seeds, people)]
        means.append(np.nanmean(drawn) if np.isfinite(drawn).any() else np.nan)
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return float(np.nanmean(grid)), float(low), float(high)


def pooled(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """One line per variant, people, fit and figure: value, interval, and what made it.

    ``over`` is the mean difference from the first variant over the seeds and people that both have, with its interval:
    where that excludes zero, the two differ.
    """
    lines = []
    keys = ["variant", "people", "fitted", "figure"]
    groups = {key: cells(group) for key, group in table.groupby(keys, sort=False)}
    steps = table.groupby("variant")["steps"].max()
    for key, grid in groups.items():
        line = dict(zip(keys, key, strict=True)) | dict(zip(("value", "low", "high"), interval(grid), strict=True))
        line |= {"steps": int(steps[key[0]]), "seeds": len(grid), "n": len(grid.columns)}
        base = groups.get((first, key[1], 0, key[3]))
        if base is not None and (key[0], key[2]) != (first, 0):
            difference = (grid - base).dropna(how="all").dropna(how="all", axis=1)
            if difference.size:
                over = zip(("over", "over_low", "over_high"), interval(difference), strict=True)
                line |= dict(over)
        lines.append(line)
    return pd.DataFrame(lines)


def markdown(lines: pd.DataFrame, names: dict[str, str]) -> str:
    """Known people and strangers each as a Markdown table: a line per variant, a column per figure."""
    parts = []
    for people, title in ((KNOWN, "People trained on, held-out frames"), (UNSEEN, "People never seen")):
        part = lines[lines["people"] == people]
        if part.empty:
            continue
        figures = [f for f in FIGURES if f in set(part["figure"])]
        counted = part.drop_duplicates(["variant", "fitted"])
        people_seen = part[part["figure"] == "psnr_gain_db"]["n"].max()
        parts += [f"**{title}** ({people_seen} people, {part['seeds'].max()} seeds)\n"]
        parts += ["| variant | steps | " + " | ".join(FIGURES[f] for f in figures) + " |"]
        parts += ["|---|---:|" + "---|" * len(figures)]
        order = sorted(counted.itertuples(), key=lambda row: (list(names).index(row.variant), row.fitted))
        for row in order:
            own = part[(part["variant"] == row.variant) & (part["fitted"] == row.fitted)].set_index("figure")
            shown = [cell(own.loc[f]) if f in own.index else "–" for f in figures]
            name = names[row.variant] + (f", source fitted in {row.fitted} steps" if row.fitted else "")
            parts += [f"| {name} | {row.steps:,} | " + " | ".join(shown) + " |"]
        parts += [""]
    return "\n".join(parts)


def cell(line: pd.Series) -> str:
    """``value [low, high]``, with ▲ or ▼ where it differs from the first variant's."""
    mark = ""
    if line.get("over_low", np.nan) > 0 or line.get("over_high", np.nan) < 0:
        mark = " ▲" if line["over"] > 0 else " ▼"
    return f"{line['value']:.2f} [{line['low']:.2f}, {line['high']:.2f}]{mark}"


def contact_sheet(shown: Sequence[tuple[str, np.ndarray]], path: Path, credit: str) -> None:
    """Sources and drivers once, then every variant's outputs under them."""
    pairs = len(shown[0][1])
    if not pairs:
        raise InputError("The ablation has no pictures to show: no clip survived the preparation.")
    rows = [Row([Cell(shown[0][1][i, k]) for i in range(pairs)], label) for k, label in enumerate(("source", "driver"))]
    rows += [Row([Cell(images[i, 2]) for i in range(pairs)], name) for name, images in shown]
    with atomic(path) as temporary:
        Grid([""] * pairs, rows, caption=credit).draw(144).save(temporary, "PNG")


def table(arguments: argparse.Namespace) -> None:
    """Pool all measurements: CSV, Markdown, and the pictures of the first seed."""
    names: dict[str, str] = json.loads(arguments.methods)["main"]
    lines = pooled(pd.concat([pd.read_parquet(path) for path in arguments.measured]), next(iter(names)))
    with atomic(arguments.output) as temporary:
        lines.round(4).to_csv(temporary, index=False)
    with atomic(arguments.output.with_suffix(".md")) as temporary:
        temporary.write_text(markdown(lines, names), encoding="utf-8")
    drawn = {path.stem: np.load(path) for path in arguments.pictures}
    shown = [(name, drawn[slug]) for slug, name in names.items()]
    contact_sheet(shown, arguments.output.with_suffix(".png"), arguments.credit)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m evaluation.recipe", description=__doc__)
    commands = p.add_subparsers(required=True)
    one = commands.add_parser("measure", help="examine one trained variant")
    one.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR", help="shards of all datasets")
    one.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="final.safetensors")
    one.add_argument("--fit", type=int, default=0, metavar="STEPS", help="also examine strangers fitted to their photo")
    one.add_argument("--clips", nargs="*", default=[], help="clips to be pictured; where none is there: all")
    one.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="figures; pictures beside, as .npy")
    one.set_defaults(main=measure)
    every = commands.add_parser("table", help="pool variants and seeds")
    every.add_argument("--measured", type=Path, nargs="+", required=True, metavar="PARQUET")
    every.add_argument("--pictures", type=Path, nargs="+", required=True, metavar="NPY", help="of one seed, by slug")
    every.add_argument("--methods", required=True, metavar="JSON", help="main: slug → name, in the table's order")
    every.add_argument("--credit", default="", help="ends the pictures' caption")
    every.add_argument("--output", type=Path, required=True, metavar="CSV", help="table; .md and .png beside")
    every.set_defaults(main=table)
    for command in (one, every):
        add_common(command, settings=False)
    return p


if __name__ == "__main__":
    run_command(lambda arguments: arguments.main(arguments), parser())
