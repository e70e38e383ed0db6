"""The configuration: what is accepted, what is merged, and the sentence each mistake ends with."""

import json
from pathlib import Path

import pytest

from preprocessing.cli import InputError, read_mapping
from workflow.settings import load, read

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"
SMALL = {
    "datasets": {"embedded": {"source": {"kind": "embedded"}, "shards": 2}},
    "train_on": ["embedded"],
    "test_on": ["embedded"],
    "methods": {"planedict": {"name": "PlaneDict"}},
}


@pytest.mark.parametrize("name", ["mini", "demo", "paper", "scale", "recipe", "gpu"])
def test_kept_configurations_are_valid(name):
    assert read(CONFIGS / f"{name}.yaml").run == name


def test_paper_has_the_papers_numbers():
    run = read(CONFIGS / "paper.yaml")
    model, training = run.model_of("planedict"), run.training_of("planedict")
    assert (model.plane_channels, model.plane_resolution, model.num_bases) == (32, 256, 20)
    assert (model.identity_dim, model.motion_dim, model.motion_encoder) == (512, 512, None)
    assert (model.neural_rendering_resolution, model.resolution, model.superresolution) == (128, 256, True)
    render = model.render
    assert (render.coarse_samples + render.fine_samples, render.near, render.far) == (96, 2.25, 3.3)
    assert (render.box_side, render.aggregate, model.orthogonality) == (1.0, "sum", "channel")
    assert (training.recipe, training.learning_rate, training.plane_learning_rate) == ("paper", 1e-4, 1e-4)
    assert (training.lambda_recons, training.lambda_motion, training.lambda_mask) == (1.0, 1.5, 10.0)
    crop = run.crop
    assert (crop.iou, crop.increase, crop.min_frames, crop.max_frames, crop.min_size) == (0.25, 0.1, 64, 1024, 256)
    assert not crop.allow_padding and crop.every == 1
    assert [run.model_of(slug).num_bases for slug in run.ablation][1:] == [5, 10, 15, 20]
    assert run.model_of("without-planedict").motion == "generator"


@pytest.mark.parametrize("name", ["mini", "demo"])
def test_ablation_rows_share_one_budget(name):
    run = read(CONFIGS / f"{name}.yaml")
    assert len(run.ablation) == 5
    assert len({run.training_of(slug).model_dump_json() for slug in run.ablation}) == 1
    assert run.training_of("planedict-20").iterations < run.training_of("planedict").iterations


def test_scale_plans_a_hundred_thousand_clips_in_hundreds_of_shards():
    assert 200 <= read(CONFIGS / "scale.yaml").datasets["clips"].shards <= 1000


def test_methods_change_only_what_they_name():
    changes = {"a": {"name": "A", "model": {"render": {"coarse_samples": 7}}, "training": {"iterations": 3}}}
    run = load(SMALL | {"methods": changes, "model": {"render": {"fine_samples": 5}}})
    assert (run.model_of("a").render.coarse_samples, run.model_of("a").render.fine_samples) == (7, 5)
    assert run.model.render.coarse_samples == 48
    assert run.training_of("a").iterations == 3


def test_a_method_of_another_recipe_has_its_values_and_the_runs_own_changes():
    changes = {"a": {"name": "A", "training": {"recipe": "paper", "threads": 2}}}
    run = load(SMALL | {"methods": changes, "training": {"recipe": "robust", "iterations": 7}})
    training = run.training_of("a")
    assert (training.recipe, training.lambda_mask, training.weight_dis, training.rays) == ("paper", 10.0, 1.0, None)
    assert (training.iterations, training.threads, run.training.weight_dis) == (7, 2, 0.0)


def test_a_method_can_switch_a_block_on_and_off():
    own = {"resolution": 32, "width": 4}
    run = load(
        SMALL | {"model": {"motion_encoder": own}, "methods": {"a": {"name": "A", "model": {"motion_encoder": None}}}}
    )
    assert run.model.motion_encoder is not None and run.model_of("a").motion_encoder is None


