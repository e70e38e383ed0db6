"""Large files over HTTP: continued where they broke off, checked before they get their name, whole or not there at all.

requests and its retries (urllib3's ``Retry``: growing pauses, Retry-After, proxies of the environment) are in the lock
already; what no library there does is to continue a file: pooch, torch.hub and huggingface_hub for foreign addresses
start again. Of that only RFC 9110's range request is written here.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from preprocessing.cli import InputError, progress

# Loaded where something is downloaded: those who only ask for a file's place need not wait for it.
if TYPE_CHECKING:
    import requests

ATTEMPTS = 5
"""How often a request is answered by a refusal, or a transfer breaks off, before the download ends with a sentence."""
PAUSE = 1.0
"""Seconds before the second new request; doubled each time, unless the server says how long (Retry-After)."""
LONGEST_PAUSE = 120
"""Seconds waited at most between two requests, whatever the server says."""
STALLED = 30.0
"""Seconds without a connection or a byte after which a transfer counts as broken off."""
BLOCK = 1 << 16
LATER = (HTTPStatus.TOO_MANY_REQUESTS, *(status for status in HTTPStatus if status >= 500))
WEB_PAGE = ("text/html",)
"""Starts of the content types that are never the file itself."""


@dataclass(frozen=True)
class Patience:
    """How long a download goes on trying: tries, the pause before the second one and silence in seconds, and its speed.

    ``speed`` is the fastest transfer in bytes per second, None without a limit.
    """

    tries: int
    pause: float
    stalled: float
    speed: float | None = None


Why = Literal["refused", "broken", "timeout", "no-connection", "unreachable", "web-page", "too-large"]
"""Why a download fails."""


class DownloadError(InputError):
    """A download failed: ``why``, and the server's status where it refused."""

    def __init__(self, message: str, why: Why, status: int = 0) -> None:
        super().__init__(message)
        self.why = why
        self.status = status


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time bring ``path``; the others wait. A killed one holds nobody up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def download(
    url: str,
    path: Path,
    check: Callable[[Path], None],
    patience: Patience | None = None,
    refused: tuple[str, ...] = WEB_PAGE,
    most: int = sys.maxsize,
) -> None:
    """Bring the file at ``url`` to ``path``, by a ``.part`` beside it that a later call continues.

    ``check`` sees the whole file before it gets its name and raises InputError where it is the wrong one, which is
    then removed. ``refused`` are the starts of content types that are not the file, ``most`` the bytes that it may
    have. Raises DownloadError, one sentence that names the address, where the download fails, and InputError where the
    file cannot be written.
    """
    import requests
    from requests.adapters import HTTPAdapter, Retry

    patience = patience or Patience(ATTEMPTS, PAUSE, STALLED)
    part = path.with_name(f"{path.name}.part")
    retries = Retry(
        patience.tries - 1,
        status_forcelist=LATER,
        backoff_factor=patience.pause,
        backoff_max=LONGEST_PAUSE,
        retry_after_max=LONGEST_PAUSE,
        raise_on_status=False,
    )
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retries))
            for left in reversed(range(patience.tries)):
                broken = _transfer(session, url, part, patience, refused, most)
                if broken is None:
                    break
                if not left:
                    times = f"{url} broke off {patience.tries} times ({broken[0]})"
                    raise DownloadError(f"{times}; {_size(part)} bytes are kept for the next attempt.", broken[1])
    except requests.RequestException as error:
        words = f"Cannot download {url}: {_reason(error)}."
        why: Why = "no-connection" if _unconnected(error) else "timeout" if _timed_out(error) else "unreachable"
        raise DownloadError(words, why) from None
    except OSError as error:
        raise InputError(f"Cannot write {part}: {error.strerror}.") from None
    try:
        check(part)
    except InputError:
        _forget(part)
        raise
    with open(part, "rb") as stream:
        os.fsync(stream.fileno())
    part.replace(path)
    _forget(part)


