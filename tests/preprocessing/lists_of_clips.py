"""Small made-up lists in the formats of the datasets, with the traps of the real ones."""

import os
from pathlib import Path

import pytest

FOMM_HEADER = "video_id,start,end,bbox,fps,width,height,partition,person_id"
FOMM_ROWS = [
    "aaaaaaaaaaa,100,200,400-50-600-350,25,1280,720,train,id10001",
    "aaaaaaaaaaa,300,364,400-50-700-360,25,1280,720,train,id10001",
    "aaaaaaaaaaa,100,200,400-50-600-350,25,1280,720,train,id10001",  # an exact duplicate
    "-bbbbbbbb_b,0,1024,10-300-400-730,25,1280,720,train,id10002",  # leaves the frame at the bottom
    "ccccccccccc,5,105,100-100-300-300,25,640,360,train,id10282",  # of a test person, in both partitions
    "ccccccccccc,5,105,100-100-300-300,25,640,360,test,id10282",
    "ddddddddddd,5,105,100-100-300-300,25,640,360,test,id10306",
    "ddddddddddd,9,99,100-100-300-300,25,640,360,train,id10003",  # a train person in a test video
    "eeeeeeeeeee,9,99,100-100-300-300,25,640,360,train,id10003",
]

UTTERANCE = """Identity  : \tid10001
Reference : \taaaaaaaaaaa
Offset    : \t-2
FV Conf   : \t18.000\t(1)
ASD Conf  : \t6.000

FRAME \tX \tY \tW \tH 
000185 \t212 \t51 \t148 \t150 
000186 \t214 \t51 \t148 \t150 
000187 \t213 \t51 \t148 \t150 
"""  # noqa: W291

TUBES = [
    "aaaaaaaaaaa_0000,720,1280,0,99,100,50,400,350",
    "aaaaaaaaaaa_0002,720,1280,30,129,100,50,400,350",
    "bbbbbbbbbbb_0001,1080,1920,7,7,100,50,400,350",
]


def write(path: Path, *lines: str) -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def real(variable: str) -> Path:
    """A real list at the path that an environment variable holds; the test is skipped without it."""
    path = Path(os.environ.get(variable) or "/nonexistent")
    if not path.is_file():
        pytest.skip(f"${variable} names no copy of the real list")
    return path
