"""What a run was made of: hashes, versions, hardware, wall times."""

import hashlib
import json

import pytest

from evaluation.metrics.faces import DLIB_MODEL
from evaluation.report import provenance


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    shards = tmp_path / "data" / "embedded" / "shards"
    shards.mkdir(parents=True)
    (shards / "00000.json").write_text(json.dumps({"tar": "00000.tar", "sha256": "a" * 64, "samples": []}))
    weights = tmp_path / "results" / "demo" / "checkpoints" / "planedict" / "final.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    for name, seconds in (("train/planedict.tsv", 60.5), ("train/other.tsv", 20), ("tables.tsv", 1)):
        path = tmp_path / "bench" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:01:00\t-\n")
    return shards, weights, tmp_path / "bench"


def test_the_document(run, tmp_path):
    shards, weights, bench = run
    output = tmp_path / "provenance.json"
    arguments = ["--run", "demo", "--config", '{"label": "mini"}', "--shards", str(shards)]
    arguments += ["--checkpoints", str(weights), "--benchmarks", str(bench), "--output", str(output)]
    provenance.main(arguments)
    text = output.read_text()
    document = json.loads(text)
    assert set(document) == {"run", "config", "code", "packages", "weights", "data", "hardware", "wall_time"}
    assert document["config"] == {"label": "mini"} and document["data"] == {"embedded": {"00000.tar": "a" * 64}}
    assert document["weights"]["demo/planedict/final.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    assert len(document["weights"][DLIB_MODEL]) == 64 and document["packages"]["torch"]
    assert document["hardware"]["cores"] >= 1 and document["hardware"]["python"].startswith("3.")
    train = document["wall_time"]["train"]
    assert train == {"jobs": 2, "seconds": 80.5, "longest_seconds": 60.5, "max_rss_mib": 0.0}
    assert document["wall_time"]["tables"]["seconds"] == 1
    assert str(tmp_path) not in text  # nothing says where the project lies


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.code() == {"commit": None, "changed_files": None}


def test_a_folder_without_shard_indices_is_named(run, tmp_path, capsys):
    shards, _, _ = run
    (shards / "00001.json").write_text("{}")
    with pytest.raises(SystemExit):
        provenance.main(["--run", "x", "--config", "{}", "--shards", str(shards), "--output", str(tmp_path / "p.json")])
    assert "00001.json" in capsys.readouterr().err
