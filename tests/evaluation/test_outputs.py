"""Reading the real set, and inputs at the generated frames' size."""

import numpy as np
import pytest

from evaluation import outputs
from evaluation.outputs import Inputs, read_real
from preprocessing.cli import InputError
from preprocessing.reader import Sample


def test_a_real_set_reads_back_and_bad_files_are_named(tmp_path):
    (tmp_path / "real.csv").write_text("key,frame,clip\n007,3,7\nb_00,0,b\n")
    assert read_real(tmp_path / "real.csv") == [("007", 3), ("b_00", 0)]
    (tmp_path / "bad.csv").write_text("key,clip\n")
    with pytest.raises(InputError, match=r"bad\.csv lacks the columns frame"):
        read_real(tmp_path / "bad.csv")
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_real(tmp_path / "nowhere.csv")


def test_inputs_are_black_where_the_mask_is_background():
    class Shards:
        samples = [Sample("a_00", "a", "a", "test", 1, 25.0, "00000", "tiny")]  # noqa: RUF012

        def frames(self, key, indices):
            return np.full((len(indices), 8, 8, 3), 200, np.uint8)

        def masks(self, key, indices):
            mask = np.zeros((len(indices), 8, 8), np.uint8)
            mask[:, :, 4:] = 3
            return mask

    picture = Inputs(Shards(), 4).picture("a_00", 0)
    assert picture.shape == (4, 4, 3) and (picture[:, :2] == 0).all() and (picture[:, 2:] == 200).all()


def test_inputs_keep_the_last_frames_only(monkeypatch):
    monkeypatch.setattr(outputs, "KEPT", 2)
    read = []

    class Shards:
        samples: tuple[Sample, ...] = ()

        def frames(self, key, indices):
            read.extend(indices)
            return np.full((1, 4, 4, 3), indices[0], np.uint8)

        def masks(self, key, indices):
            return np.ones((1, 4, 4), np.uint8)

    inputs = Inputs(Shards(), 4)
    assert [int(inputs.picture("a_00", i)[0, 0, 0]) for i in (1, 2, 1, 3, 1, 2)] == [1, 2, 1, 3, 1, 2]
    assert read == [1, 2, 3, 2]  # 2 had made way for 3, the oldest of the two kept
