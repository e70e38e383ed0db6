"""What stands over a column of a contact sheet."""

import pytest

from preprocessing.samples import label


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (60, "id10001#7w0IBEWc9Qw#001724#001966 #1801 train"),
        (30, "id10001#...#001966 #1801 train"),
        (5, "i... #1801 train"),
    ],
)
def test_a_long_name_leaves_room_for_frame_and_split(width: int, text: str) -> None:
    assert label("id10001#7w0IBEWc9Qw#001724#001966", "#1801 train", width, len) == text
