"""A page per method and a page per clip beside the report: worst and best cases, distributions, failures, videos.

Writes ``{dataset}/method-{slug}.html`` and ``{dataset}/clip-{clip}.html``, each self-contained, and, last,
``index.json`` that lists them; the report links to what it lists.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from evaluation.outputs import add_shards
from evaluation.report.browse import Shown, clip_page, method_page
from evaluation.report.gallery import Gallery
from evaluation.report.results import Results
from evaluation.sampling import by_clip
from evaluation.settings import COPY, COPY_NAME, EvaluationSettings
from evaluation.tables.build import Methods
from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.files import atomic, write_json
from preprocessing.reader import Sample, ShardReader
from preprocessing.sheets import safe

Entry = dict[str, str]


def entries(dataset: str, methods: dict[str, str], clips: dict[str, list[Sample]]) -> list[Entry]:
    """What ``index.json`` says of a dataset's pages; clips whose names look alike as file names are numbered."""
    found = [
        {
            "dataset": dataset,
            "kind": "method",
            "name": slug,
            "title": name,
            "note": "",
            "file": f"{dataset}/method-{slug}.html",
        }
        for slug, name in methods.items()
    ]
    taken: set[str] = set()
    for clip, samples in clips.items():
        stem, again = safe(clip), 2
        while stem.lower() in taken:
            stem, again = f"{safe(clip)}-{again}", again + 1
        taken.add(stem.lower())
        known = "" if samples[0].person == clip else samples[0].person
        unseen = "unseen clip" if all(sample.split == "unseen-clip" for sample in samples) else ""
        note = ", ".join(word for word in (known, unseen) if word)
        found.append({"kind": "clip", "name": clip, "title": clip, "note": note, "file": f"{dataset}/clip-{stem}.html"})
    return [{"dataset": dataset, **entry} for entry in found]


def main(argv: list[str] | None = None) -> None:
    """Command line: the pages of one run."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report.pages", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="results/{run}")
    add_shards(parser)
    Methods.add_to(parser)
    parser.add_argument("--title", help="the report's title; default: PlaneDict and the folder's name")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/pages")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation")
    methods, results = Methods.read(arguments.methods), Results(arguments.results)
    title = arguments.title or f"PlaneDict: {arguments.results.resolve().name}"
    names = methods.main | methods.ablation | {COPY: COPY_NAME}
    index: list[Entry] = []
    for folder in arguments.shards:
        reader, dataset = ShardReader(folder), folder.resolve().parent.name
        clips = held_out_clips(reader.samples)
        with Gallery(results, dataset, reader) as gallery:
            chosen = dict(list(clips.items())[: settings.report.clip_pages])
            listed = entries(dataset, {s: n for s, n in names.items() if gallery.protocols(s)}, chosen)
            shown = Shown(results, gallery, names, title, settings.bootstrap_samples, listed)
            for entry in progress(listed, f"pages of {dataset}"):
                if entry["kind"] == "method":
                    text = method_page(shown, entry["name"])
                else:
                    text = clip_page(shown, entry["name"], clips[entry["name"]], len(clips))
                with atomic(arguments.output / entry["file"]) as temporary:
                    temporary.write_text(text, encoding="utf-8")
        index += listed
    write_json(arguments.output / "index.json", {"pages": index})


def held_out_clips(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """All samples of the clips with held-out frames, test clips first, then unseen ones, by name."""
    clips = by_clip(sorted(samples, key=lambda s: s.key))
    tested = {clip: group for clip, group in clips.items() if any(s.split != "train" for s in group)}
    return dict(sorted(tested.items(), key=lambda item: (all(s.split == "unseen-clip" for s in item[1]), item[0])))


if __name__ == "__main__":
    main()
