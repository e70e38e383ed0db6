"""environment.yml, written from requirements.lock so that the conda and the pip way give the same packages.

``python -m workflow.environment`` rewrites the file; a test fails when the two disagree.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Written by `python -m workflow.environment` from requirements.lock; do not edit.
name: planedict
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - ffmpeg=7.1
  - pip
  - pip:
"""
# What submits jobs runs outside of conda; and pip, which cannot be told to overrule, would refuse the numpy beside it.
OUTSIDE = ("snakemake-executor-plugin-slurm",)
# `name==version \` at the start of a line; the hashes follow on indented lines.
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def locked(lock: Path = ROOT / "requirements.lock") -> dict[str, str]:
    """Package name (as the lock spells it) to exact version, in the lock's order."""
    return dict(PINNED.findall(lock.read_text(encoding="utf-8")))


def render(packages: dict[str, str]) -> str:
    """The text of environment.yml for these packages."""
    return HEADER + "".join(f"      - {name}=={version}\n" for name, version in packages.items() if name not in OUTSIDE)


def main() -> None:
    """Rewrite environment.yml."""
    (ROOT / "environment.yml").write_text(render(locked()), encoding="utf-8")


if __name__ == "__main__":
    main()
