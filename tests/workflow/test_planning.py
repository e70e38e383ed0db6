"""What Snakemake plans, without running it: dry runs, lint, format, and mistakes in one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = {name: {"shards": 1} for name in ("voxceleb1", "voxceleb2", "talkinghead1kh", "ffhq")}


@pytest.mark.parametrize("name", ["mini", "demo", "paper", "scale"])
def test_every_configuration_plans(new_project, name):
    # Of the paper's datasets one shard each: how many there are test_plan counts, planning them takes a minute.
    options = ("--config", f"datasets={json.dumps(SMALL)}") if name == "paper" else ()
    jobs = new_project(f"workflow/config/{name}.yaml").jobs(options=options)
    # The paper's main method is trained in two stages.
    assert jobs["train_method"] == {"mini": 7, "demo": 9, "paper": 8, "scale": 1}[name]
    assert jobs.get("finetune_method", 0) == jobs.get("pretrain_method", 0) == (name == "paper")
    # And its action units and angles are read in an environment of their own.
    assert jobs.get("build_pyfeat", 0) == (name == "paper")
    read = jobs["score_pairs"] if name == "paper" else 0
    assert jobs.get("export_pictures", 0) == jobs.get("read_with_pyfeat", 0) == jobs.get("collect_readings", 0) == read
    assert jobs["make_tables"] == jobs["write_report"] == 1
    assert jobs["crop_clips"] == {"mini": 2, "demo": 2, "paper": 3, "scale": 256}[name]


def test_without_configfile_the_demo_alone(new_project):
    assert "results/demo/report.html" in new_project("").run(options=("-n",))


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("sheets", "write_sheet"),
        ("downloads", "fetch_clips"),
        ("crops", "crop_clips"),
        ("faces", "find_faces"),
        ("masks", "mask_regions"),
        ("shards", "account_for_clips"),
        ("agreement", "compare_detectors"),
        ("training", "train_method"),
        ("pairs", "choose_pairs"),
        ("reenactments", "reenact_pairs"),
        ("scores", "score_pairs"),
        ("tables", "make_tables"),
        ("figures", "draw_figures"),
        ("reference", "pool_tables"),
        ("recipe", "recipe_table"),
    ],
)
def test_partial_targets(project, target, last):
    jobs = project.jobs(target)
    assert last in jobs
    if target in ("shards", "pairs"):
        assert "train_method" not in jobs
    if target == "tables":
        assert "draw_figures" not in jobs and "write_report" not in jobs


def test_reference_trains_every_seed(project):
    assert project.jobs("reference")["train_method"] == 2 * 7


def test_own_clips_are_a_run_of_their_own(project):
    (project.folder / "my clips").mkdir()
    text = project.run(options=("-n", "--config", "clips=my clips"))
    assert "results/mini-my-clips/report.html" in text and "data/my-clips/" in text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("clips=nowhere", "clips=nowhere is not a folder."),
        ("clip=nowhere", "configuration: unknown key 'clip'."),
        ("sed=1", "configuration: unknown key 'sed' (did you mean 'seed'?)."),
        ("seed=x", "configuration: 'seed' = 'x' is wrong"),
        (
            "model={num_bases: 0}",
            "configuration: 'model.num_bases' = '0' is wrong: input should be greater than or equal to 1.",
        ),
        ("train_on=[other]", "configuration: train_on names 'other', which is not one of datasets"),
        ("evaluation={protocol: {frozen: lists}}", "evaluation.protocol.frozen: lists is not a folder"),
    ],
)
def test_mistakes_end_in_one_sentence(project, given, sentence):
    process = project.start(options=("-n", "--config", given))
    text, _ = process.communicate(timeout=600)
    lines = text.strip().splitlines()
    assert process.returncode != 0
    assert lines[-1].startswith(sentence)
    assert "Traceback" not in text and len(lines) == 1


def test_nested_settings_on_the_command_line(project):
    text = project.run("training", options=("-n", "-p", "--config", "model={num_bases: 3}"))
    assert '"num_bases": 3' in text and '"plane_resolution": 16' in text


def test_lint():
    command = [sys.executable, "-m", "snakemake", "--lint"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_rule_is_complete():
    """Log, benchmark, message, memory and environment in every rule that runs something."""
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for rule in path.read_text(encoding="utf-8").split("\nrule ")[1:]:
            for part in ("input:", "output:", "log:", "benchmark:", "message:", "mem_mb=", "conda:", "shell:"):
                assert part in rule, f"{path.name}: {rule.splitlines()[0]} lacks {part}"
            assert "run:" not in rule


def test_rules_hold_no_address_and_no_absolute_path():
    for path in [
        ROOT / "Snakefile",
        ROOT / "Makefile",
        *(ROOT / "workflow").rglob("*.smk"),
        *(ROOT / "workflow").rglob("*.yaml"),
    ]:
        if path.name == "datasets.yaml":  # the registry of lists: addresses belong there
            continue
        text = path.read_text(encoding="utf-8")
        # A bucket is a name, not an address.
        assert "://" not in text.replace("s3://", "") and '"/' not in text, path
