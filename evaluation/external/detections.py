"""The CSV files of py-feat and OpenFace as one table: a row per picture, angles in degrees, action units from 0 to 1.

Both tools turn the head by angles about the camera's axes, in radians, but in different orders: the rotations are
expressed by the angles of :func:`preprocessing.cameras.angles`, so that the multi-view protocol can compare them with
the camera it asked for, and backends with one another.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from preprocessing.cli import InputError

ANGLES = ["pitch", "yaw", "roll"]
# The 20 units of py-feat's modular detectors, and OpenFace's presences (AU01_c, …; 0 or 1).
PYFEAT_UNITS = [f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)]
OPENFACE_UNITS = [f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)]
UNITS = {"py-feat": PYFEAT_UNITS, "openface": OPENFACE_UNITS}
NO_NUMBER = ["-nan", "-nan(ind)", "nan(ind)"]  # as C++ writes it


def pyfeat(files: Sequence[Path], pictures: Collection[str]) -> pd.DataFrame:
    """py-feat's faces (its Fex as CSV, version 2) of the pictures named ``pictures`` (file names without suffix).

    Returns a table indexed by picture: found, pitch, yaw, roll (degrees) and the 20 units. Of several faces the one
    with the best FaceScore counts; rows without numbers are pictures without a face. Raises InputError naming the file
    and the column, or the picture that has no row.

    Version 2 counts pitch upwards, yaw and roll towards the subject's right, in radians; they come from
    R = Rz · Ry · Rx, where x points right, y down and z away from the camera.
    """
    tables = []
    for path in files:
        table = _numbers(path, ["FaceScore", "Pitch", "Yaw", "Roll", *PYFEAT_UNITS], text=["input"])
        turned = table[["Pitch", "Yaw", "Roll"]].to_numpy() * (-1, 1, -1)
        table[ANGLES] = _degrees("xyz", turned)
        table["picture"] = [Path(name).stem for name in table["input"]]
        table["found"] = table[[*ANGLES, *PYFEAT_UNITS]].notna().all(axis=1)
        tables.append(table.rename(columns={"FaceScore": "score"}))
    return _best(pd.concat(tables, ignore_index=True), PYFEAT_UNITS, pictures, files[0])


def openface(files: Sequence[Path], pictures: Collection[str]) -> pd.DataFrame:
    """OpenFace's faces (``-pose -aus``), in the same form as :func:`pyfeat`; units are its 18 presences.

    Either one CSV per picture, named like it (FaceLandmarkImg), or a single CSV whose ``frame`` counts the pictures
    from 1 in the order of their names (FeatureExtraction). Of several faces the most confident counts; ``success`` 0 is
    no face. FaceLandmarkImg writes no CSV where it sees no face, but its ``…_of_details.txt`` all the same: a picture
    with neither raises InputError. pose_Rx, pose_Ry and pose_Rz are radians of R = Rx · Ry · Rz.
    """
    ordered = sorted(pictures)
    single = len(files) == 1 and files[0].stem not in pictures
    tables, blank = [], []
    for path in files:
        columns = ["pose_Rx", "pose_Ry", "pose_Rz", *(f"{unit}_c" for unit in OPENFACE_UNITS)]
        table = _numbers(path, ["confidence", *columns, *(["frame"] if single else [])], optional=["success"])
        table = table.rename(columns={f"{unit}_c": unit for unit in OPENFACE_UNITS} | {"confidence": "score"})
        table[ANGLES] = _degrees("XYZ", table[["pose_Rx", "pose_Ry", "pose_Rz"]].to_numpy())
        table["found"] = table[[*ANGLES, *OPENFACE_UNITS]].notna().all(axis=1)
        if "success" in table:
            table["found"] &= table["success"] == 1
        if single:
            if strange := set(table["frame"]) - set(range(1, len(ordered) + 1)):
                raise InputError(f"{path}: frame {min(strange):g} is not one of the {len(ordered)} pictures.")
            table["picture"] = [ordered[int(frame) - 1] for frame in table["frame"]]
        else:
            table["picture"] = path.stem
            blank += [path.stem] if table.empty else []
        tables.append(table)
    if not single:
        folders = {path.parent for path in files}
        blank += [name for name in ordered if any((at / f"{name}_of_details.txt").is_file() for at in folders)]
    everything = pd.concat([*tables, pd.DataFrame({"picture": blank, "found": False, "score": -1.0})])
    return _best(everything, OPENFACE_UNITS, pictures, files[0])


def _numbers(
    path: Path, columns: Sequence[str], *, text: Sequence[str] = (), optional: Sequence[str] = ()
) -> pd.DataFrame:
    """The named columns of a CSV file, numbers but for ``text``; OpenFace writes blanks before the names."""
    try:
        table = pd.read_csv(path, skipinitialspace=True, na_values=NO_NUMBER, dtype=dict.fromkeys(text, str))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {' '.join(str(error).split())}.") from None
    table.columns = table.columns.str.strip()
    for name in [*text, *columns]:
        if name not in table:
            raise InputError(f"{path} has no column {name}.")
    table = table[[*text, *columns, *(name for name in optional if name in table)]].copy()
    for name in table.columns.difference(list(text)):
        try:
            table[name] = pd.to_numeric(table[name]).astype(np.float64)
        except (ValueError, TypeError):
            raise InputError(f"{path}: the column {name} holds something that is not a number.") from None
    if any(table[name].isna().any() for name in text):
        raise InputError(f"{path}: the column {text[0]} is empty in some row.")
    return table


def _degrees(order: str, radians: np.ndarray) -> np.ndarray:
    """Pitch, yaw and roll [n, 3] in degrees of rotations given as angles about x, y and z in scipy's ``order``."""
    known = np.isfinite(radians).all(axis=1)
    degrees = np.full(radians.shape, np.nan)
    if known.any():
        roll, pitch, yaw = Rotation.from_euler(order, radians[known]).as_euler("ZXY", degrees=True).T
        degrees[known] = np.stack([pitch, yaw, roll], axis=1)
    return degrees


def _best(faces: pd.DataFrame, units: list[str], pictures: Collection[str], file: Path) -> pd.DataFrame:
    """One row per picture: its best face, or a row without numbers where none was found."""
    wanted = set(pictures)
    for name in sorted(set(faces["picture"]) - wanted):
        raise InputError(f"{file}: {name} is not one of the pictures.")
    if missing := sorted(wanted - set(faces["picture"])):
        raise InputError(f"{file}: no row for the picture {missing[0]} and {len(missing) - 1} more.")
    ordered = faces.sort_values(["found", "score"], ascending=False, kind="stable")
    best = ordered.drop_duplicates("picture").set_index("picture").sort_index()
    best.loc[~best["found"].astype(bool), [*ANGLES, *units]] = np.nan
    if outside := [unit for unit in units if not best[unit].dropna().between(0, 1).all()]:
        raise InputError(f"{file}: the column {outside[0]} holds values beyond 0 to 1.")
    return best[["found", *ANGLES, *units]].astype(dict.fromkeys([*ANGLES, *units], np.float64) | {"found": bool})
