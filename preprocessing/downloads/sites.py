"""What all jobs of this machine know of one web site: when it was last asked, and whether it blocked the machine."""

import contextlib
import fcntl
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from preprocessing.files import cache_root
from preprocessing.reasons import Dropped
from preprocessing.settings import DownloadSettings


class LeftAlone(Dropped):
    """Nothing was asked of a site: it blocked this machine, or could not be reached, a short while ago."""


class Unreachable(LeftAlone):
    """No connection to the site came about, which says nothing of the file: several in a row, and it is left alone."""


class Forbidden(Dropped):
    """One file was refused with 403: several in a row are taken for a block of this machine."""


class Site:
    """One site's turn-taking, by a small file in the project's cache that its readers lock.

    It lies in the cache and not in a dataset's store since two datasets may come from one site, which counts the
    requests of the machine.
    """

    def __init__(self, url: str, settings: DownloadSettings) -> None:
        self.name = urlsplit(url).netloc.rpartition("@")[2].lower()  # without a password
        self.settings = settings
        self.path = cache_root() / "sites" / f"{re.sub('[^a-z0-9.-]', '_', self.name)}.json"

    def turn(self) -> None:
        """Return when this process may start a download; raises :class:`LeftAlone` while the site is left alone."""
        # Waiting holds no lock, so that others can say meanwhile how their downloads ended: a block ends the wait.
        while wait := self._wait():
            time.sleep(wait)

    def _wait(self) -> float:
        """Seconds after which to ask again, or 0 once the turn is taken."""
        with self._state() as state:
            now = time.time()
            # A clock that was set back must not make anybody wait longer than usual.
            if 0 <= now - state.get("blocked", -1e9) < self.settings.cooling_seconds:
                since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(state["blocked"]))
                if state.get("unreached"):
                    words = f"no connection to the site: {state['words']} ({since} UTC)"
                    raise LeftAlone("server-error", f"not asked: {words}")
                raise LeftAlone("blocked", f"not asked: {self.name} blocked this machine at {since} UTC")
            started = min(state.get("started", -1e9), now)
            wait: float = max(0.0, started + self.settings.throttle_seconds - now)
            state["started"] = started if wait else now
            return wait

    def refused(self, words: str, *, at_once: bool) -> None:
        """Count a refusal; one without doubt (``at_once``), or too many in a row, end all requests for a while."""
        with self._state() as state:
            state["refusals"] = state.get("refusals", 0) + 1
            if at_once or state["refusals"] >= self.settings.refusals:
                state |= {"blocked": time.time(), "words": words, "unreached": 0}

    def unreached(self, words: str) -> None:
        """Count a connection that did not come about; as many in a row as refusals end all requests for a while."""
        with self._state() as state:
            state["unreached"] = state.get("unreached", 0) + 1
            if state["unreached"] >= self.settings.refusals:
                state |= {"blocked": time.time(), "words": words}

    def answered(self) -> None:
        """The site answered as it should: refusals and missing connections are counted anew."""
        with self._state() as state:
            state |= {"refusals": 0, "unreached": 0}

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """The site's state under its lock, written back also after an error."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            try:
                state = dict(json.load(stream))
            except ValueError:  # new, or its writer was killed
                state = {}
            try:
                yield state
            finally:
                stream.seek(0)
                stream.truncate()
                json.dump(state, stream)
