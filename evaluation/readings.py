"""Readings of head angles and action units made outside the project's environment, by py-feat or OpenFace.

``export`` writes the distinct pictures of a scoring job into a folder, each named by the digest of its pixels; the tool
reads the folder; ``collect`` turns its CSV into a readings file, which ``--readings`` of the scoring commands takes.
"""

import argparse
import functools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.external.detections import ANGLES, UNITS, openface, pyfeat
from evaluation.folders import FRAMES, matched
from evaluation.outputs import Inputs, Reenactments, Shards, read_pairs
from evaluation.pictures import Picture, digest, read_picture
from preprocessing.cli import InputError, add_common, progress, read_mapping, run_command
from preprocessing.files import atomic

Array = NDArray[np.float64]
COLLECT = {"py-feat": pyfeat, "openface": openface}


class Readings:
    """What a tool read off pictures, looked up by their pixels; one or more readings files of one backend.

    A readings file is a parquet with a row per picture: ``digest`` (:func:`evaluation.pictures.digest`), ``found``,
    ``pitch``, ``yaw`` and ``roll`` in degrees with the signs of :func:`preprocessing.cameras.angles`, and a column in
    0–1 per action unit. Its metadata (pandas' ``attrs``) name ``backend``, ``version`` and ``weights`` (name → sha256).

    :meth:`angles` and :meth:`units` are readers: pictures [H, W, 3] in, one array for each in their order, None where
    the tool found no face. A picture that the files lack raises InputError: it is not a picture without a face.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        tables = [_read(path) for path in files]
        about = tables[0].attrs
        for path, table in zip(files, tables, strict=True):
            for key in ("backend", "version", "weights"):
                if table.attrs[key] != about[key]:
                    raise InputError(f"{path} and {files[0]} differ in the {key} that made them.")
        self.backend: str = about["backend"]
        self.version: str = about["version"]
        self.weights: dict[str, str] = about["weights"]
        self.unit_names: tuple[str, ...] = tuple(UNITS[self.backend])
        self._files = files
        table = pd.concat(tables).drop_duplicates("digest")
        self._rows = {name: row for row, name in enumerate(table["digest"])}
        self._found = table["found"].to_numpy(bool)
        self._angles = table[ANGLES].to_numpy(np.float64)
        self._units = table[list(self.unit_names)].to_numpy(np.float64)

    def angles(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Pitch, yaw and roll [3] in degrees of each picture's head."""
        return self._look_up(self._angles, pictures)

    def units(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Each picture's action units [K] in 0–1, as :attr:`unit_names` names them."""
        return self._look_up(self._units, pictures)

    def _look_up(self, values: Array, pictures: Sequence[Picture]) -> list[Array | None]:
        rows = [self._rows.get(digest(picture)) for picture in pictures]
        if None in rows:
            height, width = pictures[rows.index(None)].shape[:2]
            raise InputError(
                f"{', '.join(map(str, self._files))}: a picture of {width}×{height} is not in the readings; "
                "export the pictures of this job and read them again."
            )
        return [values[row].copy() if self._found[row] else None for row in rows if row is not None]


@functools.cache
def by_backend(files: tuple[Path, ...]) -> dict[str, Readings]:
    """The readings files of ``--readings``, those of one backend together."""
    groups: dict[str, list[Path]] = {}
    for path in files:
        groups.setdefault(_read(path).attrs["backend"], []).append(path)
    return {backend: Readings(paths) for backend, paths in groups.items()}


def _read(path: Path) -> pd.DataFrame:
    """One readings file; anything else raises InputError."""
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the readings {path}: {' '.join(str(error).split())}.") from None
    backend = table.attrs.get("backend")
    if backend not in UNITS or not {"version", "weights"} <= set(table.attrs):
        raise InputError(f"{path} is not a readings file: write it with python -m evaluation.readings collect.")
    if absent := [name for name in ("digest", "found", *ANGLES, *UNITS[backend]) if name not in table]:
        raise InputError(f"{path} has no column {absent[0]}.")
    return table


def add_readings(parser: argparse.ArgumentParser) -> None:
    """The option that takes readings files in a scoring command."""
    parser.add_argument(
        "--readings",
        type=Path,
        nargs="+",
        default=[],
        metavar="PARQUET",
        help="what py-feat or OpenFace read (python -m evaluation.readings)",
    )


def job_pictures(pairs: pd.DataFrame, outputs: Reenactments, shards: Shards) -> Iterator[Picture]:
    """Every generated picture of a scoring job, then the sources and drivers it is compared with, at its size."""
    if outputs.index.empty:
        return
    members = outputs.index["member"]
    yield from map(outputs.picture, members)
    inputs = Inputs(shards, outputs.picture(members.iloc[0]).shape[0])
    used = pairs[pairs["pair"].isin(outputs.index["pair"])]
    for role in ("source", "driver"):
        frames = used[[f"{role}_key", f"{role}_frame"]].drop_duplicates()
        for key, frame in frames.itertuples(index=False):
            yield inputs.picture(str(key), int(frame))


def folder_pictures(generated: Path, target: Path, source: Path | None) -> Iterator[Picture]:
    """Every picture that ``evaluation.score`` compares."""
    for _, _, _, pictures in matched(generated, target, source):
        yield from pictures


def export(pictures: Iterator[Picture], folder: Path) -> int:
    """Write each distinct picture as ``{digest}.png`` into ``folder``, which appears whole; returns their number.

    Raises InputError where ``folder`` is there already.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already: remove it, or name another folder.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    written: set[str] = set()
    for picture in pictures:
        if (name := digest(picture)) not in written:
            data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
            (part / f"{name}.png").write_bytes(data.tobytes())
            written.add(name)
    part.replace(folder)
    return len(written)


def collect(backend: str, pictures: Path, files: Sequence[Path], about: dict[str, Any]) -> pd.DataFrame:
    """The readings of the folder ``pictures`` (PNG, JPEG) out of a tool's CSV files (or folders of them).

    The folder is what :func:`export` wrote, or any that the tool has read.

    ``about`` says what made them: ``version`` and, where known, ``weights``. py-feat's angles have changed unit and
    sign between versions, so that its version must be given, and be 2.
    """
    if not pictures.is_dir():
        raise InputError(f"{pictures} is not a folder of pictures.")
    version = str(about.get("version", ""))
    if backend == "py-feat" and not version.startswith("2."):
        raise InputError(f"py-feat's version '{version}' is not one whose angles are known (2): name it with --about.")
    names = {path.stem: path for path in sorted(pictures.iterdir()) if path.suffix.lower() in FRAMES}
    paths = [file for path in files for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])]
    if not paths:
        raise InputError(f"{files[0]} holds no CSV file.")
    table = COLLECT[backend](paths, names)
    table.index = pd.Index([digest(read_picture(names[name])) for name in table.index], name="digest", dtype="str")
    table = table.reset_index().drop_duplicates("digest")
    table.attrs = {"backend": backend, "version": version, "weights": dict(about.get("weights", {}))}
    return table


def _export(arguments: argparse.Namespace) -> None:
    from preprocessing.reader import ShardReader

    chain = (arguments.shards, arguments.pairs, arguments.reenactments)
    if all(chain) and not arguments.generated:
        with Reenactments(arguments.reenactments) as outputs:
            pictures = job_pictures(read_pairs(arguments.pairs), outputs, ShardReader(arguments.shards))
            export(iter(progress(pictures, "export")), arguments.output)
    elif arguments.generated and arguments.target and not any(chain):
        pictures = folder_pictures(arguments.generated, arguments.target, arguments.source)
        export(iter(progress(pictures, "export")), arguments.output)
    else:
        raise InputError("Give either --shards, --pairs and --reenactments, or --generated and --target [--source].")


def _collect(arguments: argparse.Namespace) -> None:
    about = read_mapping(arguments.about) if arguments.about else {}
    table = collect(arguments.backend, arguments.pictures, arguments.csv, about)
    with atomic(arguments.output) as temporary:
        table.to_parquet(temporary, index=False)


def main(argv: list[str] | None = None) -> None:
    """Command line: ``export`` and ``collect``."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.readings", description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("export", help="the pictures of a scoring job, for the tool to read")
    first.add_argument("--shards", type=Path, nargs="+", metavar="DIR", help="as evaluation.scores takes them")
    first.add_argument("--pairs", type=Path, metavar="CSV")
    first.add_argument("--reenactments", type=Path, metavar="DIR")
    first.add_argument("--generated", type=Path, metavar="DIR", help="or as evaluation.score takes them")
    first.add_argument("--target", type=Path, metavar="DIR")
    first.add_argument("--source", type=Path, metavar="DIR")
    first.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make")
    second = commands.add_parser("collect", help="the tool's CSV as a readings file")
    second.add_argument("--backend", choices=sorted(UNITS), required=True, help="the tool")
    second.add_argument(
        "--pictures", type=Path, required=True, metavar="DIR", help="what export wrote, or the folder that was read"
    )
    second.add_argument("--csv", type=Path, required=True, nargs="+", metavar="PATH", help="files, or folders of them")
    second.add_argument("--about", type=Path, metavar="FILE", help="JSON or YAML: version, weights (name: sha256)")
    second.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="readings to write")
    steps: list[tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], None]]]
    steps = [(first, _export), (second, _collect)]
    for command, step in steps:
        add_common(command, settings=False)
        command.set_defaults(step=step)
    run_command(lambda arguments: arguments.step(arguments), parser, argv)


if __name__ == "__main__":
    main()
