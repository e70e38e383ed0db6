"""The pages: links lead somewhere, commands name targets that exist, and nothing names the machine it was made on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "results" / "README.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        made_later = target.startswith("results/reference") and not (ROOT / "results/reference").exists()
        if "://" not in target and not made_later:
            assert (page.parent / target).exists(), target


def test_pages_name_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text


def test_commands_name_targets_that_exist():
    rules = re.findall(r"^rule (\w+):", (ROOT / "Snakefile").read_text(encoding="utf-8"), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"snakemake ([a-z_]+)\b", text):
            assert target in rules, f"{page.name}: {target}"
        for target in re.findall(r"make (?:-s )?(demo|test|lint|python)\b", text):
            assert f"\n{target}:" in makefile


def test_modules_named_on_the_pages_exist():
    for page in PAGES:
        for module in re.findall(
            r"-m ((?:preprocessing|model|evaluation|workflow)(?:\.\w+)+)", page.read_text(encoding="utf-8")
        ):
            assert (ROOT / (module.replace(".", "/") + ".py")).exists(), f"{page.name}: {module}"


def test_nothing_names_a_machine():
    """No absolute path of somebody's machine in anything that is kept."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in listed or ["README.md"]:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".smk", ".yaml", ".toml", ".lock", ".in", ".json", ".csv"} and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w./])/(work|root|home|farm)/\w", text), name
