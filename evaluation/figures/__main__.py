"""Figures 1 and 3 to 6 of the paper from this run's re-enacted frames."""

import argparse
from pathlib import Path

from evaluation.figures import DRAW
from evaluation.figures.canvas import footer, letters, stacked
from evaluation.figures.material import Material
from evaluation.outputs import add_shards
from evaluation.settings import COPY, COPY_NAME, EvaluationSettings
from evaluation.tables.build import Methods
from preprocessing.cli import InputError, add_common, load_settings, run_command
from preprocessing.files import atomic
from preprocessing.reader import ShardReader


def main(argv: list[str] | None = None) -> None:
    """Command line: draw figures 1 and 3 to 6 of one run."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.figures", description=__doc__)
    add_shards(parser)
    parser.add_argument(
        "--pairs", type=Path, required=True, nargs="+", metavar="DIR", help="results/{run}/pairs/{dataset}"
    )
    parser.add_argument(
        "--reenactments",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="results/{run}/reenactments/{dataset}, in the order of --pairs",
    )
    Methods.add_to(parser)
    parser.add_argument("--label", default="", help="the run's label, such as demo-scale")
    parser.add_argument(
        "--clips", nargs="+", metavar="CLIP", help="show only pairs of these clips (for pictures to be published)"
    )
    parser.add_argument("--credit", default="", help="ends every caption: whose clips are seen")
    parser.add_argument("--only", type=int, nargs="+", choices=DRAW, default=list(DRAW), help="draw only these")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/figures")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").figures
    if [path.name for path in arguments.pairs] != [path.name for path in arguments.reenactments]:
        raise InputError("--pairs and --reenactments must name the same datasets in the same order.")
    given = Methods.read(arguments.methods)
    methods = {slug: given.heads[slug] for slug in given.main} | {COPY: COPY_NAME}
    shards = ShardReader(arguments.shards)
    material = [
        Material(pairs, reenactments, shards, methods, set(arguments.clips) if arguments.clips else None)
        for pairs, reenactments in zip(arguments.pairs, arguments.reenactments, strict=True)
    ]
    for number in arguments.only:
        page = DRAW[number](material, settings, arguments.label or "this run")
        if arguments.credit:
            page = stacked([page, footer(arguments.credit, page.width, letters(page.width))])
        with atomic(arguments.output / f"figure{number}.png") as temporary:
            page.save(temporary, "PNG", dpi=(settings.dpi, settings.dpi))


if __name__ == "__main__":
    main()
