import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from model.checkpoints import latest_state, load_weights, save_state, save_weights
from model.data import EYES, MOUTH, open_store
from model.planedict import PlaneDict
from model.planedict_method import METHOD
from model.settings import ModelSettings, TrainingSettings
from model.train import main, origin, parser
from model.training.finite import NonFiniteLoss
from model.training.losses import disentanglement_loss, reconstruction_loss
from model.training.objective import grown, sample_pixels, spread
from model.training.pairs import PairSampler
from model.training.trainer import Trainer, launch, train
from preprocessing.cameras import from_pose, intrinsics
from preprocessing.cameras import label as label_of
from preprocessing.cli import InputError
from preprocessing.files import write_json
from preprocessing.shardindex import sealed
from tests.model import tiny
from tests.model.tiny import MODEL, OWN

RELEASED = MODEL | tiny.RELEASED
LOSSES = {"perceptual": 0, "start_rays": 8, "growth_steps": 2}
RAYS = {"recipe": "robust", "iterations": 6, "rays": 32, "checkpoint_every": 2, "log_every": 2}
WHOLE = {"recipe": "paper", "iterations": 6, "sources": 2, "checkpoint_every": 2, "log_every": 2}


def trainer(synthetic_shards, model, training, seed=0):
    settings = TrainingSettings(**training)
    model = ModelSettings(**model)
    sampler = PairSampler(open_store([synthetic_shards], "train", model.frames), settings, seed)
    return Trainer(launch(settings), METHOD, model, settings, sampler, seed)


def steps(run, count):
    stream = run.batches()
    return [run.train_step(stream) for _ in range(count)]


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize(
    ("model", "training"),
    [
        (OWN, RAYS),
        (MODEL, WHOLE),
        (OWN, WHOLE | {"weight_dis": 0.5}),
        (OWN, RAYS | {"weight_dis": 0.1}),
        (OWN, RAYS | {"weight_cycle": 1.0, "weight_contrastive": 0.1, "eye_rays": 0.5, "stratified_eyes": 0.25}),
        (MODEL | {"motion": "generator"}, WHOLE),
        (RELEASED, {"recipe": "released", "sources": 2, "iterations": 6, "released": LOSSES}),
        (
            MODEL | {"superresolution": True, "neural_rendering_resolution": 16, "superresolution_channels": [8, 4]},
            WHOLE,
        ),
        (MODEL | {"orthogonality": "pixel", "render": MODEL["render"] | {"view_direction": True}}, WHOLE),
    ],
)
def test_two_steps_of_every_kind(synthetic_shards, model, training):
    run = trainer(synthetic_shards, model, training)
    before = weights(run.model)
    figures = steps(run, 3)
    assert all(torch.isfinite(torch.stack(list(f.values()))).all() for f in figures)
    moved = [name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])]
    assert {"canonical", "decoder.fc1.weight"} <= set(moved)
    if "motion" not in model:
        assert "dictionary.weight" in moved


def test_resumed_run_equals_an_unbroken_one_bit_for_bit(synthetic_shards, tmp_path):
    unbroken = trainer(synthetic_shards, OWN, RAYS)
    train(unbroken, tmp_path / "a", tmp_path / "a.parquet", "a")
    first = trainer(synthetic_shards, OWN, RAYS)
    steps(first, 4)
    save_state(tmp_path / "b", first.step, first.state())
    second = trainer(synthetic_shards, OWN, RAYS)
    train(second, tmp_path / "b", tmp_path / "b.parquet", "b")
    assert second.step == 6
    for name, value in unbroken.ema.state_dict().items():
        assert torch.equal(value, second.ema.state_dict()[name]), name


def test_checkpoints_of_other_settings_are_not_continued(synthetic_shards, tmp_path):
    old = trainer(synthetic_shards, OWN, RAYS)
    old.step = 5
    save_state(tmp_path / "c", 5, old.state())
    new = trainer(synthetic_shards, OWN, RAYS | {"learning_rate": 2e-3})
    new.origin = "other"
    train(new, tmp_path / "c", tmp_path / "c.parquet", "c")
    rows = pd.read_parquet(tmp_path / "c.parquet")
    assert rows["step"].min() == 2


