"""Readings made outside the environment: pictures out, the tools' CSV files in, values by a picture's pixels."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from evaluation.external.detections import OPENFACE_UNITS, PYFEAT_UNITS
from evaluation.outputs import Reenactments, read_pairs
from evaluation.pictures import digest, read_picture
from evaluation.readings import Readings, by_backend, collect, export, job_pictures, main
from preprocessing.cameras import angles, from_pose, intrinsics, label
from preprocessing.cli import InputError

ABOUT = {"version": "2.1.5", "weights": {"py-feat-xgb_au-xgb_au_classifier_v2.skops": "0" * 64}}


@pytest.fixture
def pictures():
    """Three small pictures that differ."""
    return list(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8))


@pytest.fixture
def exported(tmp_path, pictures):
    export(iter(pictures), tmp_path / "pictures")
    return tmp_path / "pictures"


def fex(folder, rows):
    """A Fex as py-feat 2 saves it, of rows of (name, score, pose, unit), some columns of which are not read."""
    table = []
    for name, score, pose, unit in rows:
        box = {"FaceRectX": 1.0, "FaceRectY": 1.0, "FaceRectWidth": 5.0, "FaceRectHeight": 5.0, "FaceScore": score}
        head = dict(zip(("Pitch", "Roll", "Yaw"), pose, strict=True)) | {"X": 0.0, "Y": 0.0, "Z": 9.0}
        units = dict.fromkeys(PYFEAT_UNITS, unit)
        table.append(box | head | units | {"anger": np.nan, "input": f"some/where/{name}.png", "frame": len(table)})
    path = folder / "fex.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def openface_csv(path, rows, sequence=False):
    """OpenFace 2.2's layout (-pose -aus), blanks after commas; rows of (frame, confidence, success, pose, unit)."""
    names = ["frame", "face_id", "timestamp", "confidence", "success"] if sequence else ["face", "confidence"]
    intensities = [f"{unit}_r" for unit in OPENFACE_UNITS if unit != "AU28"]
    names += ["pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz", *intensities]
    lines = [", ".join([*names, *(f"{unit}_c" for unit in OPENFACE_UNITS)])]
    for frame, confidence, success, pose, unit in rows:
        first = [frame, 0, f"{frame / 30:.3f}", confidence, success] if sequence else [frame, confidence]
        values = [*first, "-1.2", "3.4", "500.1", *(f"{angle:.6f}" for angle in pose), *["2.10"] * len(intensities)]
        lines.append(", ".join(map(str, [*values, *[f"{unit:.2f}"] * len(OPENFACE_UNITS)])))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def head(pitch, yaw, roll):
    """The rotation, in the camera (x right, y down, z away), of a head that the project says has these degrees."""
    turn = Rotation.from_euler("ZXY", [roll, pitch, yaw], degrees=True)
    camera = label(from_pose(turn.as_matrix() @ np.diag([1.0, -1, -1]), np.array([0, 0, 2.7])), intrinsics())
    assert np.allclose(np.degrees(angles(camera)), [yaw, pitch, roll], atol=1e-4)
    return turn


def pyfeat_pose(turn):
    """Pitch, Roll, Yaw in radians as py-feat 2 derives them from img2pose's rotation R = Rz·Ry·Rx, two signs turned."""
    x, y, z = turn.as_euler("xyz")
    return -x, -z, y


def test_a_digest_is_of_pixels_and_shape(pictures):
    first = pictures[0]
    assert digest(first) == digest(first[::-1][::-1]) and len(digest(first)) == 32
    assert len({digest(first), digest(first.reshape(4, 16, 3)), digest(pictures[1])}) == 3


def test_export_writes_each_distinct_picture_once(tmp_path, pictures):
    assert export(iter([*pictures, pictures[0].copy()]), tmp_path / "out") == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{digest(picture)}.png" for picture in pictures}
    for path in (tmp_path / "out").iterdir():
        assert digest(read_picture(path)) == path.stem
    with pytest.raises(InputError, match="out is there already"):
        export(iter(pictures), tmp_path / "out")


