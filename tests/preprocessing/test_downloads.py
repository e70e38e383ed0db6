"""Downloads end to end: real small videos from a local web server that does what servers do, through the command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from preprocessing import fetch
from preprocessing.cli import InputError
from preprocessing.downloads import http, store, worker
from preprocessing.downloads.sites import LeftAlone, Site
from preprocessing.downloads.store import Downloader
from preprocessing.fetch import FetchRow
from preprocessing.reasons import Dropped
from preprocessing.retries import waiting
from preprocessing.rows import read_rows
from preprocessing.settings import DownloadSettings
from preprocessing.sheets import SheetRow, build, write_rows
from preprocessing.sources.entries import Entry
from tests.web_server import Web

QUICK = {"throttle_seconds": 0, "pause_seconds": 0, "stall_seconds": 10, "tries": 2}
BODY = np.random.default_rng(0).bytes(1 << 20)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of sites stays within a test."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory, make_video) -> dict[str, bytes]:
    """Small videos of the usual formats, by file name."""
    folder = tmp_path_factory.mktemp("videos")
    codecs = {"webm": ("-c:v", "libvpx"), "mp4": (), "mkv": ()}
    paths = [make_video(folder / f"v.{suffix}", 12, options=codec) for suffix, codec in codecs.items()]
    return {path.name: path.read_bytes() for path in paths}


class Shard:
    """One shard of a dataset whose clips have addresses, in a folder of its own."""

    def __init__(self, folder: Path, entries: list[Entry], **settings: object) -> None:
        self.sheet, self.output = folder / "sheets/clips.parquet", folder / "fetch/00000.parquet"
        self.store = folder / "downloads"
        self.settings = {"source": {"kind": "embedded"}, "download": QUICK | settings}
        write_rows(self.sheet, build(entries, 1), SheetRow)

    def arguments(self, output: Path | None = None) -> list[str]:
        words = ["--sheet", str(self.sheet), "--shard", "0", "--output", str(output or self.output)]
        return [*words, "--settings", json.dumps(self.settings)]

    def run(self) -> dict[str, FetchRow]:
        """Fetch; returns the rows by clip."""
        fetch.main(self.arguments())
        return {row.clip: row for row in read_rows(self.output, FetchRow)}

    def rerun(self) -> dict[str, FetchRow]:
        """Fetch as Snakemake does it again: outputs are removed first."""
        self.output.unlink()
        self.output.with_suffix(".json").unlink()
        for media in self.output.with_suffix("").iterdir():
            media.unlink()
        return self.run()


def clips(web: Web, *files: str) -> list[Entry]:
    """One clip for each file of the server."""
    return [Entry(file, file, "ann", ((0, -1, "train"),), url=f"{web.url}/{file}") for file in files]


def test_videos_are_downloaded_once_linked_and_described(web: Web, tmp_path: Path, videos):
    """Two clips of one download share it, in whatever format it is."""
    web.files |= videos
    entries = clips(web, *videos)
    shared = [Entry(f"mp4#{i}", "v.mp4", "ann", ((i, i + 5, "train"),), url=f"{web.url}/v.mp4") for i in range(2)]
    shard = Shard(tmp_path / "d", entries + shared)
    rows = shard.run()
    assert [row.reason for row in rows.values()] == [""] * 5
    assert Counter(web.paths) == dict.fromkeys(videos, 1)
    for row in rows.values():
        name = Path(row.path).name
        assert Path(row.path) == shard.output.with_suffix("") / name
        assert Path(row.path).samefile(shard.store / name) and Path(row.path).read_bytes() == videos[name]
        assert (row.width, row.height, row.frames, row.bytes) == (64, 48, 12, len(videos[name]))
    assert json.loads(shard.output.with_suffix(".json").read_text())["bytes"] == sum(map(len, videos.values()))
    assert sorted(path.name for path in shard.store.iterdir()) == sorted(videos)
    assert not waiting(shard.output.parent)


def test_what_servers_do_becomes_a_reason_with_their_words(web: Web, tmp_path: Path, videos):
    names = ("gone.mp4", "lost.mp4", "login.mp4", "broken.mp4", "short.mp4", "page.mp4", "picture.mp4", "noise.mp4")
    web.files |= dict.fromkeys((*names, "empty.mp4", "moved.mp4"), videos["v.mp4"]) | {"real.mp4": videos["v.mp4"]}
    web.files |= {"noise.mp4": BODY[:5000], "empty.mp4": b""}
    web.answers |= {"gone.mp4": (410, {}), "lost.mp4": (404, {}), "login.mp4": (401, {}), "broken.mp4": (503, {})}
    web.answers["moved.mp4"] = (302, {"Location": "/real.mp4"})
    web.missing["short.mp4"] = 100
    web.kinds |= {"page.mp4": "text/html; charset=utf-8", "picture.mp4": "image/png"}
    web.version = {}
    shard = Shard(tmp_path / "d", clips(web, *names, "empty.mp4", "moved.mp4"))
    rows = shard.run()
    assert {clip: row.reason for clip, row in rows.items()} == {
        "gone.mp4": "removed",
        "lost.mp4": "removed",
        "login.mp4": "private",
        "broken.mp4": "server-error",
        "short.mp4": "server-error",
        "page.mp4": "not-a-video",
        "picture.mp4": "not-a-video",
        "noise.mp4": "corrupt",
        "empty.mp4": "empty-file",
        "moved.mp4": "",
    }
    words = {"gone.mp4": "410", "login.mp4": "401", "broken.mp4": "503", "short.mp4": "broke off 2 times"}
    for clip, part in words.items():
        assert part in rows[clip].detail and f"{web.url}/{clip}" in rows[clip].detail
    # What is no video is not kept for a later run to trip over.
    assert sorted(path.name for path in shard.store.glob("*.mp4")) == ["moved.mp4"]


def test_only_passing_failures_are_tried_again(
    web: Web, tmp_path: Path, videos, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    web.files |= dict.fromkeys(("good.mp4", "late.mp4", "lost.mp4", "never.mp4"), videos["v.mp4"])
    web.answers |= {"late.mp4": (503, {}), "lost.mp4": (404, {}), "never.mp4": (503, {})}
    shard = Shard(tmp_path / "d", clips(web, "good.mp4", "late.mp4", "lost.mp4", "never.mp4"), attempts=3)
    first = shard.run()
    said = capsys.readouterr().err
    assert "shard 00000: 4 clips, 1 here, 1 dropped for good (removed 1), 2 may still come" in said
    assert "late.mp4 dropped: server-error: " in said
    table = waiting(shard.output.parent)["00000"]
    assert table.name == "00000.again1.parquet"
    looked: list[str] = []
    real = fetch.scan
    monkeypatch.setattr(fetch, "scan", lambda path, *rest: looked.append(path.name) or real(path, *rest))
    del web.answers["late.mp4"]
    web.paths.clear()
    second = shard.rerun()
    assert web.paths == ["late.mp4", "never.mp4", "never.mp4"] and looked == ["late.mp4"]
    assert {clip: (row.reason, row.attempts) for clip, row in second.items()} == {
        "good.mp4": ("", 1),
        "late.mp4": ("", 2),
        "lost.mp4": ("removed", 1),
        "never.mp4": ("server-error", 2),
    }
    assert second["good.mp4"] == first["good.mp4"] and Path(second["good.mp4"].path).is_file()
    # The table that this run has read stays, since it is an input of this run.
    assert [path.name for path in sorted(shard.output.parent.glob("*.again*"))] == [
        "00000.again1.parquet",
        "00000.again2.parquet",
    ]
    third = shard.rerun()
    assert (third["never.mp4"].reason, third["never.mp4"].attempts) == ("server-error", 3)
    assert "1 given up, their attempts are used up (server-error 1)" in capsys.readouterr().err
    # Its attempts are used up: no new table, so that nothing is run again.
    assert waiting(shard.output.parent)["00000"].name == "00000.again2.parquet"
    web.paths.clear()
    assert shard.rerun() == third and not web.paths[2:]


def test_a_server_that_asks_to_wait_is_obeyed_and_then_left_alone(web: Web, tmp_path: Path, videos):
    """429: tried again after what Retry-After says; when it persists, nobody asks the site any more for a while."""
    web.files |= dict.fromkeys(("a.mp4", "b.mp4", "c.mp4", "d.mp4"), videos["v.mp4"])
    web.refuse(429, Retry_After="0")
    shard = Shard(tmp_path / "d", clips(web, "a.mp4", "b.mp4", "c.mp4"))
    web.answers["b.mp4"] = (429, {"Retry-After": "0"})
    rows = shard.run()
    assert {clip: (row.reason, row.attempts) for clip, row in rows.items()} == {
        "a.mp4": ("", 1),
        "b.mp4": ("rate-limit", 1),
        "c.mp4": ("blocked", 0),
    }
    assert "not asked" in rows["c.mp4"].detail and "c.mp4" not in web.paths
    # Another job on this machine, of another dataset.
    web.paths.clear()
    other = Shard(tmp_path / "e", clips(web, "d.mp4")).run()
    assert other["d.mp4"].reason == "blocked" and not web.paths
    # After the cooling time it is asked again, and a refusal at once ends it again.
    shard.settings["download"] = QUICK | {"cooling_seconds": 0}  # type: ignore[operator]
    web.answers.clear()
    rows = shard.rerun()
    assert {clip: (row.reason, row.attempts) for clip, row in rows.items()} == {
        "a.mp4": ("", 1),
        "b.mp4": ("", 2),
        "c.mp4": ("", 1),
    }


def test_several_files_forbidden_in_a_row_are_a_block(web: Web, tmp_path: Path, videos):
    names = [f"{letter}.mp4" for letter in "abcdef"]
    web.files |= dict.fromkeys(names, videos["v.mp4"])
    web.answers |= {name: (403, {}) for name in ("a.mp4", "c.mp4", "d.mp4", "e.mp4")}
    rows = Shard(tmp_path / "d", clips(web, *names), refusals=3).run()
    assert [(row.reason, row.attempts) for row in rows.values()] == [
        ("blocked", 1),
        ("", 1),
        ("blocked", 1),
        ("blocked", 1),
        ("blocked", 1),
        ("blocked", 0),
    ]
    assert "f.mp4" not in web.paths


def test_without_a_connection_no_clip_loses_an_attempt(tmp_path: Path):
    """Nobody listens there."""
    names = [f"{letter}.mp4" for letter in "abcd"]
    entries = [Entry(name, name, "ann", ((0, -1, "train"),), url=f"http://127.0.0.1:1/{name}") for name in names]
    shard = Shard(tmp_path / "d", entries, refusals=3)
    rows = shard.run()
    assert {(row.reason, row.attempts) for row in rows.values()} == {("server-error", 0)}
    for name in names[:3]:
        assert f"http://127.0.0.1:1/{name}" in rows[name].detail and "refused" in rows[name].detail
    assert rows["d.mp4"].detail.startswith("not asked: no connection to the site: ")
    assert waiting(shard.output.parent)


def test_connections_that_fail_now_and_then_are_no_silence_of_the_site():
    site = Site("https://example.org/a", DownloadSettings(throttle_seconds=0, refusals=2, cooling_seconds=100))
    for _ in range(3):
        site.unreached("Failed to resolve")
        site.turn()
        site.answered()
    site.unreached("Failed to resolve")
    site.unreached("Failed to resolve")
    with pytest.raises(LeftAlone, match="no connection to the site: Failed to resolve") as raised:
        site.turn()
    assert raised.value.reason == "server-error"


def test_a_download_that_takes_too_long_is_killed_and_continued(web: Web, tmp_path: Path):
    """Every byte in time, the whole never: only the wall clock ends it. What came is kept."""
    web.files |= {"slow.bin": BODY[:400], "next.bin": BODY}
    web.drips["slow.bin"] = 0.02
    settings = DownloadSettings(**(QUICK | {"wall_seconds": 3}))
    with Downloader(tmp_path / "store", settings) as downloader:
        with pytest.raises(Dropped, match=r"slow.bin: the download took more than 3 s") as raised:
            downloader.bring(f"{web.url}/slow.bin", "slow.bin", tmp_path / "d")
        assert raised.value.reason == "timeout"
        # A hang does not hang the shard.
        assert downloader.bring(f"{web.url}/next.bin", "next.bin", tmp_path / "d").read_bytes() == BODY
        del web.drips["slow.bin"]
        assert downloader.bring(f"{web.url}/slow.bin", "slow.bin", tmp_path / "d").read_bytes() == BODY[:400]


def test_silence_is_a_timeout(web: Web, tmp_path: Path):
    web.files["a.bin"] = BODY
    for _ in range(2):
        web.stall(1000)
    with Downloader(tmp_path / "store", DownloadSettings(**(QUICK | {"stall_seconds": 0.5}))) as downloader:
        with pytest.raises(Dropped) as raised:
            downloader.bring(f"{web.url}/a.bin", "a.bin", tmp_path)
        assert raised.value.reason == "timeout"
    with Downloader(tmp_path / "store", DownloadSettings(**QUICK)) as downloader:
        assert downloader.bring(f"{web.url}/a.bin", "a.bin", tmp_path).read_bytes() == BODY


def test_a_killed_fetch_is_resumed(web: Web, tmp_path: Path, videos):
    """Killed in the middle of the second file: the first is not asked for again, of the second only the rest."""
    padded = videos["v.mkv"] + bytes(1 << 20)
    web.files |= {"a.mp4": videos["v.mp4"], "b.mkv": padded}
    shard = Shard(tmp_path / "d", clips(web, "a.mp4", "b.mkv"), stall_seconds=600)
    half = len(padded) // 2
    web.faults = [("", 0, {}), ("stall", half, {})]
    process = subprocess.Popen([sys.executable, "-m", "preprocessing.fetch", *shard.arguments()], stderr=-3)
    part = shard.store / "b.mkv.part/media.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size > half - (1 << 17)):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not shard.output.exists() and (shard.store / "a.mp4").exists() and not (shard.store / "b.mkv").exists()
    web.closing.set()  # the stalled answer ends
    kept, web.sent = part.stat().st_size, 0
    shard.settings["download"] = QUICK
    rows = shard.run()
    assert [row.reason for row in rows.values()] == ["", ""]
    assert Path(rows["b.mkv"].path).read_bytes() == padded
    assert Counter(web.paths) == {"a.mp4": 1, "b.mkv": 2} and web.sent == len(padded) - kept


@pytest.mark.parametrize("output", ["00000.parquet", "00001.parquet"])
def test_two_fetches_at_once_download_nothing_twice(web: Web, tmp_path: Path, videos, output: str):
    """Two runs of one shard, and two shards that share a store."""
    names = [f"{i}.mp4" for i in range(6)]
    web.files |= dict.fromkeys(names, videos["v.mp4"])
    shard = Shard(tmp_path / "d", clips(web, *names))
    outputs = (shard.output, shard.output.with_name(output))
    command = [sys.executable, "-m", "preprocessing.fetch"]
    running = [subprocess.Popen([*command, *shard.arguments(path)], stderr=subprocess.DEVNULL) for path in outputs]
    assert [process.wait() for process in running] == [0, 0]
    assert Counter(web.paths) == dict.fromkeys(names, 1)
    for path in outputs:
        rows = read_rows(path, FetchRow)
        assert all(row.kept and Path(row.path).read_bytes() == videos["v.mp4"] for row in rows)
    assert sorted(path.name for path in shard.store.iterdir()) == names


def test_a_file_that_is_in_the_store_is_not_asked_for(web: Web, tmp_path: Path, videos):
    """So a user's own copies take part, and no request is made for them."""
    shard = Shard(tmp_path / "d", clips(web, "v.mp4"))
    shard.store.mkdir(parents=True)
    (shard.store / "v.mp4").write_bytes(videos["v.mp4"])
    assert shard.run()["v.mp4"].kept and not web.paths


