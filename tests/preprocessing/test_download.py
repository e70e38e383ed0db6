"""Downloads from a local web server that breaks off, stalls, refuses, changes its file or knows no ranges."""

import subprocess
import sys
import time

import numpy as np
import pytest

from preprocessing import download
from preprocessing.cli import InputError

BODY = np.random.default_rng(0).bytes(10 * download.BLOCK + 123)
SOME = 4 * download.BLOCK


@pytest.fixture(autouse=True)
def served(web, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(download, "STALLED", 0.3)
    web.files["net.pth"] = BODY


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pth"


@pytest.fixture
def fetch(web, path):
    return lambda check=lambda part: None: download.download(f"{web.url}/net.pth", path, check)


def only_the_file(path, body=BODY):
    return path.read_bytes() == body and list(path.parent.iterdir()) == [path]


def test_a_file_comes_whole(web, fetch, path):
    fetch()
    assert only_the_file(path)
    assert len(web.asked) == 1 and "Range" not in web.asked[0]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_transfer_that_breaks_off_goes_on(web, fetch, path, ranges, fault):
    """With ranges from where it stopped; from the start where the server knows none."""
    web.ranges = ranges
    getattr(web, fault)(SOME)
    fetch()
    assert only_the_file(path)
    assert web.asked[1]["Range"] == f"bytes={SOME}-" and web.asked[1]["If-Range"] == '"1"'
    assert web.sent == len(BODY) + (0 if ranges else SOME)


def test_a_later_call_continues_what_an_earlier_one_left(web, fetch, path):
    for _ in range(download.ATTEMPTS):
        web.cut(download.BLOCK)
    with pytest.raises(
        InputError, match=rf"{web.url}/net.pth broke off 5 times .*; {5 * download.BLOCK} bytes are kept"
    ):
        fetch()
    assert not path.exists()
    fetch()
    assert only_the_file(path) and web.sent == len(BODY)


@pytest.mark.parametrize(
    ("version", "asks"),
    [
        ({"ETag": '"2"'}, True),
        ({"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, True),
        ({"ETag": 'W/"2"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, True),
        ({"ETag": 'W/"2"'}, False),
        ({}, False),
    ],
)
def test_parts_are_joined_only_where_they_are_of_one_version(web, fetch, path, version, asks):
    """RFC 9110: a weak ETag cannot vouch for bytes."""
    web.version = version
    web.cut(SOME)
    fetch()
    assert only_the_file(path)
    assert ("Range" in web.asked[1]) == asks


def test_a_file_that_changed_meanwhile_starts_again(web, fetch, path):
    for _ in range(download.ATTEMPTS):
        web.cut(0)
    web.faults[0] = ("cut", SOME, {})
    with pytest.raises(InputError, match="broke off"):
        fetch()
    web.version, web.files["net.pth"] = {"ETag": '"2"'}, BODY[::-1]
    fetch()
    assert only_the_file(path, BODY[::-1])


def test_a_server_that_sends_the_wrong_range_starts_again(web, fetch, path):
    web.wrong_ranges = True
    web.cut(SOME)
    fetch()
    assert only_the_file(path)
    assert ["Range" in headers for headers in web.asked] == [False, True, False]


def test_a_whole_part_that_was_killed_before_it_got_its_name(web, fetch, path):
    path.with_name("net.pth.part").write_bytes(BODY)
    path.with_name("net.pth.part.version").write_text('"1"')
    fetch()
    assert only_the_file(path) and web.sent == 0


def test_a_refused_file_leaves_nothing(fetch, path):
    def refuse(part):
        assert part.read_bytes() == BODY and not path.exists()
        raise InputError("not this one")

    with pytest.raises(InputError, match="not this one"):
        fetch(refuse)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(("status", "times"), [(404, 1), (403, 1), (429, 5), (503, 5)])
def test_refusals_are_named_and_only_passing_ones_tried_again(web, fetch, path, status, times):
    for _ in range(download.ATTEMPTS):
        web.refuse(status)
    with pytest.raises(InputError, match=rf"Cannot download {web.url}/net.pth: it answers {status} \("):
        fetch()
    assert len(web.asked) == times and not path.exists()


def test_the_server_says_how_long_to_wait(web, fetch, path, monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    web.refuse(429, Retry_After="7")
    web.refuse(503, Retry_After="100000")
    fetch()
    assert only_the_file(path) and waited == [7, download.LONGEST_PAUSE]


def test_a_web_page_is_no_file(web, fetch, path):
    web.kind = "text/html; charset=utf-8"
    with pytest.raises(InputError, match=rf"{web.url}/net.pth answers with a web page"):
        fetch()
    assert not path.exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/net.pth", "nonsense/net.pth"])
def test_unreachable_addresses_are_named(path, url):
    with pytest.raises(InputError, match=f"^Cannot download {url}: "):
        download.download(url, path, lambda part: None)


def test_a_killed_download_leaves_no_named_file_and_is_continued(web, fetch, path):
    web.stall(SOME)
    call = f"download.download({web.url + '/net.pth'!r}, Path({str(path)!r}), print)"
    code = f"from pathlib import Path; from preprocessing import download; {call}"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    part = path.with_name("net.pth.part")
    # Three blocks: the last one may wait in the writer's buffer.
    while process.poll() is None and not (part.exists() and part.stat().st_size >= 3 * download.BLOCK):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not path.exists() and part.stat().st_size >= 3 * download.BLOCK
    fetch()
    assert only_the_file(path) and "Range" in web.asked[-1]
