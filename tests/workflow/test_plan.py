"""The files a run consists of, without Snakemake."""

import json
import re
from pathlib import Path

import pytest
import yaml

from evaluation.external.pyfeat import WEIGHTS as PYFEAT_WEIGHTS
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import ALEXNET, BFM, FILES, INCEPTION
from model.settings import VGG19
from preprocessing.cli import InputError
from preprocessing.weights import BISENET, DEEP3D_LANDMARKS, DEEP3D_NETWORK, FAN, S3FD, registry
from workflow.plan import FEW, Plan
from workflow.settings import load, read

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"


@pytest.fixture
def plan():
    """The plan of mini.yaml."""
    return Plan(read(CONFIGS / "mini.yaml"))


def everything(plan, run):
    """All files of a run, in the order of the flow."""
    stages = ("sheets", "fetch", "crop", "faces", "masks", "shards")
    parts = (plan.training, plan.pairs, plan.reenactments, plan.scores, plan.tables, plan.figures, plan.report)
    return [path for stage in stages for path in plan.stage_everywhere(stage)] + [
        p for part in parts for p in part(run)
    ]


def test_no_file_is_made_twice_and_seeds_share_only_data(plan):
    first, second = everything(plan, "mini"), everything(plan, "mini-seed1")
    assert len(set(first)) == len(first)
    assert all(path.startswith("data/") for path in set(first) & set(second))


def test_shards_are_numbered_with_five_digits(plan):
    assert plan.shards("mini") == ["00000", "00001"]
    assert "data/mini/crop/00001.tubes.json" in plan.stage("crop", "mini")
    assert plan.stage("faces", "mini", "parquet") == ["data/mini/faces/00000.parquet", "data/mini/faces/00001.parquet"]


def test_contact_sheets_read_few_shards_unless_clips_are_named():
    paper = Plan(read(CONFIGS / "paper.yaml"))
    (dataset, *_) = paper.videos
    assert [len(paper.shards(name)) for name in paper.videos] == [48, 1280, 8]
    few = ["00000", "00001", "00002", "00003"]
    assert paper.shown_shards == FEW == len(few) and paper.shown_samples() == "--first 4"
    assert paper.media(dataset, FEW) == [f"data/{dataset}/fetch/{shard}" for shard in few]
    assert paper.stage("crop", dataset, "tubes.json", first=FEW) == [
        f"data/{dataset}/crop/{shard}.tubes.json" for shard in few
    ]
    assert len(paper.samples_of([dataset], FEW)) == 2 * FEW < len(paper.samples_of([dataset]))
    mini = Plan(read(CONFIGS / "mini.yaml"))
    assert mini.shown_shards is None and mini.shown_samples() == "--clips franck cap12_edit"


def test_ablation_rows_are_tested_across_identities_only(plan):
    tested = plan.tested()
    assert {protocol for _, method, protocol in tested if method.startswith(("planedict-", "without"))} == {"cross"}
    for method in ("copy", "planedict"):
        assert {protocol for _, name, protocol in tested if name == method} == {"self", "cross", "multiview"}


def test_the_copy_needs_no_weights_but_a_size(plan):
    assert plan.weights("mini", "copy") == []
    assert plan.method_arguments("copy", []) == "copy --resolution 48"
    wanted = "planedict --checkpoint a/final.safetensors --picture prediction"
    assert plan.method_arguments("planedict", ["a/final.safetensors"]) == wanted


def test_names_of_the_tables(plan):
    names = json.loads(plan.names())
    assert names["main"] == {"planedict": "PlaneDict", "fomm": "FOMM", "fomm-warped": "FOMM's warp"}
    assert names["claims"]["fomm"] == names["claims"]["fomm-warped"] and "mini" in names["claims"]["fomm"]
    assert "fomm-warped" not in json.loads(plan.names(plan.weighted))["main"]
    assert next(iter(names["ablation"].values())) == "without PlaneDict" and len(names["ablation"]) == 5


def test_only_methods_with_an_adversary_are_trained_in_two_steps(plan):
    assert plan.finetuned == [] and re.fullmatch(plan.one_of([]), "planedict") is None
    paper = Plan(read(CONFIGS / "paper.yaml"))
    assert paper.finetuned == ["planedict"] and "planedict" not in paper.trained_at_once
    assert re.fullmatch(paper.one_of(paper.trained_at_once), "planedict-5")


