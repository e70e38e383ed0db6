"""A folder and a few lines of configuration add a method: planned, trained, resumed, carded, re-enacted."""

import json
import sys

import pandas as pd
import pytest
import yaml

from evaluation import protocol, reenact
from model import baselines, train
from model.checkpoints import load_method, load_weights
from model.kinds import kinds
from preprocessing.cli import InputError
from tests.model import other
from workflow.plan import Plan
from workflow.settings import load


@pytest.fixture(autouse=True)
def added(monkeypatch):
    """The folder ``mixture``, as if it lay in ``model/baselines``."""
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, *other.__path__])
    kinds.cache_clear()
    yield
    kinds.cache_clear()
    for name in [name for name in sys.modules if name.startswith("model.baselines.mixture")]:
        del sys.modules[name]


def run(training, shards, folder):
    arguments = ["--kind", "mixture", "--shards", str(shards), "--method", "mixture", "--model", '{"resolution": 32}']
    arguments += ["--settings", json.dumps(training), "--output", str(folder), "--curves", str(folder / "c.parquet")]
    train.main(train.parser().parse_args(arguments))
    return load_method(folder / "final.safetensors")


def test_it_is_trained_by_the_same_loop_and_resumed(synthetic_shards, tmp_path):
    training = {"iterations": 40, "checkpoint_every": 20, "log_every": 10, "ema": 0, "final_decay": 0.5}
    kind, network, facts = run(training, synthetic_shards, tmp_path / "once")
    assert kind.name == "mixture" and facts["claim"] == "mini, trained here" and facts["step"] == "40"
    assert network.share < 0.1, "the driver's own frame is the answer"
    loss = pd.read_parquet(tmp_path / "once" / "c.parquet").set_index("step")["value"]
    assert list(loss.index) == [10, 20, 30, 40] and loss[40] < loss[10]
    assert "Source and driver are mixed." in (tmp_path / "once" / "card.md").read_text()
    run(training, synthetic_shards, tmp_path / "twice")
    (tmp_path / "twice" / "000040.pt").unlink()
    (tmp_path / "twice" / "final.safetensors").unlink()
    run(training, synthetic_shards, tmp_path / "twice")
    files = [(tmp_path / name / "final.safetensors").read_bytes() for name in ("once", "twice")]
    assert files[0] == files[1]
    with pytest.raises(InputError, match="of the kind mixture; this needs one of the kind planedict"):
        load_weights(tmp_path / "once" / "final.safetensors")


def test_it_is_re_enacted(synthetic_shards, tmp_path):
    run({"iterations": 2}, synthetic_shards, tmp_path)
    settings = '{"protocol": {"self_frames_per_clip": 3, "cross_pairs": 2, "multiview_pairs": 1}}'
    arguments = ["--shards", str(synthetic_shards), "--output", str(tmp_path / "pairs"), "--settings", settings]
    protocol.main(protocol.parser().parse_args(arguments))
    arguments = ["--shards", str(synthetic_shards), "--pairs", str(tmp_path / "pairs/cross.csv"), "--method", "mixture"]
    arguments += ["--checkpoint", str(tmp_path / "final.safetensors"), "--output", str(tmp_path / "out")]
    reenact.main(reenact.parser().parse_args(arguments))
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert index.groupby("motion").size().to_dict() == {"absolute": 2}


def test_the_configuration_names_it(tmp_path):
    methods = {"planedict": {"name": "PlaneDict"}, "mixed": {"name": "Mixture", "kind": "mixture"}}
    source = {"kind": "folder", "path": str(tmp_path)}
    config = {"datasets": {"d": {"source": source}}, "train_on": ["d"], "test_on": ["d"], "methods": methods}
    plan = Plan(load(yaml.safe_load(yaml.safe_dump(config))))
    assert plan.training("demo") and ("d", "mixed", "multiview") not in plan.tested()
    assert json.loads(plan.names())["claims"] == {"mixed": "mini, trained here"}
    methods["mixed"]["training"] = {"learning_rat": 1}
    with pytest.raises(InputError, match=r"training of 'mixed': unknown key 'learning_rat' \(did you mean"):
        load(config)
    methods["mixed"] = {"name": "Mixture", "kind": "mixtures"}
    with pytest.raises(InputError, match="no kind of method 'mixtures'"):
        load(config)
