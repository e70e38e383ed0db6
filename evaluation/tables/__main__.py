"""Command line: tables 1 to 5 of one run, or of several seeds pooled."""

import argparse
from pathlib import Path

import pandas as pd

from evaluation import tables
from evaluation.metrics.catalogue import TABLES
from evaluation.settings import EvaluationSettings
from evaluation.tables.build import PROTOCOL_OF_TABLE, Methods, Run, build, identities, read_scores, write, write_csv
from evaluation.tables.comparisons import COLUMNS as COMPARED
from evaluation.tables.comparisons import NUMBERS, compare, marks
from evaluation.tables.paper import paper_ranks
from preprocessing.cli import add_common, load_settings, run_command


def main(argv: list[str] | None = None) -> None:
    """Command line: tables 1–5 of one run, or of several seeds pooled."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.tables", description=tables.__doc__)
    parser.add_argument(
        "--scores",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="results/{run}/scores of one run, or of its seeds",
    )
    Methods.add_to(parser)
    parser.add_argument(
        "--shards",
        type=Path,
        nargs="*",
        default=[],
        metavar="DIR",
        help="data/{dataset}/shards: tells known from unseen identities",
    )
    parser.add_argument(
        "--train-on", nargs="*", metavar="DATASET", help="datasets trained on (default: all of --shards)"
    )
    parser.add_argument("--label", default="", help="the run's label, such as demo-scale")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/tables")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation")
    methods = Methods.read(arguments.methods)
    run = Run(arguments.label, identities(arguments.shards, arguments.train_on), settings.bootstrap_samples)
    scores = read_scores(arguments.scores)
    comparisons = []
    for table in TABLES:
        of_table = scores[scores["protocol"] == PROTOCOL_OF_TABLE[table]]
        frame = build(table, scores, methods, run)  # first: it refuses what would stand twice
        comparisons.append(compare(table, of_table, methods.of_table(table), run.samples))
        write(frame, table, marks(comparisons[-1], paper_ranks(table)), arguments.output)
    joined = pd.DataFrame([row for part in comparisons for row in part.to_dict("records")], columns=list(COMPARED))
    write_csv(joined, NUMBERS, arguments.output / "comparisons.csv")


if __name__ == "__main__":
    main()
