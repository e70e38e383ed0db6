"""Take the authors' weights in place of training: ``python -m model.baselines.take`` writes what training would.

The checkpoint is compared with the settings key by key and shape by shape; reading it runs no code.
"""

import argparse
from pathlib import Path

from model.baselines.official import methods, put, read
from model.card import write_card
from model.checkpoints import save_weights
from model.kinds import kind_of
from preprocessing.cli import InputError, add_common, load_settings, run_command
from preprocessing.weights import located, named


def main(arguments: argparse.Namespace) -> None:
    """Write ``final.safetensors`` and ``card.md``."""
    kind = kind_of(arguments.kind)
    method = next((one for one in methods().values() if one.kind is kind), None)
    if method is None:
        raise InputError(f"No weights of the authors of {kind.name} can be taken.")
    settings = load_settings(arguments.model, kind.model, "model_params")
    kind.check(settings, None)
    network = method.build(settings)
    checkpoint = located(arguments.checkpoint)
    put(network, read(checkpoint), checkpoint, kind.name)
    method.complete(network)
    facts = {
        "method": arguments.method,
        "claim": kind.claim(settings, None),
        "weights": f"official: {named(checkpoint)}",
        "step": "0",
    }
    save_weights(arguments.output / "final.safetensors", network, facts, kind.name)
    write_card(arguments.output / "card.md", kind, settings, facts)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.baselines.take", description=__doc__)
    p.add_argument("--kind", required=True, help="kind of the method, such as fomm")
    p.add_argument("--model", metavar="JSON|FILE", help="the model's settings: ours, or the authors' YAML")
    p.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="the authors' .pth.tar: a registered name or a path"
    )
    p.add_argument("--method", required=True, help="the method's name, for the checkpoint's header")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="where final.safetensors and card.md go")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
