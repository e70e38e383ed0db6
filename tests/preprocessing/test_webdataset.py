"""Other people's readers read what we write: webdataset the shards, decord the videos that our decoder reads."""

import io

import decord
import imageio_ffmpeg
import numpy as np
import webdataset
from PIL import Image

from preprocessing.reader import ShardReader
from preprocessing.video import frames as decode


def test_webdataset_finds_every_sample_whole(synthetic_shards, monkeypatch):
    monkeypatch.setenv("WDS_SECURE", "1")
    reader = ShardReader(synthetic_shards)
    url = str(synthetic_shards / "00000.tar")
    samples = {s["__key__"]: s for s in webdataset.WebDataset(url, shardshuffle=False)}
    assert sorted(samples) == sorted(s.key for s in reader.samples)
    for sample in reader.samples:
        members = samples[sample.key]
        assert {"cameras.npy", "landmarks.npy", "meta.json"} <= set(members)
        images = [name for name in members if name.endswith(".jpg")]
        assert len(images) == sample.frames
        picture = np.asarray(Image.open(io.BytesIO(members["00003.jpg"])).convert("RGB"))
        np.testing.assert_array_equal(picture, reader.frames(sample.key, [3])[0])


def test_decord_sees_the_same_frames(tmp_path):
    y, x = np.mgrid[:64, :96]
    frames = [np.stack([(x * 2 + 8 * i) % 256, y * 3, np.full_like(x, 100)], -1).astype(np.uint8) for i in range(12)]
    writer = imageio_ffmpeg.write_frames(tmp_path / "a.mp4", (96, 64), fps=25, quality=9)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    ours = [frame for _, frame in decode(tmp_path / "a.mp4")]
    theirs = decord.VideoReader(str(tmp_path / "a.mp4"))
    assert len(ours) == len(theirs) == 12
    for index, frame in enumerate(ours):
        assert np.abs(frame.astype(int) - theirs[index].asnumpy()).mean() < 1.5
