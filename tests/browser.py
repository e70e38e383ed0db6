"""A report and its pages in a real browser: Debian's Chromium, driven by playwright; skipped where there is none."""

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
# What the page itself can say once everything in it has had time to load. A video that starts anew, as ours do at their
# end, has no frame for a moment: that it had one once is remembered.
LOADED = """() => {
    const videos = [...document.querySelectorAll('video')];
    for (const v of videos) if (v.readyState >= 2) v.dataset.seen = 'yes';
    return [...document.images].every(i => i.complete) && videos.every(v => v.dataset.seen || v.error);
}"""
STATE = """() => ({
    pictures: [...document.images].map(i => i.complete && i.naturalWidth > 0),
    videos: [...document.querySelectorAll('video')].map(v => Boolean(v.dataset.seen) && v.videoWidth > 0),
    tables: [...document.querySelectorAll('table')].map(t => t.tBodies[0]?.rows.length > 0),
    links: [...document.links].map(a => a.getAttribute('href')),
    wide: document.scrollingElement.scrollWidth - innerWidth,
    colours: [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor],
})"""


def chromium() -> Iterator[Browser]:
    """What a fixture yields: Debian's Chromium without a window. Skips where it is absent or does not start."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"chromium does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


def check(browser: Browser, path: Path, size: str, scheme: str) -> Counter[str]:
    """Open one page and assert that all of it loads, that nothing leaves it, that it fits and that its links lead on.

    Returns how many pictures, videos, tables and links were seen.
    """
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page, wrong, asked = context.new_page(), [], []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"{request.url[-80:]}: {request.failure}"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.absolute().as_uri())
    with contextlib.suppress(Error):  # what did not load is named below
        page.wait_for_function(LOADED, timeout=30_000)
    state = page.evaluate(STATE)
    context.close()
    where = f"{path.name} ({size}, {scheme})"
    assert not wrong, f"{where}: {wrong[:3]}"
    # Pictures inside the page are no requests of it; Chromium reports them as data:.
    left = [url[-80:] for url in asked if url != path.absolute().as_uri() and not url.startswith("data:")]
    assert not left, f"{where} asks for {left[:3]}"
    for kind in ("pictures", "videos", "tables"):
        broken = [index for index, good in enumerate(state[kind]) if not good]
        assert not broken, f"{where}: {kind} {broken} of {len(state[kind])} are empty"
    assert state["wide"] <= 0, f"{where} is {state['wide']} pixels too wide"
    assert contrast(*state["colours"]) > 7, f"{where}: {state['colours']}"
    for link in state["links"]:
        assert leads_somewhere(path, link), f"{where}: {link} leads nowhere"
    return Counter({kind: len(state[kind]) for kind in ("pictures", "videos", "tables", "links")})


def leads_somewhere(page: Path, link: str) -> bool:
    """Does a relative link name a file that is there, and its fragment an element of that file?"""
    parts = urlsplit(link)
    target = page.parent / unquote(parts.path) if parts.path else page
    if parts.scheme or parts.netloc or not target.is_file():
        return False
    return not parts.fragment or f'id="{parts.fragment}"' in target.read_text(encoding="utf-8")


def contrast(ink: str, paper: str) -> float:
    """WCAG 2's contrast ratio of two CSS colours ``rgb(r, g, b)``."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def check_all(browser: Browser, report: Path) -> dict[str, Counter[str]]:
    """Every page at both sizes, light and dark; what was seen by page."""
    seen = {}
    for path in [report, *sorted((report.parent / "pages").glob("*/*.html"))]:
        seen[path.name] = check(browser, path, "desktop", "light")
        assert check(browser, path, "phone", "dark") == seen[path.name]
    return seen