def test_a_copy_stands_in_for_a_link_across_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").write_bytes(b"media")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(store.os, "link", refuse)
    store.link(tmp_path / "a", tmp_path / "d" / "a")
    assert (tmp_path / "d" / "a").read_bytes() == b"media" and not (tmp_path / "d" / "a").samefile(tmp_path / "a")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a.mp4",
        "file:///etc/passwd",
        "http://",
        "http://[::1/a.mp4",
        "http://example.org/a b.mp4",
        "--exec=id",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch?v=aaaaaaaaaaa\n",
        "https://www.youtube.com/watch?v=aaaaaaaaaaa&list=b",
        "https://youtu.be/aaaaaaaaaaa",
        "http://www.youtube.com/watch?v=aaaaaaaaaaa",
    ],
)
def test_other_addresses_are_refused_before_anything_is_started(tmp_path: Path, url: str):
    downloader = Downloader(tmp_path, DownloadSettings())
    with pytest.raises(Dropped) as raised:
        downloader.bring(url, "a.mp4", tmp_path)
    assert raised.value.reason == "bad-url" and downloader.child is None


@pytest.mark.parametrize("file", ["../a.mp4", "/a.mp4", "a/b.mp4", ".a", "..", "", "a\0b", "a" * 201])
def test_a_file_name_cannot_leave_the_store(tmp_path: Path, file: str):
    with pytest.raises(Dropped) as raised:
        Downloader(tmp_path, DownloadSettings()).bring("http://127.0.0.1/a", file, tmp_path)
    assert raised.value.reason == "bad-name"