def test_seeds_of_runs():
    run = load(SMALL | {"seed": 4})
    assert [run.seed_of(name) for name in run.reference_runs()] == [4, 5, 6]
    for wrong in ("demo-seed0", "demo-seed", "other", "demo-seed1x"):
        with pytest.raises(InputError, match="neither the run"):
            run.seed_of(wrong)


def test_more_clips_join_the_datasets(tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    run = load(SMALL | {"more_clips": str(folder)})
    assert run.train_on[-1] == "more" and run.test_on[-1] == "more" and len(run.datasets) == len(SMALL["datasets"]) + 1
    assert run.run == load(SMALL).run
    datasets = SMALL["datasets"] | {"more": {"source": {"kind": "embedded"}}}
    with pytest.raises(InputError, match="is there already"):
        load(SMALL | {"more_clips": str(folder), "datasets": datasets})


@pytest.mark.parametrize(
    ("model", "training", "words"),
    [
        ({"resolution": 96}, {"adversarial": {"real": "x"}}, "power of two, not 96"),
        ({}, {"recipe": "robust"}, "'rays' must be null"),
        ({"superresolution": False, "neural_rendering_resolution": 256}, {"recipe": "released"}, "superresolution"),
        ({"relative_codes": True}, {"recipe": "released"}, "relative_codes: false"),
    ],
)
def test_blocks_that_do_not_fit_each_other_are_refused_before_a_run(model, training, words):
    with pytest.raises(InputError, match=words):
        load(SMALL | {"model": model, "training": training})


def test_own_clips_become_a_run_of_their_own(tmp_path):
    folder = tmp_path / "my clips (2)"
    folder.mkdir()
    run = load(SMALL | {"clips": str(folder)})
    assert (run.run, run.train_on, run.test_on) == ("demo-my-clips-2", ["my-clips-2"], ["my-clips-2"])
    assert run.datasets["my-clips-2"].source.path == folder


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sed": 1}, "configuration: unknown key 'sed' (did you mean 'seed'?)."),
        ({"quux": 1}, "configuration: unknown key 'quux'."),
        ({"model": {"num_base": 3}}, "configuration: unknown key 'model.num_base' (did you mean 'num_bases'?)."),
        ({"model": {"render": {"neer": 1}}}, "configuration: unknown key 'model.render.neer' (did you mean 'near'?)."),
        (
            {"datasets": {"mine": {"source": {"kind": "embedded"}, "download": {"throttle": 3}}}},
            "configuration: unknown key 'datasets.mine.download.throttle' (did you mean 'throttle_seconds'?).",
        ),
        ({"seed": "x"}, "configuration: 'seed' = 'x' is wrong"),
        ({"seed": -1}, "configuration: 'seed' = -1 is wrong: input should be greater than or equal to 0."),
        ({"train_on": ["x"]}, "configuration: train_on names 'x', which is not one of datasets (embedded)."),
        ({"datasets": {"../x": {"source": {"kind": "embedded"}}}}, "configuration: 'datasets.../x"),
        ({"run": "a/b"}, "configuration: 'run' = 'a/b' is wrong"),
        ({"model": None}, "configuration: 'model' = None is wrong"),
        ({"methods": {"a": {"name": "A", "model": {"num_basis": 2}}}}, "model of 'a': unknown key 'num_basis'"),
        ({"methods": {"a": {"name": "A", "training": {"iterations": -1}}}}, "training of 'a': 'iterations' = -1"),
        (
            {"methods": {"a": {"name": "A"}, "b": {"name": "B", "kind": "fomm", "model": {"resolution": 100}}}},
            "method 'b': model: 'resolution' = 100 must be a multiple of 128",
        ),
        (
            {"methods": {"a": {"name": "A"}, "b": {"name": "B", "kind": "dagan", "checkpoint": "b.pth.tar"}}},
            "method 'b': DaGAN's checkpoints have no depth network",
        ),
        (
            {"methods": {"a": {"name": "A"}, "b": {"name": "B", "kind": "fomm", "training": {"milestones": [60]}}}},
            "training of 'b': 'milestones.0' = 60 is wrong",
        ),
        ({"methods": {"copy": {"name": "A"}}}, "configuration: the slug 'copy' is kept"),
        ({"ablation": {"planedict": {"name": "A"}}}, "configuration: 'planedict' is both in methods and in ablation."),
        ({"clips": "no/such/folder"}, "clips=no/such/folder is not a folder."),
        ({"clips": None}, "clips= is not a folder."),
        ({"more_clips": "no/such"}, "more_clips=no/such is not a folder."),
        (
            {"datasets": {"embedded": {"source": {"kind": "ffhq", "path": "x"}}}},
            "configuration: train_on names 'embedded', which holds photos, no videos.",
        ),
        ({"methods": {}}, "configuration: methods: dictionary should have at least 1 item"),
        ({"train_on": ["embedded", "embedded"]}, "configuration: train_on names a dataset twice."),
        ({"run": "reference"}, "configuration: the run's name 'reference' is kept for the pooled results."),
        (
            {"ablation": {"a": {"name": "A"}, "b": {"name": "A"}}},
            "configuration: the method name 'A' would",
        ),
        (
            {"methods": {"a": {"name": "copy of the source"}}},
            "configuration: the method name 'copy of",
        ),
        ({"crop": {"min_frames": 20, "max_frames": 10}}, "configuration: crop: min_frames must not exceed max_frames."),
        ({"model": {"render": {"near": 4}}}, "configuration: model.render: near must be less than far."),
        (
            {"evaluation": {"backends": {"csmi": "dlib-128"}}},
            "configuration: evaluation.backends: 'csmi' is not a metric (l1, ssim,",
        ),
        (
            {"evaluation": {"backends": {"prmse": "openface"}}},
            "configuration: evaluation.backends: prmse by openface is measured by hand",
        ),
        (
            {"evaluation": {"backends": {"psnr": "dlib-128"}}},
            "configuration: evaluation.backends: psnr is measured by numpy, not by 'dlib-128'.",
        ),
        (
            {"datasets": {"embedded": {"source": {"kind": "folder"}}}},
            "configuration: key 'datasets.embedded.source.path' is missing.",
        ),
        (
            {"datasets": {"embedded": {"source": {"kind": "embedded", "frames": {"x": 3}}}}},
            "source.frames names 'x', which is not an embedded clip (",
        ),
    ],
)
def test_mistakes_end_in_one_sentence(change, sentence):
    with pytest.raises(InputError) as caught:
        load(SMALL | change)
    text = str(caught.value)
    assert text.startswith(sentence)
    assert "\n" not in text and text.endswith(".") and len(text) < 300