def test_a_damaged_newest_checkpoint_gives_way_and_two_are_kept(tmp_path):
    for step in (1, 2, 3):
        save_state(tmp_path, step, {"step": step})
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["000002.pt", "000003.pt"]
    (tmp_path / "000003.pt").write_bytes(b"cut")
    assert latest_state(tmp_path) == {"step": 2}
    assert latest_state(tmp_path / "none") is None


def test_command_writes_weights_curves_and_picture(synthetic_shards, tmp_path):
    arguments = ["--shards", str(synthetic_shards), "--method", "m", "--output", str(tmp_path / "m"), "--curves"]
    arguments += [
        str(tmp_path / "m.parquet"),
        "--model",
        json.dumps(OWN),
        "--settings",
        json.dumps(RAYS),
        "--seed",
        "3",
    ]
    main(parser().parse_args(arguments))
    model, facts = load_weights(tmp_path / "m" / "final.safetensors")
    assert model.settings == ModelSettings(**OWN)
    assert (facts["step"], facts["seed"], facts["people"]) == ("6", "3", "2")
    curves = pd.read_parquet(tmp_path / "m.parquet")
    assert list(curves.columns) == ["step", "metric", "value"]
    assert {"loss", "l1", "mask_rmse", "motion_spread"} <= set(curves["metric"])
    assert (tmp_path / "m.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def real_images(tmp_path_factory):
    """Four images with EG3D's dataset.json."""
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(0)
    label = label_of(from_pose(np.diag([1.0, -1.0, -1.0]), np.array([0, 0, 2.7])), intrinsics())
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    labels = {"labels": [[f"{i}.png", label.tolist()] for i in range(4)]}
    (folder / "dataset.json").write_text(json.dumps(labels))
    return folder


SUPER = MODEL | {"superresolution": True, "neural_rendering_resolution": 16, "superresolution_channels": [8, 4]}


def fine_tune(real):
    adversarial = {"iterations": 4, "real": str(real), "channel_base": 64, "channel_max": 8, "learning_rate": 1e-3}
    return WHOLE | {"checkpoint_every": 1, "adversarial": adversarial}


def test_fine_tune_moves_the_discriminator_and_resumes_bit_for_bit(synthetic_shards, real_images):
    settings = TrainingSettings(**fine_tune(real_images)).stage(finetune=True).model_dump(mode="json")
    whole = trainer(synthetic_shards, SUPER, settings)
    before = weights(whole.adversary.discriminator)
    figures = steps(whole, 2)
    assert {"adversarial", "discriminator", "real_logit", "fake_logit"} <= set(figures[1]) and "r1" in figures[0]
    assert "r1" not in figures[1], "R1 is lazy"
    state = copy.deepcopy(whole.state())
    steps(whole, 2)
    after = whole.adversary.discriminator.state_dict()
    assert all(not torch.equal(value, before[name]) for name, value in after.items() if name.endswith("weight"))
    second = trainer(synthetic_shards, SUPER, settings)
    second.restore(state)
    steps(second, 2)
    for ours, theirs in ((whole.ema, second.ema), (whole.adversary.discriminator, second.adversary.discriminator)):
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_two_stages_by_command(synthetic_shards, real_images, tmp_path):
    def run(folder, *more):
        arguments = ["--shards", str(synthetic_shards), "--method", "m", "--output", str(folder)]
        arguments += ["--curves", str(folder / "m.parquet"), "--model", json.dumps(SUPER)]
        main(parser().parse_args([*arguments, "--settings", json.dumps(fine_tune(real_images)), *more]))

    run(tmp_path / "first", "--tensorboard", str(tmp_path / "events"))
    start = tmp_path / "first/final.safetensors"
    run(tmp_path / "second", "--start", str(start))
    assert load_weights(start)[1]["step"] == "6" and list((tmp_path / "events").iterdir())
    model, facts = load_weights(tmp_path / "second/final.safetensors")
    assert facts["step"] == "4"
    assert "adversarial" in set(pd.read_parquet(tmp_path / "second/m.parquet")["metric"])
    assert not torch.equal(model.canonical, load_weights(start)[0].canonical)
    assert "Responsible use" in (tmp_path / "second/card.md").read_text()


def test_a_fine_tune_starts_from_a_model_of_its_own_settings(synthetic_shards, real_images, tmp_path):
    save_weights(tmp_path / "other.safetensors", PlaneDict(ModelSettings(**MODEL)), {})
    arguments = ["--shards", str(synthetic_shards), "--method", "m", "--output", str(tmp_path), "--curves", "m.parquet"]
    arguments += ["--start", str(tmp_path / "other.safetensors"), "--model", json.dumps(SUPER), "--settings"]
    for settings, words in ((fine_tune(real_images), "other settings"), (WHOLE, "'adversarial' is not set")):
        with pytest.raises(InputError, match=words):
            main(parser().parse_args([*arguments, json.dumps(settings)]))


def test_a_step_of_two_parts_takes_the_mean_of_their_gradients(synthetic_shards):
    plain = WHOLE | {"weight_dis": 0.0}
    run = trainer(synthetic_shards, MODEL, plain | {"accumulate": 2})
    parts = [run.sampler.batch(0, part) for part in (0, 1)]
    gradients = []
    for micro, part in enumerate(parts):
        run.model.train()
        run.reseed(micro)
        run.objective(part, run.ema).loss.backward()
        gradients.append(run.model.canonical.grad.clone())
        run.model.zero_grad()
    seen = []
    run.model.canonical.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    steps(run, 1)
    torch.testing.assert_close(seen[-1], (gradients[0] + gradients[1]) / 2, atol=1e-6, rtol=1e-4)


def test_half_precision_changes_little(synthetic_shards):
    half, full = (
        steps(trainer(synthetic_shards, MODEL, WHOLE | {"precision": p}), 2)[1] for p in ("bf16-mixed", "32-true")
    )
    assert half["loss"].dtype == torch.float32 and not torch.equal(half["loss"], full["loss"])
    assert half["l1"].item() == pytest.approx(full["l1"].item(), rel=0.05)


def test_compile_is_for_the_networks(synthetic_shards, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    steps(trainer(synthetic_shards, SUPER, WHOLE | {"compile": True}), 1)
    assert compiled == ["ResNet10", "PlaneGenerator", "PlaneGenerator", "SuperResolution"]


def test_untrained_weights_are_written_when_no_clip_survived(synthetic_shards, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    index = json.loads((synthetic_shards / "00000.json").read_text())
    index["samples"] = [s for s in index["samples"] if s["split"] == "test"]
    write_json(empty / "00000.json", sealed(index))
    (empty / "00000.tar").symlink_to(synthetic_shards / "00000.tar")
    arguments = ["--shards", str(empty), "--method", "m", "--output", str(tmp_path / "n"), "--curves"]
    arguments += [str(tmp_path / "n.parquet"), "--model", json.dumps(OWN), "--settings", json.dumps(RAYS)]
    main(parser().parse_args(arguments))
    with safe_open(tmp_path / "n" / "final.safetensors", "pt") as stream:
        assert stream.metadata()["step"] == "0"


def test_a_checkpoint_belongs_to_its_settings_seed_data_and_start(synthetic_shards, tmp_path):
    model, settings = ModelSettings(**MODEL), TrainingSettings(**RAYS)
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")

    def of(model=model, seed=0, start=None, **changes):
        return origin([synthetic_shards], model, settings.model_copy(update=changes), seed, start)

    other = model.model_copy(update={"num_bases": 2})
    different = [of(), of(other), of(seed=1), of(rays=8), of(start=tmp_path / "a"), of(start=tmp_path / "b")]
    assert len(set(different)) == len(different)
    assert of(threads=2, workers=3, checkpoint_every=7, cache_frames=True) == of(), "pace changes no result"


def test_equal_weights_are_equal_files(tmp_path):
    torch.manual_seed(0)
    model, facts = PlaneDict(ModelSettings(**MODEL)), {"z": "ü", "a": "1", "step": "7", "seed": "0"}
    for name in ("a", "b"):
        save_weights(tmp_path / f"{name}.safetensors", model, facts)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded, read = load_weights(tmp_path / "a.safetensors")
    assert read == facts and loaded.settings == model.settings
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def test_wrong_checkpoints_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors"):
        load_weights(tmp_path / "none.safetensors")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a checkpoint at all")
    with pytest.raises(InputError, match=r"bad\.safetensors"):
        load_weights(bad)


def test_non_finite_loss_names_the_clips(synthetic_shards):
    run = trainer(synthetic_shards, OWN, RAYS)
    with torch.no_grad():
        run.model.canonical.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match="ann"):
        steps(run, 1)


def test_disentanglement_gives_no_gradient_to_its_targets():
    codes = [torch.randn(2, 4, requires_grad=True) for _ in range(4)]
    disentanglement_loss(*codes, lambda_motion=1.5).backward()
    assert codes[0].grad is not None and codes[2].grad is not None
    assert codes[1].grad is None and codes[3].grad is None


def test_reconstruction_is_l1_plus_weighted_mask():
    output, target = torch.zeros(1, 3, 4), torch.tensor([[[1.0, 0.5, 0, 0]]]).expand(1, 3, 4)
    mask, uniform = torch.tensor([[True, False, False, False]]), torch.ones(1, 4, dtype=torch.bool)
    assert reconstruction_loss(output, target, mask, uniform, 10, 0).item() == pytest.approx(0.375 + 10)
    assert reconstruction_loss(output, target, mask, uniform, 0, 12).item() == pytest.approx(0.375 + 12)
    assert reconstruction_loss(output, target, mask, uniform, 0, 0, 4).item() == pytest.approx(0.375 + 4 * 1.25 / 4)
    assert reconstruction_loss(output, target, torch.zeros_like(mask), uniform, 10, 12).item() == pytest.approx(0.375)


def test_sampled_pixels_are_half_in_the_mask():
    torch.manual_seed(0)
    regions = torch.zeros(2, 8, 8, dtype=torch.uint8)
    regions[0, 3, 3:5] = MOUTH
    pixels, uniform, mask = sample_pixels(regions, 20, 0, None)
    assert pixels.shape == uniform.shape == mask.shape == (2, 20)
    assert set(pixels[0, 10:].tolist()) <= {27, 28} and mask[0, 10:].all() and not mask[1].any()
    assert uniform[:, :10].all() and not uniform[:, 10:].any()
    assert len(set(pixels[1, 10:].tolist())) > 3, "an empty mask falls back to all pixels"


def test_eyes_get_their_share_of_the_rays():
    torch.manual_seed(0)
    regions = torch.zeros(1, 16, 16, dtype=torch.uint8)
    regions[0, 10:14], regions[0, 2, 3] = MOUTH, EYES
    for share, low, high in ((None, 0.0, 0.06), (0.5, 0.4, 0.6), (1.0, 1.0, 1.0)):
        pixels, _, _ = sample_pixels(regions, 2000, 0, share)
        eyes = (pixels[0, 1000:] == 2 * 16 + 3).float().mean()
        assert low <= eyes <= high


def test_spread_of_constant_codes_is_zero():
    assert spread(torch.ones(4, 3)) == 0
    assert spread(torch.tensor([[1.0], [-1.0]])) == pytest.approx(1)


def test_recipes_are_defaults_that_a_given_value_overrides():
    robust = TrainingSettings(recipe="robust", learning_rate=2e-3)
    assert (robust.learning_rate, robust.mask_squared, robust.weight_dis) == (2e-3, 12.0, 0.0)
    paper = TrainingSettings()
    assert (paper.learning_rate, paper.lambda_recons, paper.lambda_motion, paper.lambda_mask) == (1e-4, 1.0, 1.5, 10.0)


def test_masks_grow_by_a_share_of_the_side():
    masks = torch.zeros(1, 20, 20, dtype=torch.bool)
    masks[0, 10, 10] = True
    assert grown(masks, 0.1).sum() == 25 and grown(masks, 0.1)[0, 8, 12]
    assert grown(masks, 0) is masks