def test_a_failed_export_leaves_no_folder(tmp_path, pictures):
    def damaged():
        yield pictures[0]
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        export(damaged(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert export(iter(pictures[1:]), tmp_path / "out") == 2  # and nothing of the failed one


def test_a_scoring_job_exports_what_it_compares(tmp_path, shards, make_pair, make_outputs):
    rows = [make_pair(i, ("ann_00", 0), ("bob_00", i)) for i in range(3)]
    pd.DataFrame(rows).to_csv(tmp_path / "cross.csv", index=False)
    made = {("absolute", i): shards.frames("ann_00", [i])[0][::2, ::2] for i in (0, 1)}
    made["relative", 1] = made["absolute", 1]
    with Reenactments(make_outputs(tmp_path / "out", made)) as outputs:
        found = {digest(picture) for picture in job_pictures(read_pairs(tmp_path / "cross.csv"), outputs, shards)}
    inputs = [shards.frames("ann_00", [0])[0], *shards.frames("bob_00", [0, 1])]
    small = [cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA) for picture in inputs]
    assert found == {digest(np.ascontiguousarray(picture)) for picture in [*made.values(), *small]}


def test_pyfeat_angles_become_degrees_of_the_project(exported, pictures, tmp_path):
    wanted = [(10.0, 20.0, -5.0), (-15.9, 24.7, 0.0), (0.0, -40.0, 30.0)]
    rows = [(digest(p), 0.9, pyfeat_pose(head(*w)), 0.7) for p, w in zip(pictures, wanted, strict=True)]
    collect("py-feat", exported, [fex(tmp_path, rows)], ABOUT).to_parquet(tmp_path / "r.parquet")
    assert np.allclose(Readings([tmp_path / "r.parquet"]).angles(pictures), wanted, atol=1e-9)


def test_openface_angles_become_degrees_of_the_project(exported, pictures, tmp_path):
    wanted = [(10.0, 20.0, -5.0), (-15.9, 24.7, 0.0), (0.0, -40.0, 30.0)]
    for picture, want in zip(pictures, wanted, strict=True):
        openface_csv(tmp_path / "csv" / f"{digest(picture)}.csv", [(0, 0.98, 1, head(*want).as_euler("XYZ"), 1)])
    collect("openface", exported, [tmp_path / "csv"], {}).to_parquet(tmp_path / "r.parquet")
    assert np.allclose(Readings([tmp_path / "r.parquet"]).angles(pictures), wanted, atol=1e-4)


def test_pyfeat_takes_the_best_face_and_knows_pictures_without_one(exported, pictures, tmp_path):
    a, b, c = map(digest, pictures)
    none = (np.nan,) * 3
    rows = [(a, 0.7, (0, 0, 0), 0.1), (a, 0.9, (0, 0, 0.5), 0.8), (b, 0.0, none, np.nan), (c, 0.6, (0, 0, 0), 0.4)]
    table = collect("py-feat", exported, [fex(tmp_path, rows)], ABOUT).set_index("digest")
    assert table["found"].to_dict() == {a: True, b: False, c: True}
    assert table.loc[a, "AU12"] == 0.8 and table.loc[a, "yaw"] == pytest.approx(np.degrees(0.5))
    assert np.isnan(table.loc[b, "AU12"])


def test_openface_per_picture_two_faces_and_none(exported, pictures, tmp_path):
    a, b, c = map(digest, pictures)
    folder = tmp_path / "csv"
    openface_csv(folder / f"{a}.csv", [(0, 0.4, 1, (0, 0, 0), 0), (1, 0.9, 1, (0, 0.5, 0), 1)])
    openface_csv(folder / f"{b}.csv", [])  # only the names of the columns
    with pytest.raises(InputError, match=f"no row for the picture {c}"):
        collect("openface", exported, [folder], {})
    (folder / f"{c}_of_details.txt").write_text("Input:" + c)  # OpenFace saw it and found nothing
    table = collect("openface", exported, [folder], {"version": "2.2.0"}).set_index("digest")
    assert table["found"].to_dict() == {a: True, b: False, c: False}
    assert table.loc[a, "yaw"] == pytest.approx(np.degrees(0.5), abs=1e-4) and table.loc[a, "AU45"] == 1


def test_openface_frames_are_the_pictures_in_order(exported, pictures, tmp_path):
    ordered = sorted(map(digest, pictures))
    rows = [(i, 0.9, i != 2, (0, 0.1 * i, 0), 1) for i in (1, 2, 3)]
    path = openface_csv(tmp_path / "pictures.csv", [(f, c, int(s), p, u) for f, c, s, p, u in rows], sequence=True)
    table = collect("openface", exported, [path], {}).set_index("digest")
    assert table["found"].to_dict() == {ordered[0]: True, ordered[1]: False, ordered[2]: True}
    assert table.loc[ordered[2], "yaw"] == pytest.approx(np.degrees(0.3), abs=1e-4)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text.replace("AU12_c", "AU12_x"), "has no column AU12_c."),
        (lambda text: text.replace("pose_Rx", "pose_Rq"), "has no column pose_Rx."),
        (lambda text: text.replace("frame", "image"), "has no column frame."),
        (lambda text: text.replace("0.100000", "left"), "the column pose_Ry holds something that is not a number."),
        (lambda text: text.replace("\n2, ", "\n7, "), "frame 7 is not one of the 3 pictures."),
        (lambda text: "\n".join(text.splitlines()[:-1]), "no row for the picture "),
        (lambda text: text.replace(", 1.00", ", 3.00"), "the column AU01 holds values beyond 0 to 1."),
        (lambda text: "", "Cannot read "),
    ],
)
def test_damaged_openface_files_are_named(exported, tmp_path, damage, sentence):
    rows = [(i, 0.9, 1, (0, 0.1, 0), 1) for i in (1, 2, 3)]
    path = openface_csv(tmp_path / "of.csv", rows, sequence=True)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=r"of\.csv") as refused:
        collect("openface", exported, [path], {})
    assert sentence in str(refused.value)


