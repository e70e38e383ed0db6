"""Soak: thousands of tiny clips really go from their addresses to shards, and every one of them is accounted for.

``python benchmarks/soak.py --folder DIR [--clips 10000] [--shards 24] [--cores 2]``. A few dozen pieces of the embedded
clips, and files that are broken in every usual way, are served under so many addresses by a web server on this
machine, which fails as planned. Downloads run until nothing is left to try again, as docs/downloading.md advises, then
the rest of the chain; then the account must say of every clip what the plan says. Killed, it goes on where it was.
Leaves ``soak.json`` and ``soak.md`` in the folder.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import imageio_ffmpeg
import numpy as np
import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

from evaluation.report.provenance import wall_times
from preprocessing.fetch import FetchRow
from preprocessing.files import write_json
from preprocessing.reader import ShardReader
from preprocessing.reasons import STAGES, TRANSIENT
from preprocessing.rows import read_rows
from preprocessing.sources.embedded import cache_directory
from preprocessing.video import frames

ROOT = Path(__file__).resolve().parent.parent

FRAMES, LINES, PIECES = 12, 180, 12
"""Frames and lines of a piece, and pieces of each of two clips."""

TRIES, ATTEMPTS = 3, 3
"""Requests that one run makes for a clip, and runs that try it."""

STEADY = 5
"""Largest mean change of a pixel from one frame to the next in a piece without a cut."""

PORT = 18080
"""The server's port: addresses stay the same when a killed soak goes on. Another one: ``--port``."""


class Kind(NamedTuple):
    """One kind of clip: how many of a thousand, what becomes of it, and how the server answers.

    ``refusals`` are answers with ``status`` before the file itself comes; ``cut`` breaks the body off instead.
    """

    share: int
    stage: str = ""
    reason: str = ""
    status: int = 0
    refusals: int = 0
    cut: bool = False
    media: str = "face"
    content: str = "video/mp4"


KINDS: dict[str, Kind] = {
    "face": Kind(0),
    "odd-name": Kind(50),
    "429-then-ok": Kind(20, status=429, refusals=1),
    "503-then-ok": Kind(20, status=503, refusals=1),
    "503-for-a-run": Kind(10, status=503, refusals=TRIES),
    "cut-for-a-run": Kind(10, refusals=TRIES, cut=True),
    "503-for-ever": Kind(5, "fetch", "server-error", 503, 1 << 30),
    "404": Kind(50, "fetch", "removed", 404, 1 << 30),
    "410": Kind(10, "fetch", "removed", 410, 1 << 30),
    "web-page": Kind(20, "fetch", "not-a-video", media="page", content="text/html"),
    "no-video": Kind(20, "fetch", "corrupt", media="noise"),
    "truncated": Kind(20, "fetch", "corrupt", media="truncated"),
    "empty": Kind(10, "fetch", "empty-file", media="empty"),
    "other-file": Kind(10, "fetch", "hash-mismatch"),
    "no-face": Kind(60, "crop", "no-face", media="pattern"),
    "too-short": Kind(30, "crop", "too-short", media="short"),
    "duplicate": Kind(20, "sheets", "duplicate"),
}
"""The plan; what is left of the thousand are plain faces."""

ODD = ("a b", "-dash", "$(date)", "näme", "日本", "quo'te", 'dou"ble', "semi;colon", "per%cent", "x" * 90, "new*star")
"""Parts of odd names."""


def steady(path: Path) -> bool:
    """Whether a piece has no cut: from frame to frame pixels change by a few steps on average."""
    pictures = np.stack([frame for _, frame in frames(path)]).astype(np.int16)
    return len(pictures) == FRAMES and float(np.abs(np.diff(pictures, axis=0)).mean((1, 2, 3)).max()) < STEADY


