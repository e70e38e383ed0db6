"""Command line: the page of one run."""

import argparse
from pathlib import Path

from evaluation import report
from evaluation.report.page import page
from evaluation.report.results import Results
from evaluation.settings import EvaluationSettings
from preprocessing.cli import add_common, load_settings, run_command
from preprocessing.files import atomic


def main(argv: list[str] | None = None) -> None:
    """Command line: the page of one run."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report", description=report.__doc__)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="results/{run}")
    parser.add_argument(
        "--samples", type=Path, nargs="*", default=[], metavar="PNG", help="contact sheets of the stages"
    )
    parser.add_argument("--title", help="default: PlaneDict and the folder's name")
    parser.add_argument("--output", type=Path, required=True, metavar="HTML", help="results/{run}/report.html")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").report
    title = arguments.title or f"PlaneDict: {arguments.results.resolve().name}"
    text = page(Results(arguments.results), arguments.samples, title, settings)
    with atomic(arguments.output) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