Broken = tuple[str, Literal["broken", "timeout"]]
"""What broke a transfer off, in words and by kind."""


def _transfer(
    session: "requests.Session", url: str, part: Path, patience: Patience, refused: tuple[str, ...], most: int
) -> Broken | None:
    """One transfer into ``part``, from its end on where the server still has the same file; what broke it off, or None.

    The version (ETag, or the date) a part belongs to is kept beside it: parts of two versions are never joined, and a
    part of no known version is started again.
    """
    import requests

    version, start = _version(part), _size(part)
    known = version.read_text(encoding="utf-8") if start and version.is_file() else ""
    # Bytes as they are: lengths and ranges of a compressed answer would be of something else.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-", "If-Range": known} if known else {})
    with session.get(url, headers=headers, stream=True, timeout=patience.stalled) as answer:
        given = answer.headers.get("Content-Range", "")
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and given == f"bytes */{start}":
            return None  # it was whole, and killed before it got its name
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT and given.startswith(f"bytes {start}-"):
            mode = "ab"
        elif answer.status_code == HTTPStatus.OK:
            mode, start = "wb", 0
        elif known and answer.status_code in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            _forget(part)
            return f"it answers {given or 'no range'} when asked for the bytes from {start} on", "broken"
        else:
            words = f"it answers {answer.status_code} ({answer.reason})"
            raise DownloadError(f"Cannot download {url}: {words}.", "refused", answer.status_code)
        kind = answer.headers.get("Content-Type", "").lower()
        if kind.startswith(refused):
            page = "a web page" if kind.startswith("text/html") else kind
            words = f"{url} answers with {page}, not with a file: is there a page to sign in on the way?"
            raise DownloadError(words, "web-page")
        total = start + int(answer.headers.get("Content-Length") or 0)
        too_large = DownloadError(f"{url} has more than {most} bytes.", "too-large")
        if total > most:
            raise too_large
        with open(part, mode) as stream:
            if mode == "wb":
                version.write_text(_validator(answer.headers), encoding="utf-8")
            blocks = answer.iter_content(BLOCK)
            begun, received = time.monotonic(), 0
            try:
                for block in progress(blocks, part.stem, -(-(total - start) // BLOCK) or None):
                    received += len(block)
                    if start + received > most:
                        raise too_large
                    stream.write(block)
                    if patience.speed:
                        time.sleep(max(0.0, begun + received / patience.speed - time.monotonic()))
            except requests.RequestException as error:
                return _reason(error), "timeout" if _timed_out(error) else "broken"
    return None


def _validator(headers: Mapping[str, str]) -> str:
    """What an If-Range may name (RFC 9110, 13.1.5): the strong ETag, else the date of the last change, else nothing."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _version(part: Path) -> Path:
    """Where a part's version is kept."""
    return part.with_name(f"{part.name}.version")


def _size(part: Path) -> int:
    """Bytes of the part so far."""
    return part.stat().st_size if part.is_file() else 0


def _forget(part: Path) -> None:
    """Remove a part and its version."""
    part.unlink(missing_ok=True)
    _version(part).unlink(missing_ok=True)


def _cause(error: Exception) -> object:
    """The innermost cause of an error of requests."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return getattr(cause, "reason", None) or cause


def _unconnected(error: Exception) -> bool:
    """True when no connection came about: the name (or the proxy's) does not resolve, no way there, nobody listens."""
    from urllib3.exceptions import NewConnectionError

    cause = _cause(error)
    return isinstance(getattr(cause, "original_error", cause), NewConnectionError)


def _timed_out(error: Exception) -> bool:
    """True when it was the server's silence."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

    # A refused connection derives from a silent one there.
    cause = _cause(error)
    return isinstance(cause, ReadTimeoutError | ConnectTimeoutError) and not isinstance(cause, NewConnectionError)


def _reason(error: Exception) -> str:
    """The innermost cause of an error of requests, on one line."""
    return " ".join(str(_cause(error)).split()).rstrip(".")
