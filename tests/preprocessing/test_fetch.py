"""Fetching one shard: rows for every clip, retries of what may pass."""

import dataclasses
import json
from pathlib import Path

import pytest

from preprocessing import fetch
from preprocessing.downloads.store import Downloader
from preprocessing.fetch import Fetcher, FetchRow, main
from preprocessing.reasons import Dropped
from preprocessing.rows import read_rows
from preprocessing.settings import DatasetSettings, DownloadSettings
from preprocessing.sheets import SheetRow
from preprocessing.sheets import main as sheets


class Flaky:
    """A source that fails so many times."""

    def __init__(self, path: Path, failures: int, reason: str = "timeout") -> None:
        self.path, self.failures, self.reason = path, failures, reason

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        self.failures -= 1
        if self.failures >= 0:
            raise Dropped(self.reason, "raw words")
        return self.path

    def entries(self) -> list[object]:
        return []


def fetch_clip(sheet: SheetRow, source: Flaky, directory: Path, *earlier: FetchRow, **settings: object) -> FetchRow:
    block = DatasetSettings.model_validate({"source": {"kind": "embedded"}, "download": settings})
    downloader = Downloader(directory / "downloads", DownloadSettings())
    return Fetcher(block, source, downloader, directory, [sheet], list(earlier)).fetch(sheet)


def test_a_fetched_clip_is_described(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=12)
    row = fetch_clip(SheetRow("a", "a", file="a.mp4"), Flaky(path, 0), tmp_path)
    assert (row.kept, row.width, row.height, row.frames, row.fps) == (True, 64, 48, 12, 25.0)
    assert row.bytes == path.stat().st_size
    assert len(row.sha256) == 64


