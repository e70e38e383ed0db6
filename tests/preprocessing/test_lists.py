"""The registry of datasets and their lists, fetched from a server on this machine."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from preprocessing import lists
from preprocessing.cli import InputError
from preprocessing.registered import UNVERIFIED, blob
from preprocessing.settings import DatasetSettings, TalkingHead1KHSettings, VoxCeleb1Settings, VoxCeleb2Settings
from tests.preprocessing.lists_of_clips import FOMM_HEADER, FOMM_ROWS
from tests.web_server import Web

SHEET = "\n".join([FOMM_HEADER, *FOMM_ROWS]).encode()
GIT = hashlib.sha1(b"blob %d\0" % len(SHEET) + SHEET).hexdigest()


@pytest.fixture
def small(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A registry of its own, of a sheet that ``web`` serves; ``web.files`` may be changed."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    web.files["vox-metadata.csv"] = SHEET
    words = dict.fromkeys(("title", "page", "media", "licence", "use", "citation"), "x")
    record = {"url": f"{web.url}/vox-metadata.csv", "sha256": hashlib.sha256(SHEET).hexdigest(), "licence": "none"}
    other = {"url": f"{web.url}/other.zip", "sha256": f"git:{GIT}", "licence": "none"}
    values = {"datasets": {"voxceleb1": words | {"lists": {"vox-metadata.csv": record, "other.zip": other}}}}
    (tmp_path / "datasets.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.setattr(lists, "REGISTRY", tmp_path / "datasets.yaml")
    return web


def test_the_registry_is_complete() -> None:
    kinds = DatasetSettings.model_json_schema()["properties"]["source"]["discriminator"]["mapping"]
    assert set(lists.registry()) == set(kinds) - {"embedded", "folder", "list"}
    for record in lists.registry().values():
        assert record.page.startswith("https://") and record.licence and record.citation
    for entry in lists.lists().values():
        assert entry.url.startswith("https://") and entry.url.endswith(f"/{entry.name}") and not entry.gated
        # What lies in a repository is named at a commit, and its digest is known.
        assert (entry.sha256 == UNVERIFIED) == ("github" not in entry.url)


def test_a_list_is_fetched_once_checked_and_found(small: Web, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"missing: `python -m preprocessing\.lists vox-metadata\.csv --fetch`.* source\.lists"
    ):
        lists.find("vox-metadata.csv", None)
    output = tmp_path / "marker.json"
    for _ in range(2):
        lists.main(["vox-metadata.csv", "--fetch", "--output", str(output)])
    assert lists.find("vox-metadata.csv", None) == tmp_path / "cache/lists/vox-metadata.csv"
    assert json.loads(output.read_text())["verified"] and len(small.asked) == 1
    # A copy of the user's own stands in for it, whatever it holds.
    own = tmp_path / "own"
    own.mkdir()
    (own / "vox-metadata.csv").write_text("x")
    assert lists.find("vox-metadata.csv", own) == lists.find("vox-metadata.csv", own / "vox-metadata.csv")


def test_another_file_is_refused(small: Web, capsys: pytest.CaptureFixture[str]) -> None:
    small.files |= {"vox-metadata.csv": b"another", "other.zip": b"another"}
    for name, kind in (("vox-metadata.csv", "sha256"), ("other.zip", "git's digest")):
        with pytest.raises(SystemExit):
            lists.main([name, "--fetch"])
        assert f"{name} gave a file with {kind} " in capsys.readouterr().err
        assert not lists.registered(name).path.exists()
    del small.files["other.zip"]
    with pytest.raises(InputError, match=r"404 .*; or name a copy of yours as source\.lists in the configuration\.$"):
        lists.registered("other.zip").fetch()
    small.files["other.zip"] = SHEET
    lists.main(["other.zip", "--fetch"])
    assert lists.registered("other.zip").state() == "here"
    with pytest.raises(SystemExit):
        lists.main(["vox.csv"])
    assert "No list 'vox.csv' is registered: there are other.zip, vox-metadata.csv." in capsys.readouterr().err


def test_gits_digest_is_gits(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(SHEET)
    named = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True).stdout
    assert blob(path) == named.strip() == GIT


def test_only_lists_that_nobody_brings_are_needed() -> None:
    assert lists.needed(VoxCeleb1Settings(kind="voxceleb1")) == ("vox-metadata.csv",)
    assert lists.needed(VoxCeleb1Settings(kind="voxceleb1", clips="utterances")) == lists.UTTERANCES
    assert lists.needed(VoxCeleb1Settings(kind="voxceleb1", lists=Path("x"))) == ()
    assert lists.needed(VoxCeleb2Settings(kind="voxceleb2", path=Path("x"))) == ()
    assert lists.needed(TalkingHead1KHSettings(kind="talkinghead1kh")) == ("data_list.zip",)
    named = {*lists.UTTERANCES, lists.FOMM_SHEET, lists.TALKING_HEAD}
    assert named == set(lists.lists())
