"""Environments beside the project's, for tools kept out of it: built once, in the cache, from a lock with hashes.

``python -m workflow.isolated workflow/envs/py-feat.lock`` builds one and prints its interpreter.
"""

import argparse
import fcntl
import logging
import subprocess
import sys
from pathlib import Path

from preprocessing.cli import InputError, add_common, run_command
from preprocessing.files import cache_root, sha256

log = logging.getLogger(__name__)


def ready(lock: Path) -> Path:
    """The file that is written last when the environment of ``lock`` is built; ``bin/python`` lies beside it.

    Another lock is another folder, so that nothing is ever changed in place.
    """
    return cache_root() / f"env-{lock.stem}-{sha256(lock)[:16]}" / "ready"


def build(lock: Path) -> Path:
    """Build the environment of ``lock`` unless it is there; returns its interpreter.

    Of several builders one works, the others wait and find it done. A killed one leaves no ``ready``: the next starts
    anew. Raises InputError where it cannot be installed.
    """
    done = ready(lock)
    folder = done.parent
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with open(folder.with_name(f"{folder.name}.lock"), "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if done.is_file():
            return python
        log.info("setting up the environment of %s in %s (once)", lock.name, folder)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        # As in the Makefile: uv is faster; where an index is set up for pip alone, pip does it. Both check every hash.
        wanted = ("--quiet", "--require-hashes", "-r", str(lock))
        if not _run(sys.executable, "-m", "uv", "pip", "install", "--system-certs", "--python", str(python), *wanted):
            log.info("uv cannot install %s; pip tries", lock.name)
            if not _run(str(python), "-m", "pip", "install", *wanted):
                raise InputError(f"The packages of {lock} cannot be installed into {folder}: the log says why.")
        done.touch()
    return python


def _run(*command: str) -> bool:
    """Whether a command ends well; what it says goes to standard error."""
    return subprocess.run(command, stdout=sys.stderr).returncode == 0


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m workflow.isolated", description=__doc__)
    parser.add_argument("lock", type=Path, help="packages with hashes, as `make lock` writes them")
    add_common(parser, settings=False)
    run_command(lambda arguments: print(build(arguments.lock)), parser, argv)


if __name__ == "__main__":
    main()
