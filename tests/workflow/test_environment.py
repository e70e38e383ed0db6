"""The lock, environment.yml and requirements.in say the same; none of them names a machine."""

import re
from importlib import metadata

import pytest

from workflow.environment import ROOT, locked, render
from workflow.registered_files import PYFEAT_LOCK


def normal(name: str) -> str:
    """A package name as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_environment_and_lock_agree():
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == render(locked())


@pytest.mark.parametrize(("name", "least"), [("requirements.lock", 100), (PYFEAT_LOCK, 50)])
def test_every_locked_package_has_hashes_and_no_address(name, least):
    text = (ROOT / name).read_text(encoding="utf-8")
    stanzas = re.split(r"\n(?=\S)", text)
    assert len(stanzas) == len(locked(ROOT / name)) > least
    for stanza in stanzas:
        assert "--hash=sha256:" in stanza, stanza
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)


@pytest.mark.parametrize("lock", ["requirements.lock", PYFEAT_LOCK])
def test_every_requirement_is_locked(lock):
    wanted = (ROOT / lock).with_suffix(".in").read_text(encoding="utf-8").splitlines()
    names = {normal(re.split(r"[<>=!~\[; ]", line)[0]) for line in wanted if line and not line.startswith("#")}
    assert names <= {normal(name) for name in locked(ROOT / lock)}


def test_both_environments_share_one_torch():
    ours, theirs = locked(), locked(ROOT / PYFEAT_LOCK)
    assert [theirs[name] for name in ("torch", "torchvision")] == [ours[name] for name in ("torch", "torchvision")]


def test_the_running_environment_is_the_locked_one():
    for name, version in locked().items():
        assert metadata.version(name) == version, name


def test_the_project_is_not_installed():
    assert "planedict" not in {normal(distribution.name or "") for distribution in metadata.distributions()}


def test_makefile_finds_uv_in_the_lock():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    stanza = re.search(r"^uv==(?:.|\n)*?# via", text, re.MULTILINE)
    assert stanza and "--hash" in stanza[0] and stanza[0].count("==") == 1
