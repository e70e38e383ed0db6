"""The child process that downloads: ``python -m preprocessing.downloads.worker``, spoken to in lines of JSON.

Its first word is ``ready``. A job names url, file, store and settings. The answers are ``started`` once the download
has its turn, then ``done``, ``failed`` (reason, detail, whether the site was reached) or ``wrong`` (a
sentence that ends the stage). Its starter kills it, and all it started, when a download takes too long; when the
starter is gone it ends itself.
"""

import contextlib
import fcntl
import json
import os
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from preprocessing.cli import InputError
from preprocessing.downloads import http
from preprocessing.downloads.sites import Forbidden, LeftAlone, Site, Unreachable
from preprocessing.reasons import PERMANENT, Dropped
from preprocessing.settings import DownloadSettings

YOUTUBE = "https://www.youtube.com/"
"""Addresses that are brought by yt-dlp."""


def bring(url: str, stored: Path, settings: DownloadSettings, started: Callable[[], None]) -> None:
    """Bring ``url`` to ``stored`` unless it is there, by a folder beside it that a later call continues.

    One process at a time; ``started`` is called when it is this one's turn. Raises :class:`Dropped`.
    """
    with _workplace(stored) as folder:
        if stored.is_file():
            return
        site = Site(url, settings)
        site.turn()
        started()
        try:
            media = _library(url)(url, folder, settings)
        except Unreachable as dropped:
            site.unreached(dropped.detail)
            raise
        except Dropped as dropped:
            if dropped.reason in ("blocked", "rate-limit"):
                # A bot check, or 429 after all the waiting, leaves no doubt.
                site.refused(dropped.detail, at_once=not isinstance(dropped, Forbidden))
            elif dropped.reason in PERMANENT:
                site.answered()
                shutil.rmtree(folder)
            raise
        media.replace(stored)
        site.answered()


def _library(url: str) -> Callable[[str, Path, DownloadSettings], Path]:
    """What brings ``url``; yt-dlp takes a second to load."""
    if not url.startswith(YOUTUBE):
        return http.bring
    from preprocessing.downloads import youtube

    return youtube.bring


@contextlib.contextmanager
def _workplace(stored: Path) -> Iterator[Path]:
    """The folder in which ``stored`` comes into being, for one process at a time; it is gone once the file is there."""
    folder = stored.with_name(f"{stored.name}.part")
    with contextlib.ExitStack() as held:
        while not _locked(folder, held):
            pass
        try:
            yield folder
        finally:
            if stored.is_file():
                shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, held: contextlib.ExitStack) -> bool:
    """Lock ``folder``; False when another process finished meanwhile and removed it with its lock."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = held.enter_context((folder / ".lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name))
    except FileNotFoundError:
        return False


def answer(job: dict[str, Any], started: Callable[[], None]) -> dict[str, Any]:
    """Do one job; whatever goes wrong is an answer."""
    try:
        bring(job["url"], Path(job["stored"]), DownloadSettings.model_validate(job["settings"]), started)
    except Dropped as dropped:
        tried = not isinstance(dropped, LeftAlone)
        return {"state": "failed", "reason": dropped.reason, "detail": dropped.detail, "tried": tried}
    except (InputError, OSError, ImportError) as error:  # a full disk, or half an environment, is not the video's fault
        return {"state": "wrong", "sentence": f"{str(error).rstrip('.')}."}
    except Exception as error:  # of a library: the clip is tried again, the shard goes on
        words = f"{type(error).__name__}: {error}"
        return {"state": "failed", "reason": "server-error", "detail": words, "tried": True}
    return {"state": "done"}


def main() -> None:
    """Answer the jobs on standard input until it ends."""
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(json.loads(line))
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    say({"state": "ready"})
    while True:
        say(answer(jobs.get(), lambda: say({"state": "started"})))


if __name__ == "__main__":
    main()
