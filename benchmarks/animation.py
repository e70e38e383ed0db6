"""Frames per second of a driving clip at the demo's size: codes, planes and rendering, from frames in memory.

``python benchmarks/animation.py [CHECKPOINT]`` (without one: untrained weights). The source's work once against the
source's work for every frame, and with empty space left out (what the animator does where there is enough of it).
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks.timing import compare
from model.animator import Animator
from model.cameras import view_labels
from model.checkpoints import load_weights
from model.planedict import PlaneDict
from workflow.settings import read

FRAMES = 16
CONFIG = Path(__file__).parent.parent / "workflow/config/demo.yaml"


def main(*checkpoints: str) -> None:
    """Clips of ``FRAMES`` frames, one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = load_weights(Path(checkpoints[0]))[0] if checkpoints else PlaneDict(read(CONFIG).model)
    animator, s = Animator(model), model.settings
    channels = 1 if s.motion_encoder else 3
    photo = torch.rand(1, 3, s.encoder.resolution, s.encoder.resolution) * 2 - 1
    frames = torch.randn(FRAMES, channels, model.driver_resolution, model.driver_resolution)
    labels = view_labels(torch.linspace(-0.3, 0.3, FRAMES), torch.zeros(FRAMES))
    held = animator.source(photo)

    def clip(sparse: bool) -> None:
        animator.drive(replace(held, sparse=sparse), animator.motion(frames, frames[:1]), labels)

    def frame_by_frame() -> None:
        for i in range(FRAMES):
            motion = animator.motion(frames[i : i + 1], frames[:1])
            animator.drive(replace(animator.source(photo), sparse=False), motion, labels[i : i + 1])

    print(f"{FRAMES} frames of {s.resolution}²; the animator would look for empty space: {held.sparse}")
    ours = compare("source once, against source for every frame", lambda: clip(False), frame_by_frame, repeats=5)
    print(f"  {FRAMES / ours:.1f} frames per second of processor time")
    compare("empty space left out, against all of it", lambda: clip(True), lambda: clip(False), repeats=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