def media(folder: Path) -> dict[str, list[bytes]]:
    """Group → files: pieces of faces, a test pattern, short ones, and what is no video."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)

    def cut(name: str, source: list[str], frames: int) -> Path:
        path = folder / f"{name}.mp4"
        if not path.is_file():
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, "-frames:v", str(frames)]
            coding = ["-vf", f"scale=-2:{LINES}", "-an", "-c:v", "libx264", "-crf", "26", "-threads", "1"]
            subprocess.run([*command, *coding, str(path)], check=True)
        return path

    faces: list[bytes] = []
    short: list[bytes] = []
    for clip, seconds in (("franck", 190), ("cap12_edit", 45)):
        for _ in range(PIECES):
            while True:
                start = round(chance.uniform(1, seconds), 2)
                at = ["-ss", str(start), "-i", str(cache_directory() / f"{clip}.mp4")]
                piece = cut(f"{clip}-{start}", at, FRAMES)
                if steady(piece):
                    break
            faces.append(piece.read_bytes())
            short.append(cut(f"{clip}-{start}-short", at, 4).read_bytes())
    pattern = f"testsrc=size=240x{LINES}:rate="
    patterns = [cut(f"pattern-{n}", ["-f", "lavfi", "-i", f"{pattern}{24 + n}"], FRAMES) for n in range(4)]
    return {
        "face": faces,
        "short": short,
        "pattern": [path.read_bytes() for path in patterns],
        # Its index stands at the end, so that half an MP4 file says nothing of its frames.
        "truncated": [face[: len(face) // 2] for face in faces],
        "noise": [random.Random(n).randbytes(4000) for n in range(8)],
        "page": [b"<!doctype html><title>Not here any more</title>"],
        "empty": [b""],
    }


class Clip(NamedTuple):
    """One row of the list: its name, kind, number, and the path of its address."""

    name: str
    kind: str
    number: int
    path: str


def clips(count: int) -> list[Clip]:
    """The rows of the list, shuffled; duplicates repeat the name of a plain face that stands before them."""
    chance = random.Random(1)
    shares = {name: kind.share for name, kind in KINDS.items()}
    shares["face"] = 1000 - sum(shares.values())
    kinds = [name for name, share in shares.items() for _ in range(max(1, count * share // 1000))]
    kinds += ["face"] * (count - len(kinds))
    chance.shuffle(kinds)
    kinds.insert(0, kinds.pop(kinds.index("face")))
    listed: list[Clip] = []
    plain: list[Clip] = []
    for number, kind in enumerate(kinds):
        if kind == "duplicate":
            first = chance.choice(plain)
            listed.append(Clip(first.name, kind, number, first.path))
            continue
        name = f"{chance.choice(ODD)}-{number}" if kind == "odd-name" else f"clip{number:06d}"
        clip = Clip(name, kind, number, f"/{number}/{kind}/{quote(name, safe='')}.mp4")
        listed.append(clip)
        if kind == "face":
            plain.append(clip)
    return listed


class Server:
    """Serves the files under every clip's address and fails as planned; ``asked`` counts requests by path."""

    def __init__(self, files: dict[str, list[bytes]]) -> None:
        self.files = files
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()

    def body(self, number: int, kind: Kind) -> bytes:
        """What stands behind the address of clip ``number``."""
        found = self.files[kind.media]
        return found[number % len(found)]

    @contextmanager
    def running(self, port: int) -> Iterator[str]:
        """The server's address while the context lasts."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, number, name, _ = urlsplit(self.path).path.split("/", 3)
                kind = KINDS[unquote(name)]
                with server.lock:
                    server.asked[self.path] += 1
                    turn = server.asked[self.path]
                body = server.body(int(number), kind)
                if turn <= kind.refusals and kind.status:
                    self.answer(kind.status, {"Content-Length": "0", "Retry-After": "0"})
                    return
                self.answer(200, {"Content-Length": str(len(body)), "Content-Type": kind.content})
                self.wfile.write(body[: len(body) // 2] if turn <= kind.refusals else body)

            def answer(self, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as http:
            http.daemon_threads = True
            threading.Thread(target=http.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{port}"
            http.shutdown()


class Watch:
    """Memory of this process's children, all together: the largest sum of what each holds alone or shares (PSS)."""

    def __init__(self, every: float = 1.0) -> None:
        self.every, self.peak, self.end = every, 0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self.end.wait(self.every):
            held = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    held += child.memory_full_info().pss
                except psutil.Error:  # it ended meanwhile
                    continue
            self.peak = max(self.peak, held)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self.thread.join()


