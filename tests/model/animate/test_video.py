"""What becomes of sound that cannot be read; the rest is tested where the command is."""

import logging

import imageio_ffmpeg
import numpy as np

from model.animate.video import publish, video_writer


def test_sound_that_cannot_be_read_is_left_out_with_a_warning(tmp_path, caplog):
    with video_writer(tmp_path / "silent.mp4", 25) as add:
        for level in range(0, 250, 50):
            add(np.full((32, 48), level, np.uint8))
    (tmp_path / "driver.mp4").write_text("no video")
    with caplog.at_level(logging.WARNING):
        publish(tmp_path / "silent.mp4", tmp_path / "out.mp4", {"title": "a"}, tmp_path / "driver.mp4", (0.0, 0.2))
    assert "driver.mp4 is left out" in caplog.text
    reader = imageio_ffmpeg.read_frames(tmp_path / "out.mp4")
    assert next(reader)["size"] == (48, 32)
    assert [np.frombuffer(frame, np.uint8).mean().round(-1) for frame in reader] == [0, 50, 100, 150, 200]
