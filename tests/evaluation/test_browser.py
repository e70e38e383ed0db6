"""The report and its pages in headless Chromium; the checks themselves find what they are there for."""

import pytest
from PIL import Image

from tests.browser import check, check_all, chromium, contrast

PAGE = "<!doctype html><html><head><title>t</title><link rel='icon' href='data:,'></head><body>{}</body></html>"


browser = pytest.fixture(scope="module")(chromium)


def test_a_run_opens_in_a_browser(browser, finished_run):
    seen = check_all(browser, finished_run / "report.html")
    assert set(seen) == {
        "report.html",
        *(f"method-{slug}.html" for slug in ("planedict", "planedict-5", "copy")),
        *(f"clip-{clip}.html" for clip in ("ann", "bob")),
    }
    assert seen["report.html"]["videos"] == 3 and seen["report.html"]["tables"] >= 10
    assert seen["method-planedict.html"]["videos"] == 4 and seen["method-copy.html"]["videos"] == 0
    assert seen["clip-ann.html"]["videos"] == 2
    assert all(count["pictures"] >= 5 for name, count in seen.items() if name != "report.html")
    assert all(count["tables"] for count in seen.values())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<img src='data:image/png;base64,AAAA'>", "pictures"),
        ("<video src='data:video/mp4;base64,AAAA'></video>", "videos"),
        ("<table><tbody></tbody></table>", "tables"),
        ("<a href='nowhere.html'>x</a>", "nowhere"),
        ("<a href='#nowhere'>x</a>", "nowhere"),
        ("<p style='width: 3000px'>x</p>", "too wide"),
        ("<p style='background: url(there.png)'>x</p>", "there.png"),
        ("<script>console.error('broken')</script>", "broken"),
        ("<script>nothing.at.all</script>", "nothing"),
        ("<style>body {color: #777; background: #888}</style>", "rgb"),
    ],
)
def test_what_is_wrong_is_found(body, complaint, browser, tmp_path):
    (tmp_path / "a.html").write_text(PAGE.format("<style>body {background: #fff}</style>" + body))
    with pytest.raises(AssertionError, match=complaint):
        check(browser, tmp_path / "a.html", "phone", "light")


def test_a_file_beside_the_page_is_a_request(browser, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "there.png")
    (tmp_path / "a.html").write_text(PAGE.format("<style>body {background: #fff}</style><img src='there.png'>"))
    with pytest.raises(AssertionError, match="asks for"):
        check(browser, tmp_path / "a.html", "phone", "light")


def test_contrast_is_wcags():
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)