def test_a_sheet_depends_on_the_folder_only_where_it_is_there(tmp_path):
    folder = tmp_path / "clips"
    base = read(CONFIGS / "mini.yaml").model_dump(mode="json")
    source = {"clips": {"source": {"kind": "folder", "path": str(folder)}, "shards": 1}}
    plan = Plan(load(base | {"datasets": source, "train_on": ["clips"], "test_on": ["clips"]}))
    assert plan.source_files("clips") == []
    folder.mkdir()
    assert plan.source_files("clips") == [str(folder)]
    (folder / "clips.csv").touch()
    assert plan.source_files("clips") == [str(folder), str(folder / "clips.csv")]


def test_a_stage_is_given_only_the_settings_it_depends_on(plan):
    assert json.loads(plan.settings("evaluation", only=("backend",))) == {"backend": "embedded"}


@pytest.mark.parametrize(
    ("evaluation", "wanted"),
    [
        ({"backend": "embedded"}, []),
        ({"backend": "auto"}, []),  # nothing is built that nobody insists on
        ({"backend": "standard"}, ["py-feat"]),
        ({"backend": "embedded", "backends": {"prmse": "py-feat"}}, ["py-feat"]),
        ({"backend": "standard", "backends": {"aucon": "AUCON-geo", "prmse": "facemesh-pose"}}, []),
    ],
)
def test_detectors_with_an_environment_of_their_own_run_where_they_are_insisted_on(evaluation, wanted):
    base = read(CONFIGS / "mini.yaml").model_dump(mode="json")
    plan = Plan(load(base | {"evaluation": evaluation}))
    assert plan.external_readings() == wanted
    assert len(plan.all_readings("mini")) == len(plan.scores("mini")) * len(wanted)
    assert plan.readings("mini", "mini", "copy", "self") == [
        f"results/mini/readings/mini/copy/self/{name}.parquet" for name in wanted
    ]


def test_pairs_depend_on_frozen_lists(plan, tmp_path):
    assert plan.frozen("mini") == []
    values = plan.settings_.model_dump(mode="json")
    values["evaluation"]["protocol"]["frozen"] = str(tmp_path)
    (tmp_path / "mini").mkdir()
    lists = [str(tmp_path / "mini" / f"{name}.csv") for name in ("self", "cross", "multiview", "real")]
    for path in map(Path, lists):
        path.touch()
    assert Plan(load(values)).frozen("mini") == lists
    Path(lists[-1]).unlink()
    with pytest.raises(InputError, match=r"has no mini/real\.csv \(docs/metrics\.md"):
        load(values)


def planned(backend, **named):
    values = yaml.safe_load((CONFIGS / "mini.yaml").read_text(encoding="utf-8"))
    values["evaluation"] |= {"backend": backend, "backends": named}
    return Plan(load(values))


