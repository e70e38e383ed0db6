"""Videos as they leave the project: H.264 that every player opens, the driver's sound, tags that say what they are."""

import contextlib
import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import imageio
import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8

from preprocessing.files import atomic
from preprocessing.video import check_written

log = logging.getLogger("video")

Picture = UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"]


@contextlib.contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    """Yield a function that appends one picture, RGB or grey; all are of one size. Without sound, almost lossless."""
    count = 0
    with atomic(path) as temporary:
        with imageio.get_writer(
            temporary, format="FFMPEG", fps=fps, codec="libx264", quality=8, pixelformat="yuv420p", macro_block_size=2
        ) as writer:

            def append(picture: Picture) -> None:
                nonlocal count
                writer.append_data(picture)  # type: ignore[attr-defined] # the annotation names the common base
                count += 1

            yield append
        check_written(temporary, count)


def publish(
    silent: Path,
    output: Path,
    tags: Mapping[str, str],
    driving: Path | None = None,
    span: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Copy the video ``silent`` to ``output``, with ``tags``, and with the sound of ``driving`` where it has any.

    ``span`` is when the video's first frame begins and its last one ends, in seconds of ``driving``: its sound is cut
    there. The pictures are not compressed again. A sound that FFmpeg cannot read is left out with a warning.
    """
    start, end = span
    # Of the driver's own tags nothing stays: they are about another video.
    written = ["-c:v", "copy", "-map_metadata", "-1", "-map_chapters", "-1"]
    written += [part for name, value in tags.items() for part in ("-metadata", f"{name}={value}")]
    pictures = ["-i", f"file:{silent}"]
    with atomic(output) as temporary:
        written += ["-movflags", "+faststart", f"file:{temporary}"]
        if driving is not None:
            sound = ["-ss", f"{start:.6f}", "-t", f"{end - start:.6f}", "-protocol_whitelist", "file"]
            sound += ["-i", f"file:{driving.absolute()}"]
            done = _ffmpeg(*pictures, *sound, "-map", "0:v:0", "-map", "1:a:0?", "-c:a", "aac", *written)
            if done.returncode == 0:
                return
            log.warning("The sound of %s is left out: %s", driving, done.stderr.decode(errors="replace").strip())
        _ffmpeg(*pictures, "-map", "0:v:0", *written).check_returncode()


def _ffmpeg(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments]
    return subprocess.run(command, capture_output=True, check=False)
