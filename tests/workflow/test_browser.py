"""The mini chain's report and pages in headless Chromium."""

import pytest

from tests.browser import check_all, chromium

pytestmark = [pytest.mark.chain, pytest.mark.timeout(1800)]


browser = pytest.fixture(scope="module")(chromium)


def test_the_chains_report_opens_in_a_browser(browser, chain):
    seen = check_all(browser, chain.folder / "results" / "mini" / "report.html")
    assert seen["report.html"]["pictures"] >= 5 and seen["report.html"]["videos"] >= 1
    assert {"method-planedict.html", "method-copy.html", "clip-franck.html"} <= set(seen)