def test_weights_of_a_run(tmp_path, monkeypatch):
    """standard: all must be there; auto: those at hand are used, and others are fetched on request; embedded: none."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    standard, auto, embedded = map(planned, ("standard", "auto", "embedded"))
    gated = [name for name, entry in registry().items() if entry.gated]
    files = [name for key in METRICS if (backend := METRICS[key].standard) for name in FILES.get(backend, ())]
    assert {ALEXNET, INCEPTION, BFM} < set(files)
    assert standard.required_weights == standard.wanted_weights == [*files, *PYFEAT_WEIGHTS]
    assert standard.scoring_weights == files  # what py-feat's readings were made with, they say themselves
    # A gated file cannot be fetched, so nobody is made to look for it who did not ask for what needs it.
    assert (auto.required_weights, auto.scoring_weights) == ([], [])
    assert auto.wanted_weights == [name for name in files if name not in gated]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / ALEXNET).touch()
    assert auto.scoring_weights == [ALEXNET]
    # LPIPS and FID have no embedded backend.
    both = [ALEXNET, INCEPTION]
    assert (embedded.required_weights, embedded.wanted_weights, embedded.scoring_weights) == ([], both, [ALEXNET])
    for family in ("auto", "embedded"):
        assert planned(family, fid="pytorch-fid").required_weights == [INCEPTION]


def test_a_perceptual_loss_needs_vgg19_unless_its_file_is_named():
    paper, released = (yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in ("paper", "released"))
    paper["evaluation"]["backend"] = "embedded"
    paper |= {"crop": {}, "faces": {}, "masks": {}}
    paper["methods"] = {"planedict": {"name": "PlaneDict"}} | released["methods"]
    assert Plan(load(paper)).required_weights == [VGG19]
    paper["methods"]["released"]["training"]["released"] = {"vgg19": "mine.pth"}
    assert Plan(load(paper)).required_weights == []


def test_official_weights_are_asked_for_before_anything_heavy():
    paper, official = (yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in ("paper", "official"))
    assert "vox-adv-cpk.pth.tar" not in Plan(load(paper)).required_weights
    paper["methods"] |= official["methods"]
    plan = Plan(load(paper))
    wanted = {"vox-adv-cpk.pth.tar", "dagan-weights_19-encoder.pth", "dagan-weights_19-depth.pth"}
    assert wanted <= set(plan.required_weights) and VGG19 not in plan.required_weights
    curves = [path for path in plan.training("paper") if path.endswith(".parquet")]
    assert "results/paper/training/planedict.parquet" in curves and not any("official" in path for path in curves)
    assert "results/paper/checkpoints/fomm-official/final.safetensors" in plan.training("paper")
    assert all(claim.startswith("official weights") for claim in json.loads(plan.names())["claims"].values())


def test_each_stage_names_its_detectors_files_and_the_run_all():
    paper = yaml.safe_load((CONFIGS / "paper.yaml").read_text())
    plan = Plan(load(paper))
    assert plan.data_weights("crop") == [S3FD]
    assert plan.data_weights("faces") == [FAN, S3FD, DEEP3D_NETWORK, DEEP3D_LANDMARKS]
    assert plan.data_weights("masks") == [BISENET]
    everything = {S3FD, FAN, DEEP3D_NETWORK, DEEP3D_LANDMARKS, BISENET}
    assert set(plan.data_weights()) == everything <= set(plan.required_weights) <= set(plan.wanted_weights)
    assert BFM not in plan.data_weights()  # the pose needs no morphable model
    paper |= {"crop": {}, "faces": {}, "masks": {}}
    assert Plan(load(paper)).data_weights() == []


def test_a_dataset_changes_its_own_crop_and_nothing_else(plan):
    values = yaml.safe_load((CONFIGS / "mini.yaml").read_text())
    before = {name: plan.dataset(name) for name in values["datasets"]}
    values["datasets"]["mini"]["crop"] = {"min_size": 20}
    changed = Plan(load(values))
    assert json.loads(changed.crop("mini")) == json.loads(plan.crop("mini")) | {"min_size": 20}
    assert {name: changed.dataset(name) for name in values["datasets"]} == before  # nothing is fetched again
    values["datasets"]["mini"]["crop"] = {"backend": "sfd"}
    assert S3FD in Plan(load(values)).data_weights("crop")
    values["datasets"]["mini"]["crop"] = {"min_sise": 20}
    with pytest.raises(InputError, match=r"crop of 'mini': unknown key 'min_sise' \(did you mean 'min_size'\?\)"):
        load(values)


def test_how_media_are_downloaded_concerns_fetch_alone(plan):
    values = yaml.safe_load((CONFIGS / "mini.yaml").read_text())
    values["datasets"]["mini"]["download"] = {"throttle_seconds": 60, "attempts": 9}
    changed = Plan(load(values))
    assert changed.dataset("mini") == plan.dataset("mini") and changed.wanted("mini") == plan.wanted("mini")
    assert json.loads(changed.fetching("mini"))["download"]["attempts"] == 9
    values["datasets"]["mini"]["download"] = {"max_mb": 5}
    assert json.loads(Plan(load(values)).wanted("mini")) == json.loads(plan.wanted("mini")) | {"max_mb": 5}


def test_a_shard_whose_decoder_was_late_is_cropped_again(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "data/mini/crop/00000.again1.parquet"
    table.parent.mkdir(parents=True)
    table.touch()
    assert plan.again("crop", "mini", "00000") == [str(table.relative_to(tmp_path))]
    assert plan.again("fetch", "mini", "00000") == plan.again("crop", "mini", "00001") == []


def test_photos_have_no_clips_to_compare_detectors_on():
    plan = Plan(read(CONFIGS / "paper.yaml"))
    assert plan.photos == ["ffhq"]
    assert plan.agreements("paper") == [f"results/paper/dataset/{name}.agreement.json" for name in plan.videos]
