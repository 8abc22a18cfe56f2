"""The report as a real browser shows it: alone, accessible, on a phone and on paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serving.report import render_report
from serving.report_language import Code
from tests.serving.api.browser import Browser, chromium
from tests.serving.conftest import make_contact
from tests.serving.reports import (
    HOSTILE,
    contact_rows,
    deal_rows,
    make_drivers,
    make_question,
    make_reasons,
    make_report,
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def small_report(language: Code = "en") -> str:
    """Both questions with everything that a report shows, on few rows."""
    changes = {
        "batch_id": "before",
        "as_of": "2026-02-01T00:00:00+00:00",
        "same_model": True,
        "trained_as_of": "2026-01-20T00:00:00+00:00",
        "new": 12,
        "gone": 3,
        "both": 18,
        "step": 0.005,
        "up": 4,
        "down": 2,
        "mean_before": 0.04,
        "mean_now": 0.05,
    }
    contacts = contact_rows(8).assign(previous_likelihood=0.05)
    return render_report(
        make_report(
            make_question("contacts", scores=contacts, changes=changes),
            make_question("deals", scores=deal_rows(4)),
            language=language,
            scored_at=pd.Timestamp("2026-03-09T00:00:00Z"),
            calls_a_week=2,
        )
    )


def opened(browser: Browser, page: str, folder: Path, *, width: int) -> None:
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    browser.resize(width, 900)
    browser.requested.clear()
    browser.complaints.clear()
    browser.open(file.as_uri())


@pytest.mark.parametrize("language", ["en", pytest.param("de", marks=pytest.mark.slow)])
def test_axe_finds_nothing_wrong_and_the_page_asks_for_nothing(
    browser: Browser, tmp_path: Path, language: Code
) -> None:
    opened(browser, small_report(language), tmp_path, width=1280)

    assert [url for url in browser.requested if not url.startswith(("file:", "data:"))] == []
    assert browser.complaints == []
    browser.run((resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: dict[str, Any] = browser.run(
        # A picture is one image to axe, so its parts are left out; they, loading styles again, and telling every
        # element that passed would take most of the time.
        "axe.run({exclude: [['svg > g']]}, {preload: false, resultTypes: ['violations']}).then("
        "told => ({passed: told.passes.length, wrong: told.violations.map("
        "one => [one.id, one.impact, one.nodes[0].html])}))"
    )
    assert found["wrong"] == []
    assert found["passed"] > 30


def test_a_phone_scrolls_down_only(browser: Browser, tmp_path: Path) -> None:
    opened(browser, small_report(), tmp_path, width=390)

    assert browser.run("document.documentElement.scrollWidth") <= 390


def test_every_answer_leads_to_the_section_that_says_more(browser: Browser, tmp_path: Path) -> None:
    opened(browser, small_report(), tmp_path, width=1280)

    missing = browser.run(
        "[...document.querySelectorAll('.answers a, nav a')].filter(a => !document.querySelector(a.hash)).length"
    )
    assert missing == 0
    assert browser.run("document.querySelectorAll('.answers div').length") == 4 + 3


def test_paper_is_a4_and_nothing_is_cut_off_at_its_side(browser: Browser, tmp_path: Path) -> None:
    opened(browser, small_report(), tmp_path, width=1280)

    told = browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
    pdf = base64.b64decode(told["data"])
    boxes = set(re.findall(rb"/MediaBox\s*\[([^\]]+)\]", pdf))
    assert [[round(float(side)) for side in box.split()] for box in boxes] == [[0, 0, 595, 842]]
    assert 8 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 40
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.resize(688, 1000)
    try:
        # A4 less its margins is 688 px wide; whatever reaches farther would be cut.
        wide = browser.run(
            "[...document.querySelectorAll('table, svg, p')].filter("
            "one => one.getBoundingClientRect().right > 690).map(one => one.outerHTML.slice(0, 80))"
        )
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
    assert wide == []


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    rows = pd.DataFrame([make_contact(HOSTILE, reasons=make_reasons(0.3, 0.2, noun=HOSTILE)), make_contact("c2")])
    drivers = make_drivers()
    drivers[0]["words"] = drivers[0]["features"][0]["words"] = HOSTILE
    page = render_report(make_report(make_question("contacts", scores=rows, drivers=drivers), title=HOSTILE))

    opened(browser, page, tmp_path, width=1280)

    assert browser.run("document.querySelectorAll('script, iframe, object, img, form').length") == 0
    assert "<script>alert(1)</script>" in browser.run("document.title")
    assert browser.complaints == []
