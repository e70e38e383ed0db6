"""Figures from a synthetic run: any number of methods, close-ups, empty protocols, clips that may not be shown."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.figures import DRAW, canvas, grids
from evaluation.figures import __main__ as command
from evaluation.figures.canvas import FRAMES, Cell, Grid, Row, fitted, sideways, typeface, wrap
from evaluation.figures.faces import SHAPE, Faces, closeups
from evaluation.figures.grids import ACROSS, GROUPS, MAPS_ACROSS, Block, side_by_side
from evaluation.figures.heatmap import LIMIT, colour_bar, heat_map, triangles, vertex_distances
from evaluation.figures.material import Material, all_columns, label, spread
from evaluation.figures.views import fan
from evaluation.pictures import resized
from evaluation.sampling import VIEW_OFFSETS
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
    data = material(run, shards)
    assert [c.name for c in data[0].columns("self")] == ["PlaneDict", "Other"]
    assert [c.name for c in all_columns(data * 2, "cross", "relative")] == ["PlaneDict", "Other"]
    assert [c.name for c in data[0].columns("multiview")] == ["PlaneDict"] and not data[0].columns("self", "none")


@pytest.fixture
def said(monkeypatch):
    """Everything the figures write: headings, labels, notes and captions."""
    texts = []
    fit, cut = canvas.fitted, canvas.wrap
    monkeypatch.setattr(canvas, "fitted", lambda text, *rest: texts.append(text) or fit(text, *rest))
    monkeypatch.setattr(canvas, "wrap", lambda text, *rest: texts.append(text) or cut(text, *rest))
    return texts


@pytest.mark.parametrize("number", sorted(DRAW))
def test_captions_say_what_data_and_which_scale(run, shards, said, number):
    DRAW[number](material(run, shards), SETTINGS, "mini")
    assert any(text.endswith("Data: tiny (mini).") and len(text) > 90 for text in said)


def test_inputs_are_compared_at_the_resolution_they_are_stored_in(run, shards, said):
    DRAW[3](material(run, shards), SETTINGS, "mini")
    assert any("Inputs 256², outputs 128² pixels." in text for text in said)


def test_relative_motion_is_from_the_best_frame_where_a_method_offers_it(
    run, shards, make_outputs, tmp_path, monkeypatch
):
    root = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(root / "reenactments/tiny/other/cross")
    pictures = {(m, i): shards.frames("ann_00", [i])[0] for m in (*GROUPS,) for i in range(4)}
    make_outputs(root / "reenactments/tiny/other/cross", pictures)
    drawn = []
    monkeypatch.setattr(grids, "Grid", lambda *parts, **more: drawn.append(parts) or Grid(*parts, **more))
    DRAW[4](material(root, shards), SETTINGS, "mini")
    ((heads, _, groups),) = drawn
    assert list(heads) == ["Source", "Driving", "PlaneDict", "Other", "PlaneDict", "Other"]
    assert groups == [
        (2, 3, "absolute motion"), (4, 4, "relative motion"), (5, 5, "relative motion, from the best frame")
    ]  # fmt: skip


def test_figures_of_many_methods_show_fewer_examples():
    assert [grids._parts(methods, 1, ACROSS) for methods in (0, 1, 6, 7, 12, 13)] == [1, 1, 1, 2, 2, 3]
    assert [grids._parts(methods, 3, MAPS_ACROSS) for methods in (3, 4, 7)] == [1, 2, 3]


def test_a_miniature_is_explained(run, shards, said):
    data = [Material(run / "pairs" / "tiny", run / "reenactments" / "tiny", shards, {"other": "Other (mini)"})]
    DRAW[3](data, SETTINGS, "demo-scale")
    assert any(text.endswith("(demo-scale). (mini): a small version of the method, trained here; not what its authors "
                             "trained.") for text in said)  # fmt: skip


def test_long_headings_take_several_lines(run, shards):
    def page(name):
        return Grid([name], [Row([Cell(np.zeros((64, 64, 3), np.uint8))])]).draw(64, 13)

    assert page("FOMM, source warped (mini)").height > page("FOMM").height


@pytest.mark.parametrize("number", [1, 6])
def test_methods_without_views_are_said_so(run, shards, said, number):
    DRAW[number](material(run, shards), SETTINGS, "mini")
    assert any("render no other views: Other." in text for text in said)


def test_methods_without_views_are_not_drawn(run, shards, said):
    DRAW[6](material(run, shards), SETTINGS, "mini")
    assert {text for text in said if text.startswith(("PlaneDict\n", "Other\n"))} == {
        "PlaneDict\nyaw",
        "PlaneDict\npitch",
    }


@pytest.mark.parametrize("count", range(1, 10))
def test_fans_are_symmetric(count):
    offsets = fan(count)
    assert len(offsets) == min(count, len(VIEW_OFFSETS)) and offsets == sorted(offsets)
    assert np.allclose(offsets, [-x for x in reversed(offsets)])


def test_a_frame_a_method_did_not_make_is_a_dash(run, shards, said, monkeypatch):
    generated = Material.generated
    missing = lambda self, column, *rest: None if column.slug == "other" else generated(self, column, *rest)  # noqa: E731
    monkeypatch.setattr(Material, "generated", missing)
    for number, dashes in ((3, SETTINGS.rows), (5, 3 * SETTINGS.rows)):
        said.clear()
        DRAW[number](material(run, shards), SETTINGS, "mini")
        assert said.count("—") == dashes


def test_mean_distances_are_printed_under_the_maps(run, shards, said):
    DRAW[5](material(run, shards), SETTINGS, "mini")
    numbers = [text for text in said if text.endswith(" dm")]
    assert len(numbers) == 2 * 2 * SETTINGS.rows and {text[0] for text in numbers} == {"↓", "↑"}
    source = [float(text[2:-3]) for text in numbers if text[0] == "↓"]
    assert max(source) < 0.03, "outputs that are the source's face, turned in the picture, keep its shape"


def test_the_copy_is_at_no_distance_from_its_source_whatever_its_size(shards, make_pair, make_outputs, tmp_path, said):
    row = make_pair(0, ("ann_00", 0), ("bob_00", 1))
    (tmp_path / "tiny").mkdir()
    pd.DataFrame([row]).to_csv(tmp_path / "tiny" / "cross.csv", index=False)
    copied = resized(shards.frames("ann_00", [0])[0], 96)
    make_outputs(tmp_path / "tiny" / "copy" / "cross", {("none", 0): copied})
    data = Material(tmp_path / "tiny", tmp_path / "tiny", shards, {"copy": "copy of the source"})
    DRAW[5]([data], SETTINGS, "mini")
    assert "↓ 0.000 dm" in said and any(text.startswith("↑ 0.0") and text != "↑ 0.000 dm" for text in said)


def boxed(points):
    """Landmarks whose eyes and mouth span these corners."""
    face = np.full((478, 3), 0.5)
    for place, point in points.items():
        face[place, :2] = point
    eyes = dict.fromkeys((133, 159, 145), points[33]) | dict.fromkeys((362, 386, 374), points[263])
    for place, point in (eyes | dict.fromkeys((0, 17), points[61])).items():
        face[place, :2] = point
    return face


def test_closeups_hold_eyes_and_mouth():
    face = boxed({33: (0.4, 0.4), 263: (0.6, 0.4), 61: (0.45, 0.6), 291: (0.55, 0.6)})
    eyes, mouth = closeups([face])
    assert eyes == pytest.approx((0.365, 0.34, 0.635, 0.46)), "1.35 times as wide as the eyes, 4 / 9 as high"
    assert (mouth[0] + mouth[2], mouth[1] + mouth[3]) == pytest.approx((1.0, 1.2))
    assert mouth[2] - mouth[0] == pytest.approx(0.75 * 0.27), "a closed mouth alone would fill its close-up"


def test_closeups_grow_with_a_rolled_head_and_stay_inside():
    rolled = boxed({33: (0.8, 0.1), 263: (0.98, 0.5), 61: (0.0, 0.9), 291: (0.1, 1.0)})
    for left, top, right, bottom in closeups([rolled]):
        assert 0 <= left < right <= 1 + 1e-12 and 0 <= top < bottom <= 1 + 1e-12
        assert (bottom - top) / (right - left) == pytest.approx(SHAPE)
    eyes = closeups([rolled])[0]
    assert eyes[1] <= 0.1 and eyes[3] >= 0.5, "both eyes are inside"


def test_closeups_of_several_faces_are_cut_where_they_are_on_average():
    a = boxed({33: (0.3, 0.4), 263: (0.5, 0.4), 61: (0.35, 0.6), 291: (0.45, 0.6)})
    middle = closeups([a + 0.05])
    assert np.allclose(closeups([a, None, a + 0.1]), middle)
    assert closeups([None, None]) == () and closeups([]) == ()


def test_faces_are_found_in_shares_of_the_picture(face):
    faces = Faces()
    large, small = faces.find(face), faces.find(face[::2, ::2])
    assert np.abs(large[:, :2] - small[:, :2]).max() < 0.05
    eyes, mouth = closeups([large])
    assert eyes[3] < mouth[3] and (eyes[0] + eyes[2]) / 2 == pytest.approx((mouth[0] + mouth[2]) / 2, abs=0.06)
    assert faces.find(np.zeros((96, 96, 3), np.uint8)) is None and faces.find(None) is None


def test_without_a_face_the_picture_stands_alone_and_says_so(run, shards, said, monkeypatch):
    monkeypatch.setattr(Faces, "find", lambda self, picture: None)
    page = DRAW[4](material(run, shards), SETTINGS, "mini")
    assert said.count("no face found") == 6 * SETTINGS.rows
    assert not any((np.asarray(page) == colour).all(axis=2).any() for colour in FRAMES)
    said.clear()
    DRAW[5](material(run, shards), SETTINGS, "mini")
    assert said.count("no face found") == 4 * SETTINGS.rows


@pytest.mark.parametrize("beside", [False, True])
def test_a_closeup_shows_its_part_enlarged(beside):
    picture = np.zeros((90, 90, 3), np.uint8)
    picture[10:50, 20:85] = (200, 0, 0)
    box = (30 / 90, 20 / 90, 75 / 90, 40 / 90)
    page = np.asarray(Grid(["a"], [Row([Cell(picture, "", [box])])], beside=beside).draw(90, 13))
    red = (page == (200, 0, 0)).all(axis=2).sum()
    width, height = (202, 90) if beside else (90, 40)  # as high as the picture, or as wide
    assert red == pytest.approx(65 * 40 - 2 * (45 + 20) + (width - 4) * (height - 4), rel=0.02)
    assert (page == FRAMES[0]).all(axis=2).any() and not (page == FRAMES[1]).all(axis=2).any()


@pytest.mark.parametrize(("methods", "across"), [(1, 3), (6, 8), (7, 6), (8, 6), (13, 7)])
def test_many_methods_are_wrapped_in_equal_parts(methods, across):
    cell = Cell(np.full((8, 8, 3), 90, np.uint8))
    inputs = Block(["a", "b"], [[cell, cell]] * 2)
    blocks = [Block([f"m{i}"], [[cell]] * 2) for i in range(methods)]
    page = np.asarray(side_by_side(inputs, blocks, ["x", "y"], 40))
    parts = -(-methods // (ACROSS - 2))
    assert (page == 90).all(axis=2).sum() == 40 * 40 * 2 * (methods + 2 * parts)
    assert max((row == 90).all(axis=1).sum() for row in page) == 40 * across


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
    monkeypatch.setattr(command, "ShardReader", lambda _: shards)
    arguments = ["--shards", "unused", "--pairs", str(run / "pairs" / "tiny"), "--reenactments"]
    arguments += [str(run / "reenactments" / "tiny"), "--methods", json.dumps({"main": {"planedict": "PlaneDict"}})]
    arguments += ["--settings", json.dumps({"figures": {"cell": 64}}), "--credit", "Faces: a test.", "--only", "3", "6"]
    command.main([*arguments, "--output", str(tmp_path)])
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
    assert fitted("short\nsome longer line", font, 80).getlength("some longer line") <= 90
    assert all(font.getlength(line) <= 200 for line in wrap("several words that need lines", font, 200))
    assert sideways("two\nlines", font, 120, 80).size == (80, 120)


def test_labels_name_the_clips_and_what_was_not_trained_on():
    pair = {"source_clip": "ann", "driver_clip": "ann", "unseen": False}
    assert label(pair) == "ann" and label({**pair, "driver_clip": "bob", "unseen": True}) == "ann, unseen\n← bob"


def test_the_mesh_covers_the_face():
    mesh, face = triangles(), reference_face()
    assert 800 < len(mesh) < 1000 and set(mesh.ravel()) == set(range(468)) and face.shape == (478, 3)
    a, b, c = (face[mesh[:, i], :2] for i in range(3))
    assert ((b - a)[:, 0] * (c - a)[:, 1] >= (b - a)[:, 1] * (c - a)[:, 0]).all(), "every triangle faces the viewer"


def test_the_heat_map_is_a_shaded_face_whose_colours_are_the_distances():
    none, much = heat_map(np.zeros(468), 80).astype(int), heat_map(np.full(468, 2 * LIMIT), 80).astype(int)
    assert none.shape == (80, 80, 3) and (none[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    cheek = (48, 28)
    assert none[cheek].min() > 150 and much[cheek][0] > much[cheek][1] + 60, (
        "pale where nothing differs, red where much"
    )
    assert none[48, 24].sum() > none[48, 55].sum() + 30, "lit from the viewer's left"
    chin = np.where(np.linalg.norm(reference_face()[:468] - reference_face()[152], axis=1) < 0.3, LIMIT, 0.0)
    local = heat_map(chin, 80)
    assert (local[:30] == none[:30]).all() and (local[70:76, 36:44] != none[70:76, 36:44]).any()


def test_distances_do_not_see_size_place_and_turn():
    face = reference_face() * 100
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    assert vertex_distances(face, 3 * face @ turn.T + 7).max() < 1e-9
    moved = face.copy()
    moved[4] += (0, 0, 10)  # a tenth of a decimetre
    assert vertex_distances(face, moved).argmax() == 4


def test_the_bar_runs_from_pale_to_dark():
    bar = np.asarray(colour_bar(400, 12)).astype(int).sum(axis=2)
    line = bar[10, 100:300]
    assert (np.diff(line) <= 0).all() and line[0] - line[-1] > 300