def test_one_name_for_two_addresses_is_a_mistake_of_the_sheet(web: Web, tmp_path: Path, capsys):
    entries = [*clips(web, "a.mp4"), Entry("b", "a.mp4", "ann", (), url=f"{web.url}/b.mp4")]
    with pytest.raises(SystemExit):
        Shard(tmp_path / "d", entries).run()
    assert "the file 'a.mp4' has two addresses" in capsys.readouterr().err


def test_what_cannot_be_written_ends_the_stage(web: Web, tmp_path: Path):
    """A full or read-only disk is not the fault of any clip."""
    web.files["a.bin"] = BODY
    (tmp_path / "store").write_text("a file where a folder should be")
    with (
        Downloader(tmp_path / "store", DownloadSettings(**QUICK)) as downloader,
        pytest.raises(InputError, match="store"),
    ):
        downloader.bring(f"{web.url}/a.bin", "a.bin", tmp_path)


def test_a_worker_that_dies_fails_one_clip(web: Web, tmp_path: Path):
    web.files["a.bin"] = BODY
    with Downloader(tmp_path / "store", DownloadSettings(**QUICK)) as downloader:
        os.kill(downloader._child().pid, signal.SIGKILL)
        with pytest.raises(Dropped, match="the downloader ended with exit code -9") as raised:
            downloader.bring(f"{web.url}/a.bin", "a.bin", tmp_path)
        assert raised.value.reason == "server-error"
        assert downloader.bring(f"{web.url}/a.bin", "a.bin", tmp_path).read_bytes() == BODY


