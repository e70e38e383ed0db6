"""What the figures show: the frames of one dataset and which of them are taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.outputs import Reenactments, Shards, read_pairs
from evaluation.pictures import on_black
from evaluation.settings import MINI

Picture = NDArray[np.uint8]
Pair = dict[str, Any]
SMALL = f"({MINI}): a small version of the method, trained here; not what its authors trained."


@dataclass(frozen=True)
class Column:
    """One method under one kind of motion."""

    slug: str
    motion: str
    name: str


class Material:
    """The frames of one dataset: sources and drivers on black, and each method's outputs (slug → name)."""

    def __init__(
        self, pairs: Path, reenactments: Path, shards: Shards, methods: dict[str, str], clips: set[str] | None = None
    ) -> None:
        self.dataset = pairs.name
        self._clips = clips
        self._pairs, self._reenactments, self._shards = pairs, reenactments, shards
        self._methods = methods
        self._open: dict[tuple[str, str], Reenactments | None] = {}

    @property
    def names(self) -> list[str]:
        """The methods' names."""
        return list(self._methods.values())

    def pairs(self, protocol: str) -> list[Pair]:
        """The pair list of one protocol, as far as both clips may be shown."""
        pairs = read_pairs(self._pairs / f"{protocol}.csv")
        if self._clips is not None:
            pairs = pairs[pairs["source_clip"].isin(self._clips) & pairs["driver_clip"].isin(self._clips)]
        return [{**pair, "dataset": self.dataset} for pair in pairs.to_dict("records")]

    def outputs(self, slug: str, protocol: str) -> Reenactments | None:
        """One method's frames under one protocol, None where it was not run."""
        key = (slug, protocol)
        if key not in self._open:
            folder = self._reenactments / slug / protocol
            self._open[key] = Reenactments(folder) if (folder / "index.parquet").is_file() else None
        return self._open[key]

    def columns(self, protocol: str, motion: str = "absolute") -> list[Column]:
        """The methods that have frames of this kind under ``protocol``, in the order they were given."""
        ran = {slug: self.outputs(slug, protocol) for slug in self._methods}
        return [
            Column(slug, motion, self._methods[slug]) for slug, made in ran.items() if made and motion in made.motions
        ]

    def generated(self, column: Column, protocol: str, pair: Pair) -> Picture | None:
        """What a method made of a pair, as it was stored."""
        outputs = self.outputs(column.slug, protocol)
        member = outputs.members(column.motion).get(int(pair["pair"])) if outputs else None
        return outputs.picture(member) if outputs and member else None

    def source(self, pair: Pair) -> Picture:
        """A pair's source at the shards' own resolution, on black."""
        return self._input(pair["source_key"], int(pair["source_frame"]))

    def driver(self, pair: Pair) -> Picture:
        """A pair's driving frame at the shards' own resolution, on black."""
        return self._input(pair["driver_key"], int(pair["driver_frame"]))

    def _input(self, key: str, frame: int) -> Picture:
        return on_black(self._shards.frames(key, [frame]), self._shards.masks(key, [frame]))[0]


def all_columns(material: Sequence[Material], protocol: str, motion: str = "absolute") -> list[Column]:
    """The methods that have such frames of any dataset."""
    return list(dict.fromkeys(column for data in material for column in data.columns(protocol, motion)))


def chosen(material: Sequence[Material], protocol: str, count: int) -> list[tuple[Material, Pair]]:
    """At most ``count`` pairs: datasets, people and clips take turns; those of unseen clips come last."""
    by_name = {data.dataset: data for data in material}
    pairs = [pair for data in material for pair in data.pairs(protocol)]
    ordered = spread(pairs, count, lambda pair: (pair["dataset"], *_people(pair)))
    return [(by_name[pair["dataset"]], pair) for pair in sorted(ordered, key=lambda p: bool(p["unseen"]))]


def spread(items: Sequence[Pair], count: int, group: Callable[[Pair], Any]) -> list[Pair]:
    """At most ``count`` pairs: the groups take turns, and each gives its pairs at even steps."""
    groups: dict[Any, list[Pair]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    share = -(-count // max(1, len(groups)))
    stepped = [[g[i] for i in _steps(len(g), share)] for g in groups.values()]
    turns = [pair for turn in zip_longest(*stepped) for pair in turn if pair is not None]
    return turns[:count]


def _steps(length: int, count: int) -> list[int]:
    """``count`` different positions in the middle of even slices."""
    return sorted({min(length - 1, int((i + 0.5) * length / count)) for i in range(count)})


def _people(pair: Pair) -> tuple[bool, str, str]:
    return bool(pair["unseen"]), pair["source_clip"], pair["driver_clip"]


def label(pair: Pair) -> str:
    """A row's label: the source's clip, below it the driver's where it is another one, and whether it is unseen."""
    source, driver = str(pair["source_clip"]), str(pair["driver_clip"])
    lines = [f"{source}, unseen" if pair["unseen"] else source] + [f"← {driver}"] * (driver != source)
    return "\n".join(lines)


def origin(material: Sequence[Material], scale: str) -> str:
    """The end of a caption: which data, at which scale, and what a miniature is, where there are some."""
    names = ", ".join(data.dataset for data in material)
    minis = any(name.endswith(f"({MINI})") for data in material for name in data.names)
    return f"Data: {names} ({scale})." + (f" {SMALL}" if minis else "")
