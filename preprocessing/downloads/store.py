"""Downloaded media, kept beside the stages so that a rerun of fetch brings only what is missing."""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from preprocessing.cli import InputError
from preprocessing.downloads.sites import LeftAlone
from preprocessing.files import atomic
from preprocessing.reasons import Dropped
from preprocessing.settings import DownloadSettings

VIDEO = re.compile(r"https://www\.youtube\.com/watch\?v=[A-Za-z0-9_-]{11}")
"""The one form of address that is given to yt-dlp."""

LONGEST = 200
"""Most bytes of a file's name; a folder beside it has a longer one, and names end at 255."""


def check_name(file: str) -> None:
    """Raise :class:`Dropped` unless ``file`` is a plain name that can lie in a folder."""
    plain = file and Path(file).name == file and not file.startswith(".") and file.isprintable()
    if not plain or len(file.encode()) > LONGEST:
        raise Dropped("bad-name", f"{file!r} is not a plain file name")


def check_url(url: str) -> None:
    """Raise :class:`Dropped` unless ``url`` is a YouTube video's, or of a file on the web."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Dropped("bad-url", f"{url!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise Dropped("bad-url", f"{url!r} is not an http(s) address")
    if host.removeprefix("www.").removeprefix("m.") in ("youtube.com", "youtu.be") and not VIDEO.fullmatch(url):
        raise Dropped("bad-url", f"{url!r} is not https://www.youtube.com/watch?v= and an id of 11 characters")


def link(stored: Path, target: Path) -> None:
    """Give ``stored`` a second name, or copy it where the two lie on different file systems."""
    if target.exists() and target.samefile(stored):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(stored, target)
    except FileExistsError:  # by another job at the same time
        return
    except OSError:
        with atomic(target) as temporary:
            shutil.copyfile(stored, temporary)


class Downloader:
    """Brings urls into the folder ``store`` through a child process, which is started with the first one."""

    def __init__(self, store: Path, settings: DownloadSettings) -> None:
        self.store, self.settings = store, settings
        self.child: subprocess.Popen[str] | None = None
        self.answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.last_words = ""
        self.hearing: threading.Thread | None = None

    def __enter__(self) -> "Downloader":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def stored(self, file: str) -> Path:
        """Where the download named ``file`` lies, or will."""
        return self.store / file

    def bring(self, url: str, file: str, directory: Path) -> Path:
        """The media at ``url``, linked into ``directory`` as ``file``.

        A file of that name in the store is taken as it is. Raises :class:`Dropped`, and :class:`InputError` when
        nothing can be written, or the child cannot start.
        """
        check_name(file)
        if not self.stored(file).is_file():
            check_url(url)
            self._download(url, file)
        link(self.stored(file), directory / file)
        return directory / file

    def forget(self, file: str, directory: Path) -> None:
        """Remove a download that turned out to be broken, and its link in ``directory``."""
        for path in (self.stored(file), directory / file):
            path.unlink(missing_ok=True)

    def _download(self, url: str, file: str) -> None:
        child = self._child()
        assert child.stdin is not None
        stored = str(self.stored(file).absolute())
        job = {"url": url, "stored": stored, "settings": self.settings.model_dump(mode="json")}
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(job), file=child.stdin, flush=True)
        end = None
        while True:
            try:
                said = self.answers.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
            except queue.Empty:
                self._end()
                words = f"{url}: the download took more than {self.settings.wall_seconds:g} s"
                raise Dropped("timeout", words) from None
            if said is None:
                raise Dropped("server-error", f"{url}: {self._ended()}")
            if said["state"] == "started":
                end = time.monotonic() + self.settings.wall_seconds
            elif said["state"] == "failed":
                raise (Dropped if said["tried"] else LeftAlone)(said["reason"], said["detail"])
            elif said["state"] == "wrong":
                raise InputError(said["sentence"])
            else:
                return

    def _child(self) -> subprocess.Popen[str]:
        """The running child, or a new one that is ready; raises :class:`InputError` where none can be."""
        if self.child is None:
            self.child = child = subprocess.Popen(
                [sys.executable, "-m", "preprocessing.downloads.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # With a group of its own all that it starts ends with it.
                start_new_session=True,
                env=os.environ | {"TQDM_DISABLE": "1"},
            )
            answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
            self.answers = answers

            def listen() -> None:
                assert child.stdout is not None
                for line in child.stdout:
                    answers.put(json.loads(line))
                answers.put(None)

            def hear() -> None:
                assert child.stderr is not None
                for line in child.stderr:
                    self.last_words = line.strip() or self.last_words

            self.last_words = ""
            self.hearing = threading.Thread(target=hear, daemon=True)
            self.hearing.start()
            threading.Thread(target=listen, daemon=True).start()
            if answers.get() is None:  # not the clips' fault: none of them loses an attempt
                raise InputError(f"Nothing can be downloaded: {self._ended()}.")
        return self.child

    def _ended(self) -> str:
        """How the child ended, with its last words."""
        assert self.child is not None and self.hearing is not None
        code = self.child.wait()
        self._end()
        self.hearing.join()
        words = f" ({self.last_words.rstrip('.')})" if self.last_words else ""
        return f"the downloader ended with exit code {code}{words}"

    def _end(self) -> None:
        """Kill the child with all it started."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
            self.child = None