def write_list(path: Path, listed: list[Clip], server: Server, url: str) -> None:
    """The list as CSV: eight clips a person, every tenth person held out, every fifth file pinned by its sha256."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("clip", "person", "url", "split", "sha256"))
        for clip in listed:
            person = clip.number // 8
            digest = hashlib.sha256(server.body(clip.number, KINDS[clip.kind])).hexdigest()
            pinned = "0" * 64 if clip.kind == "other-file" else digest if clip.number % 5 == 0 else ""
            split = "test" if person % 10 == 0 else "train"
            writer.writerow((clip.name, f"person{person}", url + clip.path, split, pinned))


def write_config(path: Path, table: Path, shards: int) -> None:
    """The demo's configuration with the list in the place of its data."""
    values = yaml.safe_load((ROOT / "workflow/config/demo.yaml").read_text(encoding="utf-8"))
    # The throttle is for other people's servers, and the pauses as well.
    download = {"throttle_seconds": 0, "tries": TRIES, "attempts": ATTEMPTS, "pause_seconds": 0.05, "stall_seconds": 10}
    dataset = {"source": {"kind": "list", "path": str(table)}, "shards": shards, "download": download}
    values |= {"run": "soak", "datasets": {"clips": dataset}, "train_on": ["clips"], "test_on": ["clips"]}
    values["reference"] = {"seeds": 1}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def chain(target: str, folder: Path, cores: int) -> None:
    """One run of the chain up to ``target``; its words go to ``snakemake.log``."""
    command = [sys.executable, "-m", "snakemake", target, "--profile", str(ROOT / "workflow/profiles/local")]
    command += ["--directory", str(folder), "--cores", str(cores), "--configfile", str(folder / "soak.yaml")]
    # The cache holds what the downloader knows of a site.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PLANEDICT_CACHE": str(folder / "cache")}
    with open(folder / "snakemake.log", "a", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False)
    if done.returncode:
        words = (folder / "snakemake.log").read_text(encoding="utf-8")
        raise SystemExit(f"The chain ended with exit code {done.returncode}:\n{words[-4000:]}")


def waiting(folder: Path) -> int:
    """How many clips the next run would try to download again."""
    tables = (folder / "data/clips/fetch").glob("[0-9]" * 5 + ".parquet")
    rows = [row for table in tables for row in read_rows(table, FetchRow)]
    return sum(row.reason in TRANSIENT and row.attempts < ATTEMPTS for row in rows)


def read_account(folder: Path) -> dict[str, Any]:
    """The account as the last run left it."""
    value: dict[str, Any] = json.loads((folder / "results/soak/dataset/clips.json").read_text(encoding="utf-8"))
    return value


def entered(clip: Clip) -> str:
    """The name under which a clip is in the account: a row that repeats another's is named after its line too."""
    return f"{clip.name} (list.csv, line {clip.number + 2})" if clip.kind == "duplicate" else clip.name


def stage_times(folder: Path) -> dict[str, dict[str, float | int]]:
    """Jobs, seconds and memory by stage, of the last time that each shard was made."""
    return {name: facts for name, facts in wall_times([folder / "logs/data/clips"]).items() if name in STAGES}


