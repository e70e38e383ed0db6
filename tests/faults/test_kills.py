"""kill -9 at seeded points of the data stages; benchmarks/kill_stages.py does hundreds."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_killed_stages_leave_whole_files_and_a_rerun_gives_the_same_bytes(carphone: Path, tmp_path: Path):
    (tmp_path / "videos").mkdir()
    shutil.copy(carphone / "man in car.mp4", tmp_path / "videos")
    command = [sys.executable, "benchmarks/kill_stages.py", str(tmp_path / "videos"), "--rounds", "6", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 rounds" in done.stdout