def test_damaged_pyfeat_files_are_named(exported, pictures, tmp_path):
    rows = [(digest(picture), 0.9, (0, 0, 0), 0.5) for picture in pictures]
    path = fex(tmp_path, rows)
    whole = pd.read_csv(path)
    cases = {
        r"fex\.csv has no column AU43\.": whole.drop(columns="AU43"),
        r"fex\.csv has no column input\.": whole.drop(columns="input"),
        r"fex\.csv: no row for the picture \w+ and 0 more": whole.iloc[1:],
        r"fex\.csv: stranger is not one of the pictures": whole.assign(input=["stranger.png", *whole["input"][1:]]),
    }
    for sentence, table in cases.items():
        table.to_csv(path, index=False)
        with pytest.raises(InputError, match=sentence):
            collect("py-feat", exported, [path], ABOUT)
    with pytest.raises(InputError, match=r"version '0\.6\.2' is not one"):
        collect("py-feat", exported, [path], {"version": "0.6.2"})


def test_lookups_are_by_pixels_and_strangers_are_refused(exported, pictures, tmp_path):
    a, b, c = map(digest, pictures)
    rows = [(a, 0.9, (0, 0, 0), 0.25), (b, 0.0, (np.nan,) * 3, np.nan), (c, 0.9, (0, 0, 0), 0.75)]
    collect("py-feat", exported, [fex(tmp_path, rows)], ABOUT).to_parquet(tmp_path / "r.parquet")
    read = Readings([tmp_path / "r.parquet", tmp_path / "r.parquet"])
    first, second, third = read.units([pictures[2], pictures[1], pictures[0].copy()])
    assert second is None and np.array_equal(first, [0.75] * 20) and np.array_equal(third, [0.25] * 20)
    assert (read.backend, read.version, read.weights) == ("py-feat", "2.1.5", ABOUT["weights"])
    assert read.unit_names[9] == "AU12"
    with pytest.raises(InputError, match=r"r\.parquet: a picture of 8×8 is not in the readings"):
        read.angles([pictures[0], 255 - pictures[0]])


