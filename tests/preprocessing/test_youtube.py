"""yt-dlp as it is called here: its own downloads against a local server, its own errors for what YouTube answers.

YouTube itself is never reached.
"""

import errno
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from yt_dlp import YoutubeDL
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import (
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnavailableVideoError,
    UnsupportedError,
    UserNotLive,
)

from preprocessing.downloads import worker, youtube
from preprocessing.downloads.sites import Forbidden, LeftAlone, Unreachable
from preprocessing.reasons import Dropped
from preprocessing.settings import DownloadSettings
from preprocessing.video import scan
from tests.web_server import Web

SETTINGS = DownloadSettings(
    throttle_seconds=0, pause_seconds=0, request_seconds=0, stall_seconds=10, tries=2, wall_seconds=60
)
ADDRESS = "https://www.youtube.com/watch?v=aaaaaaaaaaa"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def video(web: Web, tmp_path: Path, make_video) -> bytes:
    """A video of some size at ``v.mp4``."""
    path = make_video(tmp_path / "v.mp4", frames=50, options=("-c:v", "libx264", "-qp", "0"))
    web.files["v.mp4"] = path.read_bytes()
    web.kinds["v.mp4"] = "video/mp4"
    return web.files["v.mp4"]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Through the real options, but for the extractors that a local server can answer."""
    monkeypatch.setattr(youtube, "EXTRACTORS", ["generic", "html5"])

    def call(url: str, folder: Path, **settings: float) -> Path:
        folder.mkdir(exist_ok=True)
        return youtube.bring(url, folder, SETTINGS.model_copy(update=settings))

    return call


def test_a_direct_address(bring, web: Web, tmp_path: Path, video: bytes):
    media = bring(f"{web.url}/v.mp4", tmp_path / "d")
    assert media.parent == tmp_path / "d" and media.read_bytes() == video and scan(media).frames == 50


def test_a_video_that_is_too_large(bring, web: Web, tmp_path: Path, video: bytes):
    """By what the server says, or by what came where it says nothing."""
    web.files["v.mp4"] = video + bytes(2 << 20)
    for endless in (False, True):
        web.endless = {"v.mp4"} if endless else set()
        with pytest.raises(Dropped) as raised:
            bring(f"{web.url}/v.mp4", tmp_path / "d", max_mb=1)
        assert raised.value.reason == "endless"


def test_a_page_with_a_video(bring, web: Web, tmp_path: Path, video: bytes):
    page = '<html><head><title>A talk</title></head><body><video src="/v.mp4"></video></body></html>'
    web.files["page.html"], web.kinds["page.html"] = page.encode(), "text/html"
    assert bring(f"{web.url}/page.html", tmp_path / "d").read_bytes() == video


def test_a_page_without_one_is_not_a_video(bring, web: Web, tmp_path: Path):
    web.files["page.html"], web.kinds["page.html"] = b"<html><body>nothing</body></html>", "text/html"
    with pytest.raises(Dropped, match="Unsupported URL") as raised:
        bring(f"{web.url}/page.html", tmp_path / "d")
    assert raised.value.reason == "not-a-video"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "removed"),
        (410, "removed"),
        (401, "private"),
        (403, "blocked"),
        (429, "rate-limit"),
        (503, "server-error"),
    ],
)
def test_what_a_server_answers(bring, web: Web, tmp_path: Path, status: int, reason: str):
    web.answers["v.mp4"] = (status, {})
    with pytest.raises(Dropped, match=f"HTTP Error {status}") as raised:
        bring(f"{web.url}/v.mp4", tmp_path / "d")
    assert raised.value.reason == reason and isinstance(raised.value, Forbidden) == (status == 403)


def test_silence_is_a_timeout_and_nobody_there_is_not(bring, web: Web, tmp_path: Path, video: bytes):
    web.drips["v.mp4"] = 5
    with pytest.raises(Dropped, match="timed out") as raised:
        bring(f"{web.url}/v.mp4", tmp_path / "d", stall_seconds=0.5)
    assert raised.value.reason == "timeout"
    with pytest.raises(Dropped, match="refused") as raised:
        bring("http://127.0.0.1:1/v.mp4", tmp_path / "d")
    assert raised.value.reason == "server-error"


def test_without_a_network_the_site_is_not_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """YouTube's own extractor, where no name resolves."""

    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(Unreachable, match="Temporary failure in name resolution") as raised:
        youtube.bring(ADDRESS, tmp_path, SETTINGS)
    assert raised.value.reason == "server-error"


