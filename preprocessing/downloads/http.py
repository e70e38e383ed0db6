"""One media file at an http(s) address: resumed where it broke off, and what went wrong as a reason."""

from http import HTTPStatus
from pathlib import Path

from preprocessing.download import DownloadError, Patience, download
from preprocessing.downloads.sites import Forbidden, Unreachable
from preprocessing.reasons import Dropped
from preprocessing.settings import DownloadSettings

NOT_MEDIA = ("text/html", "application/xhtml", "application/json", "image/")
"""Starts of content types that are no video. Others (text/plain, none at all) say nothing: the decoder decides."""

STATUSES: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "removed",
    HTTPStatus.GONE: "removed",
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: "region",
    HTTPStatus.UNAUTHORIZED: "private",
    HTTPStatus.PAYMENT_REQUIRED: "private",
    # Of one file it may mean anything; it is tried again, and several in a row are taken for a block.
    HTTPStatus.FORBIDDEN: "blocked",
    HTTPStatus.TOO_MANY_REQUESTS: "rate-limit",
    HTTPStatus.REQUEST_TIMEOUT: "timeout",
}
"""Reasons by the server's status; any other is a server's error."""

REASONS = {
    "broken": "server-error",
    "timeout": "timeout",
    "unreachable": "server-error",
    "web-page": "not-a-video",
    "too-large": "endless",
}
"""Reasons of what is not a refusal."""


def bring(url: str, folder: Path, settings: DownloadSettings) -> Path:
    """The file at ``url``, in ``folder``, where an unfinished one is continued; raises :class:`Dropped`."""
    speed = settings.kib_per_second and settings.kib_per_second * 1024
    patience = Patience(settings.tries, settings.pause_seconds, settings.stall_seconds, speed)
    media = folder / "media"
    try:
        download(url, media, lambda part: None, patience, NOT_MEDIA, most=settings.max_mb << 20)
    except DownloadError as error:
        if error.why == "no-connection":
            raise Unreachable("server-error", str(error)) from None
        if error.why != "refused":
            raise Dropped(REASONS[error.why], str(error)) from None
        kind = Forbidden if error.status == HTTPStatus.FORBIDDEN else Dropped
        raise kind(STATUSES.get(error.status, "server-error"), str(error)) from None
    return media