def differences(listed: list[Clip], account: dict[str, Any], folder: Path) -> list[str]:
    """Where the account or the shards do not say what was planned; of a perfect run nothing."""
    planned = Counter((entered(clip), KINDS[clip.kind].stage, KINDS[clip.kind].reason) for clip in listed)
    found = Counter((clip["clip"], clip["stage"], clip["reason"]) for clip in account["clips"])
    wrong = [f"planned and not found: {row}" for row in (planned - found)]
    wrong += [f"found and not planned: {row}" for row in (found - planned)]
    if account["clips_in"] != account["kept"] + sum(account["dropped"].values()) or account["clips_in"] != len(listed):
        wrong.append("clips in are not kept and dropped together")
    samples = ShardReader(folder / "data/clips/shards").samples  # checks every tar's sha256
    kept = {clip.name for clip in listed if not KINDS[clip.kind].reason}
    if {sample.clip for sample in samples} != kept:
        wrong.append("the shards do not hold the clips that the account calls kept")
    return wrong


def main() -> None:
    """Make the clips, run the chain until nothing is left to try, compare, write what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where everything goes; may hold a killed soak")
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--port", type=int, default=PORT)
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    listed = clips(arguments.clips)
    server = Server(media(folder / "media"))
    history = folder / "runs.json"
    runs: list[dict[str, Any]] = json.loads(history.read_text()) if history.is_file() else []
    with server.running(arguments.port) as url:
        # Written once: a newer list would make every shard anew.
        if not (folder / "list.csv").is_file():
            write_list(folder / "list.csv", listed, server, url)
        write_config(folder / "soak.yaml", folder / "list.csv", arguments.shards)
        target = "downloads"
        while True:
            start, before = time.perf_counter(), psutil.Process().io_counters().write_bytes
            with Watch() as watch:
                chain(target, folder, arguments.cores)
            left = waiting(folder)
            runs.append(
                {
                    "target": target,
                    "seconds": time.perf_counter() - start,
                    "peak_mb": watch.peak / 1e6,
                    # Of every process that has ended: what it wrote counts for the one that started it.
                    "written_mb": (psutil.Process().io_counters().write_bytes - before) / 1e6,
                    "to_try_again": left,
                    "requests": server.asked.total(),
                    "stages": stage_times(folder),
                }
            )
            write_json(history, runs)
            if target == "shards":
                break
            target = "downloads" if left else "shards"
    account = read_account(folder)
    report(folder, listed, runs, differences(listed, account, folder), account)


def report(
    folder: Path, listed: list[Clip], runs: list[dict[str, Any]], wrong: list[str], account: dict[str, Any]
) -> None:
    """Write ``soak.json`` and ``soak.md`` and print the latter; differences end with exit code 1."""
    seconds = sum(run["seconds"] for run in runs)
    # What is kept of a stage is of its last time; of the downloads the first counts, since later ones repeat few.
    stages = runs[-1]["stages"] | {"fetch": runs[0]["stages"]["fetch"]}
    value = {
        "clips": len(listed),
        "seconds": round(seconds, 1),
        "clips_per_second": round(len(listed) / seconds, 2),
        "peak_mb": round(max(run["peak_mb"] for run in runs)),
        "written_mb": round(sum(run["written_mb"] for run in runs)),
        "kept": account["kept"],
        "dropped": account["dropped"],
        "differences": wrong,
        "runs": runs,
    }
    write_json(folder / "soak.json", value)
    lines = [
        f"{value['clips']} clips in {value['seconds']} s ({value['clips_per_second']} clips/s), {len(runs)} runs; "
        f"all processes together at most {value['peak_mb']} MB; {value['written_mb']} MB written.",
        "",
        "| kind | clips | planned |",
        "|---|---|---|",
        *(
            f"| {name} | {count} | {KINDS[name].reason or 'kept'} |"
            for name, count in Counter(clip.kind for clip in listed).most_common()
        ),
        "",
        "| stage | jobs | seconds | seconds a clip | MB of the largest job |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {facts['jobs']} | {facts['seconds']} | {facts['seconds'] / len(listed):.3f} "
            f"| {facts['max_rss_mib']} |"
            for name, facts in stages.items()
        ),
        "",
        f"Account: {account['clips_in']} in = {account['kept']} kept + {sum(account['dropped'].values())} dropped; "
        + ("each as planned." if not wrong else f"{len(wrong)} differences:"),
        *wrong[:20],
    ]
    (folder / "soak.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