def test_a_killed_download_is_continued(bring, web: Web, tmp_path: Path, video: bytes):
    web.faults = [("", 0, {}), ("stall", len(video) // 2, {})]
    folder = tmp_path / "d"
    folder.mkdir()
    code = (
        "from pathlib import Path\nfrom preprocessing.downloads import youtube\n"
        "from preprocessing.settings import DownloadSettings\nyoutube.EXTRACTORS = ['generic']\n"
        f"youtube.bring({web.url + '/v.mp4'!r}, Path({str(folder)!r}), DownloadSettings())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(part.stat().st_size for part in folder.glob("*.part")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    web.closing.set()
    [part] = folder.glob("*.part")
    kept, web.sent = part.stat().st_size, 0
    assert 0 < kept < len(video)
    assert bring(f"{web.url}/v.mp4", folder).read_bytes() == video
    assert web.asked[-1]["Range"] == f"bytes={kept}-"


class Answer(InfoExtractor):
    """Stands where YouTube's extractor does, and raises or returns what it is told."""

    _VALID_URL = r"https://www\.youtube\.com/watch\?v=(?P<id>[A-Za-z0-9_-]{11})"
    IE_NAME = "youtube"
    answer: object = None

    def _real_extract(self, url: str):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def answered(answer: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dropped:
    """What becomes of YouTube's ``answer``."""
    monkeypatch.setattr(Answer, "answer", answer)
    monkeypatch.setattr(YoutubeDL, "add_default_info_extractors", lambda self: self.add_info_extractor(Answer()))
    with pytest.raises(Dropped) as raised:
        youtube.bring(ADDRESS, tmp_path, SETTINGS)
    return raised.value


UNAVAILABLE = "Video unavailable"
HINT = "Use --cookies-from-browser or --cookies for the authentication."


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (f"Sign in to confirm you’re not a bot. {HINT}", "blocked"),
        (f"Sign in to confirm you're not a bot. {HINT}", "blocked"),
        ("All player responses are invalid. Your IP is likely being blocked by Youtube", "blocked"),
        (f"{UNAVAILABLE}. YouTube is requiring a captcha challenge before playback", "blocked"),
        (
            f"{UNAVAILABLE}. This content isn't available, try again later. The current session has been rate-limited "
            "by YouTube for up to an hour.",
            "rate-limit",
        ),
        (f"Private video. Sign in if you've been granted access to this video. {HINT}", "private"),
        (f"Sign in to confirm your age. This video may be inappropriate for some users. {HINT}", "private"),
        ("Join this channel to get access to members-only content like this video.", "private"),
        ("This video requires payment to watch", "private"),
        ("This video is DRM protected", "private"),
        ("The uploader has not made this video available in your country", "region"),
        (f"{UNAVAILABLE}. It has content from SME, who has blocked it in your country on copyright grounds", "region"),
        ("This video is no longer available because the YouTube account of its owner has been terminated.", "removed"),
        (f"{UNAVAILABLE}. This video is no longer available due to a copyright claim by SME", "removed"),
        ("This video has been removed by the uploader", "removed"),
        ("This video has been removed for violating YouTube's Terms of Service", "removed"),
        (f"{UNAVAILABLE}. This video isn't available anymore", "removed"),
        (UNAVAILABLE, "removed"),
        (f"{UNAVAILABLE}. This video is unavailable", "removed"),
        ("This live event will begin in 3 hours.", "live"),
        ("Premieres in 20 minutes", "live"),
        ("This live stream recording is not available.", "live"),
        # What YouTube also says to clients and machines it does not like.
        (f"{UNAVAILABLE}. This video is not available", "server-error"),
        (f"{UNAVAILABLE}. This content isn’t available.", "server-error"),
        ("The following content is not available on this app.. Watch on the latest version of YouTube", "server-error"),
        ("Please sign in", "server-error"),
        ("Something that nobody has ever read", "server-error"),
    ],
)  # fmt: skip
def test_what_youtube_says(message: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The reason, and the raw words in any case."""
    error = ExtractorError(message, expected=True, video_id="aaaaaaaaaaa", ie="youtube")
    dropped = answered(error, tmp_path, monkeypatch)
    assert dropped.reason == reason
    assert " ".join(message.split()) in dropped.detail and "aaaaaaaaaaa" in dropped.detail
    assert not isinstance(dropped, Forbidden)


def response(status: int) -> HTTPError:
    return HTTPError(Response(fp=None, url=ADDRESS, headers={}, status=status))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GeoRestrictedError("Not here", countries=["DE"]), "region"),
        (UserNotLive(video_id="aaaaaaaaaaa"), "server-error"),
        (UnsupportedError(ADDRESS), "not-a-video"),
        (ExtractorError("Unable to download webpage", cause=response(429), expected=True), "rate-limit"),
        (ExtractorError("Unable to download API page", cause=response(403), expected=True), "blocked"),
        (ExtractorError("Unable to download API page", cause=response(500), expected=True), "server-error"),
        (ExtractorError("Unable to download", cause=TransportError("Read timed out."), expected=True), "timeout"),
        (ExtractorError("Unable to download webpage", cause=IncompleteRead(3, 4), expected=True), "server-error"),
        (ExtractorError("Unable to extract nsig function code"), "server-error"),
        ({"id": "a", "title": "t", "url": "http://127.0.0.1:1/v.mp4", "is_live": True}, "live"),
        ({"id": "a", "title": "t", "url": "http://127.0.0.1:1/v.mp4", "live_status": "is_upcoming"}, "live"),
        ({"id": "a", "title": "t", "formats": []}, "server-error"),
    ],
)  # fmt: skip
def test_errors_by_class(error: object, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dropped = answered(error, tmp_path, monkeypatch)
    assert dropped.reason == reason and dropped.detail and "please report" not in dropped.detail
    assert isinstance(dropped, Forbidden) == ("403" in dropped.detail)


def test_a_check_for_bots_ends_all_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """At once, while three 403 in a row are needed for the same."""
    asked = []

    def check(url: str, folder: Path, settings: DownloadSettings) -> Path:
        asked.append(url)
        raise Dropped("blocked", "Sign in to confirm you’re not a bot.")

    monkeypatch.setattr(youtube, "bring", check)
    for name, kind in (("a", Dropped), ("b", LeftAlone)):
        with pytest.raises(Dropped) as raised:
            worker.bring(ADDRESS, tmp_path / f"{name}.mp4", SETTINGS, lambda: None)
        assert type(raised.value) is kind and raised.value.reason == "blocked"
    assert asked == [ADDRESS]


def test_a_full_disk_is_not_the_videos_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    full = OSError(errno.ENOSPC, "No space left on device")

    def extract(*_: object) -> None:
        try:
            raise UnavailableVideoError(full) from full
        except UnavailableVideoError as error:
            raise DownloadError(str(error), sys.exc_info()) from None

    monkeypatch.setattr(YoutubeDL, "extract_info", extract)
    with pytest.raises(OSError, match="No space left"):
        youtube.bring(ADDRESS, tmp_path, SETTINGS)
    words = worker.answer(
        {"url": ADDRESS, "stored": str(tmp_path / "a.mp4"), "settings": SETTINGS.model_dump()}, lambda: None
    )
    assert words["state"] == "wrong" and "No space left" in words["sentence"]


@pytest.mark.parametrize(("height", "chosen"), [(480, "22"), (720, "136"), (1080, "137"), (144, "22"), (4000, "137")])
def test_pictures_only_of_the_wanted_size(height: int, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The next size not above the wanted one, else the lowest; never sound where there is a way around it."""
    monkeypatch.setattr(YoutubeDL, "add_default_info_extractors", lambda self: self.add_info_extractor(Answer()))
    sizes = {"140": None, "22": 360, "18": 360, "136": 720, "137": 1080}
    formats = [
        {
            "format_id": name,
            "url": f"http://127.0.0.1:1/{name}.mp4",
            "height": lines,
            "vcodec": "none" if lines is None else "avc1",
            "acodec": "mp4a" if name in ("140", "18") else "none",
        }
        for name, lines in sizes.items()
    ]
    monkeypatch.setattr(Answer, "answer", {"id": "a", "title": "t", "formats": formats})
    settings = SETTINGS.model_copy(update={"lines": height})
    with YoutubeDL(youtube.options(tmp_path, settings)) as library:
        assert library.extract_info(ADDRESS, download=False)["format_id"] == chosen


def test_nothing_from_outside_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No plugin, no configuration, no cookies, no command; the lock's node solves what YouTube asks for."""
    (tmp_path / "yt_dlp_plugins/extractor").mkdir(parents=True)
    (tmp_path / "yt_dlp_plugins/extractor/evil.py").write_text("raise SystemExit('a plugin was loaded')")
    (tmp_path / "yt-dlp.conf").write_text("--exec id")
    code = (
        "from pathlib import Path; from yt_dlp import YoutubeDL; from preprocessing.downloads import youtube\n"
        "from preprocessing.settings import DownloadSettings\n"
        "with YoutubeDL(youtube.options(Path('.'), DownloadSettings())) as library:\n"
        "    print(sorted(library._ies), library._js_runtimes['node'].info.supported)\n"
        "    print(len(library.cookiejar), any(library._pps.values()), library.params.get('exec_cmd'))"
    )
    environment = {"PYTHONPATH": f"{Path.cwd()}:{tmp_path}", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert told.stdout.split("\n")[:2] == ["['Youtube'] True", "0 False None"], told.stderr
