"""Model cards: what a checkpoint is, what it was trained on, what it is for and what it must not be used for.

``python -m model.card`` writes the card of a checkpoint; training writes one beside each ``final.safetensors``.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.kinds import Kind, MethodModel
from model.method import Method, method_of
from preprocessing.cli import InputError, add_common, run_command
from preprocessing.files import atomic

UNKNOWN = "not recorded"
FEW = 100
"""People below which a model knows its training people rather than faces."""

HEALTH = {
    "psnr_gain_db": "PSNR over a copy of the source, mean over people (dB)",
    "face_found": "outputs in which a face is found",
    "yaw_correlation": "yaw of output and driver, correlation",
    "mouth_correlation": "mouth opening of output and driver, correlation, self",
    "mouth_correlation_cross": "mouth opening of output and driver, correlation, cross",
    "source_nearer": "cross outputs nearer to the source than to the driver, by pixels",
    "source_nearer_embedding": "cross outputs nearer to the source than to the driver, by face embedding",
    "code_spread": "spread of motion codes within a clip",
}
"""Figures of ``health.json`` that a card shows, and what they say (docs/metrics.md)."""

USE = """\
## Use

    python -m model.reenact --checkpoint final.safetensors --source photo.jpg --driving video.mp4 --output out.mp4

In Python, `model.checkpoints.load_method` reads the file. It is safetensors: reading it runs no code.

**Intended for** research on face re-enactment: reproducing the paper, comparing methods and ablations, teaching, and
work on detecting synthetic video, with pictures of people who agreed to it.

**Not for** deceiving, impersonating, harassing or discrediting anyone; for pictures of people who did not agree, or
of children; for identifying people, or judging them by their faces; for any decision about a person.

## Responsible use

The model makes a person's picture show expressions that the person did not make. The paper's authors strongly oppose
misuse of the technique, and so do we. Ask the person in the photo and the person who drives. Say that the result is
synthetic wherever it is shown, visibly too: the tags that say so in the file are lost where a site compresses it again.
Take down what a person in it wants taken down. The law where you are may ask for more.
"""

LICENCE = """\
## Licence

The code is under the Apache License 2.0. Weights are bound by the licences of the videos they were trained on and by
the rights of the people in them: see `docs/licences.md` before passing them on.
"""

VIEWS = """\
- Views more than about half a radian from the front are guesses, since hardly anyone is filmed from there.
"""

LIMITS = """\
- Extreme poses and expressions fail, as the paper says of its own model: the data hold few.
- Hats, hands, microphones and backgrounds are not modelled; the background is black. Gaze follows only in part.
- How quality differs between ages, skins and cultures has not been measured. Expect it to be worse for people unlike
  those in the training videos.
"""


def card(method: Method, model: MethodModel, facts: Mapping[str, str], health: Mapping[str, Any] | None = None) -> str:
    """The card in Markdown. ``facts`` are a checkpoint's header: method, step, seed, clips, people, training (JSON).

    ``health`` holds figures as ``health.json`` names them; without it, the card gives none.
    """
    training = json.loads(facts.get("training", "{}"))
    parts = [f"# Model card: {facts.get('method', 'PlaneDict')}\n", summary(method, model), "## Training\n"]
    parts += [table(training_rows(method, model, facts, training))]
    if health:
        parts += ["## Held-out figures\n", table(figures(health)), "Definitions: `docs/metrics.md`.\n"]
    parts += [
        "## Limits\n",
        small_scale(model, facts.get("people", "")) + VIEWS * method.kind.views + LIMITS,
        USE,
        LICENCE,
        "## All settings\n",
    ]
    settings = {"model": model.model_dump(mode="json"), "training": training}
    return "\n".join([*parts, f"```json\n{json.dumps(settings, indent=2)}\n```\n"])


def summary(method: Method, model: MethodModel) -> str:
    """What the model is, in a paragraph."""
    return (
        "One photo of a face, driven by a video of another: the output shows the photo's person with the video's\n"
        f"expression and head pose. {method.summary(model)}\n"
    )


def training_rows(
    method: Method, model: MethodModel, facts: Mapping[str, str], training: Mapping[str, Any]
) -> dict[str, str]:
    """What the checkpoint was trained on, or the file that its weights were taken from, and how large it is."""
    rows = {"what a table may claim of it": facts.get("claim", UNKNOWN)}
    if "weights" in facts:
        return rows | {"weights": facts["weights"]} | method.sizes(model)
    rows |= {
        "trained on (samples are stretches of clips)": f"{facts.get('clips', UNKNOWN)} samples of"
        f" {facts.get('people', UNKNOWN)} people",
        "steps": steps(facts),
        "seed": facts.get("seed", UNKNOWN),
    }
    if "recipe" in training:
        rows["recipe"] = str(training["recipe"])
    return rows | method.sizes(model)


def steps(facts: Mapping[str, str]) -> str:
    """The steps of the training, and of the adversarial fine-tune where there was one."""
    done = facts.get("step", UNKNOWN)
    return f"{facts['pretrained_step']}, then {done} adversarial" if "pretrained_step" in facts else done


def small_scale(model: MethodModel, people: str) -> str:
    """The limits that come from a small training or a small model, as list items; empty where there are none."""
    limits = ""
    if people.isdigit() and int(people) < FEW:
        limits += (
            f"- It was trained on {people} {'person' if people == '1' else 'people'}: a photo of anyone else comes out"
            " as a blend of them, not as\n  that person.\n"
        )
    if model.resolution < 256:
        limits += f"- At {model.resolution}² pixels, skin, hair and teeth are blurred.\n"
    return limits


def figures(health: Mapping[str, Any]) -> dict[str, str]:
    """Rows of ``health.json``'s figures; those it lacks are left out."""
    rows = {}
    for name, words in HEALTH.items():
        value = health.get(name)
        if isinstance(value, Mapping):
            value = sum(value.values()) / len(value) if value else None
        if value is not None:
            rows[words] = f"{value:.2f}"
    return rows


def table(rows: Mapping[str, str]) -> str:
    """Two columns of Markdown without a heading."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), ""])


def write_card(
    path: Path, kind: Kind, model: MethodModel, facts: Mapping[str, str], health: Mapping[str, Any] | None = None
) -> None:
    """Write :func:`card` to ``path``, atomically."""
    text = card(method_of(kind.name), model, facts, health)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main(arguments: argparse.Namespace) -> None:
    """Write the card of a checkpoint."""
    from model.checkpoints import load_method

    health = None
    if arguments.health:
        try:
            health = json.loads(arguments.health.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{arguments.health} is not valid JSON: {error}.") from None
        if not isinstance(health, dict):
            raise InputError(f"{arguments.health} must hold the figures of health.json by name.")
    kind, network, facts = load_method(arguments.checkpoint)
    write_card(arguments.output, kind, network.settings, facts, health)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.card", description=__doc__)
    p.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="final.safetensors")
    p.add_argument("--health", type=Path, metavar="JSON", help="results/{run}/health.json of the same run")
    p.add_argument("--output", type=Path, required=True, metavar="FILE.md")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