def test_missing_keys_are_named():
    with pytest.raises(InputError, match="key 'datasets' is missing"):
        load({})


def test_files_that_are_no_mapping(tmp_path):
    for text, sentence in (("- a\n", "must hold a mapping"), ("a: [", "not valid YAML")):
        path = tmp_path / "run.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=sentence):
            read(path)


def test_json_settings_round_trip():
    from workflow.plan import Plan

    run = load(SMALL)
    plan = Plan(run)
    assert json.loads(plan.settings("crop")) == run.crop.model_dump(mode="json")
    assert json.loads(plan.settings("evaluation.protocol")) == run.evaluation.protocol.model_dump(mode="json")
    assert json.loads(plan.settings("datasets.embedded"))["shards"] == 2
    assert json.loads(plan.settings("model", method="planedict")) == run.model_of("planedict").model_dump(mode="json")


def test_a_file_laid_over_another_takes_a_dataset_out():
    values = read_mapping(CONFIGS / "paper.yaml")
    values["datasets"] |= {"voxceleb2": None, "talkinghead1kh": None, "ffhq": None}
    with pytest.raises(InputError, match="train_on names 'voxceleb2', which is not one of datasets"):
        load(values)
    assert list(load(values | {"train_on": ["voxceleb1"], "test_on": ["voxceleb1"]}).datasets) == ["voxceleb1"]