def test_failures_become_the_rows_reason(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4")
    row = fetch_clip(SheetRow("a", "a"), Flaky(path, 1), tmp_path)
    assert (row.status, row.stage, row.reason, row.detail) == ("dropped", "fetch", "timeout", "raw words")
    row = fetch_clip(SheetRow("a", "a", sha256="0" * 64), Flaky(path, 0), tmp_path)
    assert row.reason == "hash-mismatch"


def test_clips_dropped_before_are_not_tried(tmp_path: Path):
    sheet = SheetRow("a", "a", "dropped", "sheets", "duplicate")
    row = fetch_clip(sheet, Flaky(tmp_path, -1), tmp_path)
    assert (row.stage, row.reason) == ("sheets", "duplicate")


def test_a_rerun_retries_transient_failures_only(tmp_path: Path, make_video, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b"):
        make_video(folder / f"{name}.mp4", frames=12)
    (folder / "clips.csv").write_text("clip,person,split\na,a,train\nb,b,test\n")
    settings = json.dumps({"source": {"kind": "folder", "path": str(folder)}})
    sheet, output = tmp_path / "clips.parquet", tmp_path / "fetch" / "00000.parquet"
    sheets(["--dataset", "d", "--output", str(sheet), "--settings", settings])
    tries: list[str] = []
    failing = {"a.mp4": "server-error", "b.mp4": "private"}

    class Source:
        def bring(self, file: str, digest: str, directory: Path) -> Path:
            tries.append(file)
            if file in failing:
                raise Dropped(failing[file])
            return folder / file

    monkeypatch.setattr("preprocessing.fetch.open_source", lambda _: Source())
    arguments = ["--sheet", str(sheet), "--shard", "0", "--output", str(output), "--settings", settings]
    main(arguments)
    assert [row.reason for row in read_rows(output, FetchRow)] == ["server-error", "private"]
    stats = json.loads(output.with_suffix(".json").read_text())
    assert (stats["clips"], stats["kept"], stats["transient"]) == (2, 0, 1)
    failing.clear()
    tries.clear()
    main(arguments)
    rows = read_rows(output, FetchRow)
    assert tries == ["a.mp4"]
    assert [(row.reason, row.attempts) for row in rows] == [("", 2), ("private", 1)]


def test_what_a_retry_tries(tmp_path: Path, make_video, monkeypatch: pytest.MonkeyPatch):
    """A passing failure until its attempts are used up; nothing that is known for good, unless it is asked anew."""
    path = make_video(tmp_path / "a.mp4", frames=12)
    sheet = SheetRow("a", "a", file="a.mp4")
    row = fetch_clip(sheet, Flaky(path, 1), tmp_path)
    for attempts in (2, 3):
        row = fetch_clip(sheet, Flaky(path, 1), tmp_path, row, attempts=3)
        assert (row.reason, row.attempts) == ("timeout", attempts)
    assert fetch_clip(sheet, Flaky(path, 0), tmp_path, row, attempts=3) == row
    lost = fetch_clip(sheet, Flaky(path, 1, "removed"), tmp_path)
    assert fetch_clip(sheet, Flaky(path, 0), tmp_path, lost) == lost
    assert fetch_clip(SheetRow("a", "a", file="b.mp4"), Flaky(path, 0), tmp_path, lost).kept

    looked: list[Path] = []
    real = fetch.scan
    monkeypatch.setattr(fetch, "scan", lambda path, *rest: looked.append(path) or real(path, *rest))
    kept = fetch_clip(sheet, Flaky(path, 0), tmp_path)
    assert fetch_clip(sheet, Flaky(path, 0), tmp_path, kept) == kept and looked == [path]
    make_video(path, frames=15)
    assert fetch_clip(sheet, Flaky(path, 0), tmp_path, kept).frames == 15


def test_a_file_is_looked_into_as_far_as_its_clips_need(tmp_path: Path, make_video):
    """Counted in the file's frames, which a list of another rate is brought to; an open end needs the whole."""
    path = make_video(tmp_path / "a.mp4", frames=40)

    def frames(*rows: SheetRow) -> int:
        block = DatasetSettings.model_validate({"source": {"kind": "embedded"}})
        downloader = Downloader(tmp_path / "downloads", DownloadSettings())
        fetcher = Fetcher(block, Flaky(path, 0), downloader, tmp_path, list(rows), [])
        [known] = {fetcher.fetch(row).frames for row in rows}
        return known

    def clip(segments: str, rate: float = 0) -> SheetRow:
        return SheetRow(segments, "a", file="a.mp4", segments=segments, rate=rate)

    first, last = clip('[[0, 10, "train"]]'), clip('[[3, 5, "train"], [12, 18, "test"]]')
    assert (frames(first), frames(last), frames(first, last)) == (10, 18, 18)
    assert frames(first, clip('[[20, -1, "train"]]')) == frames(clip("[]")) == frames(clip('[[0, 90, "train"]]')) == 40
    assert frames(clip('[[0, 10, "train"]]', rate=12.5)) == 20


def test_missing_options_are_one_sentence(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--shard", "0"])
    assert capsys.readouterr().err.strip() == "--settings is missing."


def test_a_file_is_looked_into_as_far_as_a_list_that_starts_later_needs(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=60)  # at 25 per second
    sheet = SheetRow("a", "a", file="a.mp4", segments='[[2, 5, "train"]]', origin=1.0)
    assert fetch_clip(sheet, Flaky(path, 0), tmp_path).frames == 30
    earlier = fetch_clip(sheet, Flaky(path, 1), tmp_path)
    assert fetch_clip(dataclasses.replace(sheet, origin=2.0), Flaky(path, 0), tmp_path, earlier).asked != earlier.asked


def test_a_dropped_double_of_a_clip_does_not_replace_it(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4")
    kept, double = (
        SheetRow("a", "a", file="a.mp4"),
        SheetRow("a", "a", "dropped", "sheets", "duplicate", file="a.mp4"),
    )
    block = DatasetSettings.model_validate({"source": {"kind": "embedded"}})
    downloader = Downloader(tmp_path / "downloads", DownloadSettings())
    earlier: list[FetchRow] = []
    for _ in range(2):
        fetcher = Fetcher(block, Flaky(path, 0), downloader, tmp_path, [kept, double], earlier)
        earlier = [fetcher.fetch(row) for row in (kept, double)]
        assert [row.reason for row in earlier] == ["", "duplicate"]
