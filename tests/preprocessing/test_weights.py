"""Registered weights: where they lie, how they are checked, fetched and recorded."""

import concurrent.futures
import hashlib
import json
import re
import subprocess

import pytest
import torch

from preprocessing import weights
from preprocessing.cli import InputError
from preprocessing.files import cache_root
from preprocessing.registered import UNVERIFIED
from preprocessing.weights import Weights

NAME = "alexnet-owt-7be5be79.pth"
NET = b"n" * 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_the_registry_is_complete():
    for entry in weights.registry().values():
        assert entry.licence and entry.used_by and entry.url.startswith("https://")
        # A file of the Hugging Face hub, where names repeat, goes by its repository and its name.
        repository, _, file = entry.url.removeprefix("https://huggingface.co/").partition("/resolve/main/")
        assert (
            entry.gated
            or entry.url.endswith(f"/{entry.name}")
            or entry.name == f"{repository}/{file}".replace("/", "-")
        )
        if entry.sha256.startswith("prefix:"):
            # The publisher's own claim: the digits stand in the file's name.
            assert f"-{entry.expected}." in entry.name and len(entry.expected) >= 8
        else:
            assert entry.sha256 == UNVERIFIED or re.fullmatch("[0-9a-f]{64}", entry.sha256)


def test_the_page_has_the_registry_s_table():
    """docs/weights.md, row by row."""
    text = (weights.REGISTRY.parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| [")]
    known = {UNVERIFIED: "unverified"}
    assert rows == [
        [
            f"[`{entry.name}`]({entry.url})",
            entry.used_by,
            entry.licence,
            f"`{entry.expected}…`, from its name" if "prefix:" in entry.sha256 else known.get(entry.sha256, "whole"),
            "by hand" if entry.gated else "yes",
        ]
        for entry in weights.registry().values()
    ]


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("PLANEDICT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "planedict"
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"


def test_absent_and_wrong_files_have_their_reason(cache):
    assert "not in the cache" in weights.missing(NAME)
    (cache / NAME).write_bytes(b"something else")
    assert "sha256" in weights.missing(NAME)


def test_a_malformed_registry_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.tsv"
    path.write_text("name\turl\nx\ty\n")
    monkeypatch.setattr(weights, "REGISTRY", path)
    with pytest.raises(InputError, match="sha256"):
        weights.registry()


DIGEST = hashlib.sha256(NET).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def small(web, tmp_path, monkeypatch):
    """A registry of its own: ``small(name, sha256, gated=…)`` adds a row for a file that ``web`` serves."""
    table = tmp_path / "weights.tsv"
    table.write_text("\t".join(weights.COLUMNS) + "\n")
    monkeypatch.setattr(weights, "REGISTRY", table)

    def add(digest, name="small.pth", *, gated=False, size=""):
        web.files[name] = NET
        with table.open("a") as stream:
            stream.write(
                "\t".join((name, f"{web.url}/{name}", digest, size, "MIT", "yes" if gated else "no", "a test")) + "\n"
            )
        weights._registry.cache_clear()
        return weights.registry()[name]

    yield add
    weights._registry.cache_clear()


@pytest.mark.parametrize("digest", [DIGEST, f"prefix:{DIGEST[:8]}"])
def test_weights_are_fetched_once_and_checked(cache, small, web, digest):
    entry = small(digest, size="1000")
    assert entry.fetch() == cache / "small.pth" == weights.require("small.pth")
    assert entry.fetch().read_bytes() == NET and len(web.asked) == 1
    assert weights.missing("small.pth") is None and not entry.record.exists()


@pytest.mark.parametrize(
    ("digest", "size", "words"),
    [("f" * 64, "", f"sha256 {DIGEST}, not {'f' * 64}"), (DIGEST, "999", "1000 bytes, not of the 999")],
)
def test_a_wrong_download_gets_no_name(cache, small, web, digest, size, words):
    with pytest.raises(InputError, match=f"{web.url}/small.pth gave a file .*{words}"):
        small(digest, size=size).fetch()
    assert [path.name for path in cache.iterdir()] == [".small.pth.lock"]


def test_a_wrong_file_in_the_cache_is_named_and_replaced(cache, small):
    entry = small(DIGEST)
    entry.path.write_bytes(b"other")
    assert "another sha256 or size than registered" in weights.missing("small.pth")
    with pytest.raises(InputError, match=f"{entry.path} is a file with sha256 {OTHER}, not {DIGEST}"):
        weights.require("small.pth")
    entry.fetch()
    assert weights.missing("small.pth") is None


def test_an_unverified_file_is_held_to_the_first_one_seen(cache, small, web, caplog):
    entry = small(UNVERIFIED)
    entry.fetch()
    assert DIGEST in caplog.text and "small.pth" in caplog.text
    subprocess.run(["sha256sum", "--check", "--quiet", entry.record.name], cwd=cache, check=True)
    caplog.clear()
    assert weights.require("small.pth") == entry.path and not caplog.text
    both = f"sha256 {OTHER}, not {DIGEST} as recorded when small.pth was first seen"
    # Changed in the cache, then at its source.
    entry.path.write_bytes(b"other")
    for ask in (lambda: weights.require("small.pth"), lambda: entry.fetch()):
        with pytest.raises(InputError, match=f"{entry.path} is a file with {both}"):
            ask()
    assert "another sha256 than when first seen" in weights.missing("small.pth")
    entry.path.unlink()
    web.files["small.pth"] = b"other"
    with pytest.raises(InputError, match=f"{web.url}/small.pth gave a file with {both}"):
        entry.fetch()
    assert not entry.path.exists()


@pytest.mark.parametrize("ask", [weights.missing, weights.require])
def test_a_file_put_there_by_hand_is_recorded_when_it_is_seen(cache, small, caplog, ask):
    entry = small(UNVERIFIED, gated=True)
    entry.path.write_bytes(NET)
    ask("small.pth")
    assert entry.expected == DIGEST and DIGEST in caplog.text
    assert entry.fetch() == entry.path


def test_gated_weights_are_asked_for(cache, small, web, capsys):
    small(UNVERIFIED, gated=True)
    with pytest.raises(SystemExit):
        weights.main(["small.pth", "--fetch"])
    sentence = f"small.pth is gated: get it from {web.url}/small.pth (MIT) and put it at {cache / 'small.pth'}."
    assert capsys.readouterr().err.strip() == sentence and not web.asked


def test_two_at_once_download_once(cache, small, web):
    entry = small(DIGEST)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(Weights.fetch, [entry] * 4))
    assert found == [entry.path] * 4 and len(web.asked) == 1


def test_the_command_lists_states_and_fetches(cache, small, web, tmp_path, capsys):
    for name in ("here.pth", "unverified.pth", "wrong.pth", "absent.pth", "gated.pth"):
        digest = UNVERIFIED if name == "unverified.pth" else DIGEST
        entry = small(digest, name, gated=name == "gated.pth")
        if name != "absent.pth" and not entry.gated:
            entry.path.write_bytes(b"other" if name == "wrong.pth" else NET)

    def states(*arguments):
        weights.main(list(arguments))
        return dict(line.split(" (a test): ") for line in capsys.readouterr().out.splitlines())

    listed = states()
    assert listed["here.pth"] == "here" and listed["unverified.pth"] == "here, unverified"
    assert listed["wrong.pth"].startswith("wrong hash: ") and listed["absent.pth"].startswith("missing: ")
    assert listed["gated.pth"].startswith(f"gated: get it from {web.url}/gated.pth") and not web.asked
    assert set(states("absent.pth")) == {"absent.pth"}
    fetched = states("--fetch")
    assert fetched["wrong.pth"] == fetched["absent.pth"] == "here" and len(web.asked) == 2
    assert fetched["gated.pth"].startswith("gated: ")
    output = tmp_path / "marker.json"
    states("unverified.pth", "--fetch", "--output", str(output))
    facts = {"name": "unverified.pth", "sha256": DIGEST, "bytes": 1000, "verified": False}
    assert json.loads(output.read_text()) == facts


@pytest.mark.parametrize(
    ("arguments", "words"), [(["smal.pth"], "No weights 'smal.pth' are registered"), (["--output", "x"], "name it")]
)
def test_wrong_arguments_are_named(cache, small, capsys, arguments, words):
    small(DIGEST)
    with pytest.raises(SystemExit):
        weights.main(arguments)
    assert words in capsys.readouterr().err


def test_one_failure_does_not_keep_the_others_back(cache, small, web, capsys):
    small(DIGEST, "absent.pth")
    small(DIGEST)
    del web.files["absent.pth"]
    with pytest.raises(SystemExit):
        weights.main(["--fetch"])
    said = capsys.readouterr()
    assert (cache / "small.pth").is_file() and "small.pth (a test): here" in said.out and "404" in said.out
    assert said.err.strip().splitlines()[-1].startswith("Not fetched: absent.pth; ")


def test_foreign_files_cannot_run_code(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"x": pytest.approx}, path)
    with pytest.raises(InputError, match=r"evil\.pth"):
        weights.load(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="list"):
        weights.load(path)
