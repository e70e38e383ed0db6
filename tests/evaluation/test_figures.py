"""Figures from a synthetic run: any number of methods, empty protocols, clips that may not be shown."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation import figures
from evaluation.canvas import Cell, Grid, Row, fitted, typeface, wrap
from evaluation.figures import DRAW, Material, spread
from evaluation.heatmap import heat_map, triangles
from evaluation.settings import FigureSettings
from preprocessing.reference_face import reference_face

SETTINGS = FigureSettings(rows=2, views=3, cell=64)


@pytest.fixture(scope="module")
def run(tmp_path_factory, shards, make_pair, make_outputs):
    """Pairs and outputs of two methods; the second did not run the multi-view protocol."""
    root = tmp_path_factory.mktemp("run")
    pairs = root / "pairs" / "tiny"
    pairs.mkdir(parents=True)
    lists = {
        "self": [make_pair(i, ("ann_00", 0), ("ann_00", i + 1)) for i in range(4)],
        "cross": [make_pair(i, ("ann_00", 0), ("bob_00", i)) for i in range(4)],
        "multiview": [
            make_pair(i, ("ann_00", 0), ("bob_00", 1), yaw=yaw, pitch=pitch)
            for i, (yaw, pitch) in enumerate(
                (y, p) for p in (-0.4, -0.2, 0.0, 0.2, 0.4) for y in (-0.4, -0.2, 0.0, 0.2, 0.4)
            )
        ],
    }
    for protocol, rows in lists.items():
        pd.DataFrame(rows).to_csv(pairs / f"{protocol}.csv", index=False)
        for method in ("planedict", "other") if protocol != "multiview" else ("planedict",):
            outputs = {
                (motion, row["pair"]): shards.frames("ann_00", [row["pair"] % 6])[0][::2, ::2]
                for row in rows
                for motion in ("absolute", "relative")
            }
            make_outputs(root / "reenactments" / "tiny" / method / protocol, outputs)
    return root


def material(run, shards, **extra):
    names = {"planedict": "PlaneDict", "other": "Other", "absent": "Absent"}
    return [Material(run / "pairs" / "tiny", run / "reenactments" / "tiny", shards, names, **extra)]


@pytest.mark.parametrize("number", sorted(DRAW))
def test_every_figure_is_drawn(run, shards, number):
    page = DRAW[number](material(run, shards), SETTINGS, "mini")
    pixels = np.asarray(page)
    assert page.mode == "RGB" and pixels.std() > 20 and (pixels[0] == 255).all()


def test_columns_are_the_methods_that_ran(run, shards):
    data = material(run, shards)[0]
    assert [c.title for c in data.columns("self")] == ["PlaneDict", "Other"]
    titles = [c.title for c in data.columns("cross", ("absolute", "relative"))]
    assert titles == ["PlaneDict", "PlaneDict (relative)", "Other", "Other (relative)"]
    assert [c.title for c in data.columns("multiview")] == ["PlaneDict"]


@pytest.mark.parametrize("number", sorted(DRAW))
def test_without_pairs_the_figure_says_so(run, shards, number):
    page = DRAW[number](material(run, shards, clips={"nobody"}), SETTINGS, "mini")
    assert page.height < 300


def test_only_permitted_clips_are_shown(run, shards):
    data = material(run, shards, clips={"ann"})[0]
    assert len(data.pairs("self")) == 4 and not data.pairs("cross")


def test_rows_are_spread_not_picked():
    items = [{"clip": "a", "n": n} for n in range(10)] + [{"clip": "b", "n": n} for n in range(2)]
    chosen = spread(items, 4, lambda item: item["clip"])
    assert [(c["clip"], c["n"]) for c in chosen] == [("a", 2), ("b", 0), ("a", 7), ("b", 1)]
    assert spread([], 3, lambda item: 0) == [] and len(spread(items, 99, lambda item: item["clip"])) == 12


def test_the_command_writes_pngs(run, shards, tmp_path, monkeypatch):
    import preprocessing.reader

    monkeypatch.setattr(preprocessing.reader, "ShardReader", lambda _: shards)
    arguments = ["--shards", "unused", "--pairs", str(run / "pairs" / "tiny"), "--reenactments"]
    arguments += [str(run / "reenactments" / "tiny"), "--methods", json.dumps({"main": {"planedict": "PlaneDict"}})]
    arguments += ["--settings", json.dumps({"figures": {"cell": 64}}), "--credit", "Faces: a test.", "--only", "3", "6"]
    figures.main([*arguments, "--output", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure3.png", "figure6.png"]
    assert Image.open(tmp_path / "figure3.png").format == "PNG"


def test_grid_has_room_for_everything():
    cell = Cell(np.full((8, 8, 3), 90, np.uint8), "note")
    page = Grid(["a", "b", "c"], [Row([cell, cell, Cell(None, "none")], "row")] * 2, [(1, 2, "group")], "caption").draw(
        50
    )
    dark = (np.asarray(page) == 90).all(axis=2)
    assert dark.sum() >= 4 * 50 * 50 * 0.98 and page.width > 150


def test_text_is_made_to_fit():
    font = typeface(30)
    assert fitted("a rather long heading", font, 80).getlength("a rather long heading") <= 90
    assert all(font.getlength(line) <= 200 for line in wrap("several words that need lines", font, 200))


def test_the_mesh_covers_the_face():
    mesh = triangles()
    assert 800 < len(mesh) < 1000 and set(mesh.ravel()) == set(range(468))
    drawn = heat_map(np.zeros(468), 80)
    assert drawn.shape == (80, 80, 3) and (drawn[0, 0] == 255).all() and drawn[30, 40].max() < 90
    assert heat_map(np.full(468, 0.08), 80)[30, 40].min() > 120
    assert reference_face().shape == (478, 3)
