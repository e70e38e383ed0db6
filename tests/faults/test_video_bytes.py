"""Damaged and hostile video files: always an answer, never another file's frames, never the network."""

import itertools
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from benchmarks.fuzz_video import damaged, make, outcome
from preprocessing.reasons import Dropped
from preprocessing.video import frame_times, frames, scan

FILES = 25


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make(tmp_path_factory.mktemp("videos"))


def test_whole_videos_of_every_kind_are_kept(videos: dict[str, bytes], tmp_path: Path):
    for name, data in videos.items():
        (tmp_path / name).write_bytes(data)
        assert outcome(tmp_path / name) == "kept", name
        assert scan(tmp_path / name).frames == 12


def test_damaged_videos_end_in_an_answer(videos: dict[str, bytes], tmp_path: Path):
    # benchmarks/fuzz_video.py does the same for minutes or hours
    found = set()
    for name, data in itertools.islice(damaged(videos, 0), FILES):
        (tmp_path / name).write_bytes(data)
        found.add(outcome(tmp_path / name))
    assert {"kept", "corrupt", "damaged"} <= found


def hostile(web: str, folder: Path) -> dict[str, bytes]:
    """Files that ask a player to open something else: an address, or a file beside or elsewhere."""
    secret, escaped = folder / "elsewhere/secret.mp4", "data:video/mp4;base64,AAAA"
    targets = [f"{web}/a.mp4", "secret.mp4", str(secret), f"file:{secret}", escaped, f"tcp://{web.partition('//')[2]}"]
    made = {}
    for number, target in enumerate(targets):
        made[f"hls{number}.mp4"] = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()
        made[f"master{number}.m3u8"] = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n".encode()
        made[f"concat{number}.mp4"] = f"ffconcat version 1.0\nfile '{target}'\n".encode()
        made[f"dash{number}.mp4"] = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles='
            '"urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
            f'<Representation id="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
        ).encode()
    host, _, port = web.partition("//")[2].partition(":")
    made["stream.mp4"] = (
        f"v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\nm=video {port} RTP/AVP 96\n".encode()
    )
    made["rtsp.mov"] = f"rtsptext\nrtsp://{host}:{port}/a\n".encode()
    return made


def test_a_file_that_points_elsewhere_is_dropped_and_nothing_is_opened(videos: dict[str, bytes], tmp_path: Path, web):
    web.files["a.mp4"] = videos["h264.mp4"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret.mp4").write_bytes(videos["h264.mp4"])
    (tmp_path / "secret.mp4").write_bytes(videos["h264.mp4"])
    for name, data in hostile(web.url, tmp_path).items():
        (tmp_path / name).write_bytes(data)
        for look in (scan, lambda path: list(frames(path)), frame_times):
            with pytest.raises(Dropped) as dropped:
                look(tmp_path / name)
            assert dropped.value.reason == "corrupt", name
    assert web.asked == []


def test_media_kept_outside_a_quicktime_file_are_not_opened(videos: dict[str, bytes], tmp_path: Path, web):
    """A QuickTime file may name another place (url) where its media lie; ours then has its own, as flag 0 denies."""
    whole = videos["rotated.mov"]
    web.files["a.mp4"] = whole
    (tmp_path / "other.mov").write_bytes(whole)
    moov = whole.index(b"moov")
    assert whole.index(b"mdat") < moov  # so that a longer moov moves no frame
    for target in (str(tmp_path / "other.mov").encode(), f"{web.url}/a.mp4".encode()):
        entry = b"url " + bytes(4) + target + b"\0"
        entry = (len(entry) + 4).to_bytes(4, "big") + entry
        place = whole.index(b"dref", moov) + 12
        old = int.from_bytes(whole[place : place + 4], "big")
        changed = bytearray(whole[:place] + entry + whole[place + old :])
        for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
            at = changed.rindex(name, 0, place) - 4
            changed[at : at + 4] = (int.from_bytes(changed[at : at + 4], "big") + len(entry) - old).to_bytes(4, "big")
        (tmp_path / "outside.mov").write_bytes(changed)
        assert scan(tmp_path / "outside.mov").frames == 12
    assert web.asked == []


def test_decoders_end_when_their_reader_is_killed(videos: dict[str, bytes], tmp_path: Path):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:duration=10"]
    subprocess.run([*command, "-preset", "ultrafast", str(tmp_path / "long.mp4")], check=True)
    script = (
        "import sys, time; from preprocessing.video import frames; stream = frames(sys.argv[1]); next(stream);"
        " print('reading', flush=True); time.sleep(600)"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "long.mp4")], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
    (decoder,) = psutil.Process(reader.pid).children()
    reader.kill()
    reader.wait()
    decoder.wait(timeout=30)