def test_a_folder_that_was_read_without_us_is_collected_by_its_pixels(tmp_path, pictures):
    """FeatureExtraction -fdir on frames of any name: its rows follow the names; equal frames are one picture."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name, picture in (("b", pictures[1]), ("a", pictures[0]), ("c", pictures[0])):
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    rows = [(1, 0.9, 1, (0, 0, 0.1), 0), (2, 0.9, 1, (0, 0, 0.2), 1), (3, 0.9, 1, (0, 0, 0.1), 0)]
    path = openface_csv(tmp_path / "frames.csv", rows, sequence=True)
    collect("openface", folder, [path], {}).to_parquet(tmp_path / "r.parquet")
    first, second = Readings([tmp_path / "r.parquet"]).angles(pictures[:2])
    assert first == pytest.approx([0, 0, np.degrees(0.1)]) and second == pytest.approx([0, 0, np.degrees(0.2)])


def test_files_of_two_tools_or_versions_are_kept_apart(exported, pictures, tmp_path):
    rows = [(digest(picture), 0.9, (0, 0, 0), 0.5) for picture in pictures]
    table = collect("py-feat", exported, [fex(tmp_path, rows)], ABOUT)
    table.to_parquet(tmp_path / "a.parquet")
    table.attrs["version"] = "2.2.0"
    table.to_parquet(tmp_path / "b.parquet")
    frames = openface_csv(tmp_path / "of.csv", [(i, 0.9, 1, (0, 0, 0), 1) for i in (1, 2, 3)], sequence=True)
    collect("openface", exported, [frames], {}).to_parquet(tmp_path / "c.parquet")
    groups = by_backend((tmp_path / "a.parquet", tmp_path / "c.parquet"))
    assert set(groups) == {"py-feat", "openface"} and len(groups["openface"].unit_names) == 18
    with pytest.raises(InputError, match=r"b\.parquet and .*a\.parquet differ in the version"):
        by_backend((tmp_path / "a.parquet", tmp_path / "b.parquet"))
    pd.DataFrame({"digest": ["x"]}).to_parquet(tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet is not a readings file"):
        Readings([tmp_path / "d.parquet"])


def test_commands_from_folders_to_readings(tmp_path, pictures, capsys):
    for name, picture in zip("abc", pictures, strict=True):
        for folder, shown in (("generated", picture), ("target", 255 - picture)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), shown[..., ::-1])
    call = ["export", "--generated", tmp_path / "generated", "--target", tmp_path / "target"]
    main([*map(str, call), "--output", str(tmp_path / "out")])
    assert len(list((tmp_path / "out").iterdir())) == 6
    path = fex(tmp_path, [(each.stem, 0.9, (0, 0, 0), 0.5) for each in (tmp_path / "out").iterdir()])
    (tmp_path / "about.json").write_text(json.dumps(ABOUT))
    call = ["collect", "--backend", "py-feat", "--pictures", tmp_path / "out", "--csv", path]
    main([*map(str, call), "--about", str(tmp_path / "about.json"), "--output", str(tmp_path / "r.parquet")])
    assert Readings([tmp_path / "r.parquet"]).angles([255 - pictures[0]])[0].tolist() == [0, 0, 0]
    with pytest.raises(SystemExit) as stopped:
        main(["export", "--generated", str(tmp_path), "--shards", str(tmp_path), "--output", str(tmp_path / "x")])
    assert stopped.value.code == 2 and "Give either --shards" in capsys.readouterr().err