def test_jobs_take_turns(monkeypatch: pytest.MonkeyPatch):
    """Of one site; a clock that jumps makes nobody wait longer than the throttle."""
    settings = DownloadSettings(throttle_seconds=5, cooling_seconds=100)
    clock, slept = [1000.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(time, "time", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", sleep)
    first, second = (Site("https://example.org/a", settings) for _ in range(2))
    first.turn()
    clock[0] += 2
    second.turn()
    Site("https://example.com/a", settings).turn()
    clock[0] -= 500
    first.turn()
    assert slept == [3, 5]
    first.refused("raw words", at_once=True)
    with pytest.raises(LeftAlone, match=r"example\.org blocked this machine"):
        second.turn()
    first.path.write_text('{"blocked": 1')  # a writer was killed
    second.turn()


def test_who_waits_holds_nobody_up_and_hears_of_a_block(monkeypatch: pytest.MonkeyPatch):
    settings = DownloadSettings(throttle_seconds=5)
    first, second = (Site("https://example.org/a", settings) for _ in range(2))
    first.turn()
    # While the second waits, the first's download is refused.
    monkeypatch.setattr(time, "sleep", lambda seconds: first.refused("raw words", at_once=True))
    with pytest.raises(LeftAlone, match=r"example\.org blocked this machine"):
        second.turn()


def test_a_download_s_time_starts_with_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Waiting for the site is before, and so it takes nothing of the clip's wall clock."""
    steps = []
    monkeypatch.setattr(Site, "turn", lambda self: steps.append("turn"))

    def bring(url: str, folder: Path, settings: DownloadSettings) -> Path:
        steps.append("bring")
        (folder / "media").touch()
        return folder / "media"

    monkeypatch.setattr(http, "bring", bring)
    worker.bring("http://127.0.0.1/a", tmp_path / "a", DownloadSettings(), lambda: steps.append("started"))
    assert steps == ["turn", "started", "bring"] and (tmp_path / "a").is_file()


def test_a_worker_that_cannot_start_costs_no_clip_an_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nsys.stderr.write('half an environment.\\n')\nos._exit(3)\n"
    )
    with (
        Downloader(tmp_path / "store", DownloadSettings(**QUICK)) as downloader,
        pytest.raises(
            InputError, match=r"downloaded: the downloader ended with exit code 3 \(half an environment\)\.$"
        ),
    ):
        downloader.bring("http://127.0.0.1/a", "a", tmp_path / "d")


def test_a_library_that_is_not_there_ends_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(url: str) -> None:
        raise ImportError("No module named 'yt_dlp'")

    monkeypatch.setattr(worker, "_library", missing)
    job = {"url": "http://127.0.0.1/a", "stored": str(tmp_path / "a"), "settings": {}}
    answer = worker.answer(job, lambda: None)
    assert answer == {"state": "wrong", "sentence": "No module named 'yt_dlp'."}


@pytest.mark.parametrize("length", [True, False])
def test_a_download_that_is_too_large_is_ended_and_not_kept(web: Web, tmp_path: Path, length: bool):
    """By what the server says, or by what came, where it says nothing and would never end."""
    web.files |= {"a.bin": BODY + b"one more", "b.bin": BODY}
    web.endless |= set() if length else {"a.bin"}
    shard = Shard(tmp_path / "d", clips(web, "a.bin", "b.bin"), max_mb=1)
    rows = shard.run()
    assert (rows["a.bin"].reason, rows["b.bin"].reason) == ("endless", "corrupt")
    assert rows["a.bin"].detail == f"{web.url}/a.bin has more than {1 << 20} bytes."
    assert not list(shard.store.iterdir()) and not waiting(shard.output.parent)
    # Of one size it is permanent; a larger limit tries it again.
    shard.settings["download"] = QUICK | {"max_mb": 2}  # type: ignore[operator]
    web.endless.clear()
    assert shard.run()["a.bin"].reason == "corrupt"


def test_a_broken_download_leaves_no_second_name(web: Web, tmp_path: Path):
    web.files["noise.mp4"] = BODY[:5000]
    shard = Shard(tmp_path / "d", clips(web, "noise.mp4"))
    assert shard.run()["noise.mp4"].reason == "corrupt"
    assert not list(shard.store.iterdir()) and not list(shard.output.with_suffix("").iterdir())


def test_a_wrong_hash_takes_no_file_from_another_clip(web: Web, tmp_path: Path, videos):
    web.files["v.mp4"] = videos["v.mp4"]
    wrong = Entry("wrong", "v.mp4", "ann", ((0, -1, "train"),), sha256="0" * 64, url=f"{web.url}/v.mp4")
    rows = Shard(tmp_path / "d", [*clips(web, "v.mp4"), wrong]).run()
    assert rows["wrong"].reason == "hash-mismatch" and rows["v.mp4"].kept
    assert Path(rows["v.mp4"].path).read_bytes() == videos["v.mp4"]
