"""The pages for people: by keyboard and on a phone, signed in or not, with nothing that runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest
from starlette.routing import Route

from serving.api.app import make_app
from serving.keys import end_key, list_keys
from serving.page_pictures import reason_bars
from tests.serving.api.browser import Browser, chromium
from tests.serving.api.conftest import Running, running
from tests.serving.api.test_access import OPENS
from tests.serving.conftest import (
    APRIL,
    MARCH,
    make_batch,
    make_change,
    make_contact,
    make_deal,
    make_points,
    make_reasons,
)

HOSTILE = "</script><script>alert(1)</script>\u202e=1"
OPEN_PAGES = {"/assets/pages.css", "/sign-in", "/docs", "/openapi.json"}
PAGES = {"/", "/find", "/view/{kind}", "/report", "/sign-out"}


def fill(served: Running, home: Path) -> None:
    """Two batches of contacts and deals, one of them with hostile names, and a report."""
    for batch_id, as_of, higher in (("b1", MARCH, 0.0), ("b2", APRIL, 0.2)):
        reasons = make_reasons(activity=0.15 + higher)
        rows = [make_contact(name, agreement="both_low") for name in ("17", HOSTILE)] + [
            make_contact("a/b c", agreement="points_only", points_likelihood=0.9)
        ]
        changed = {"close_likelihood": 0.3 + higher, "likelihood_high": 0.6, "reasons": reasons}
        changed |= {"points_reasons": make_points(**{HOSTILE: 40.0, "Silent": -5.0})}
        if higher:
            changed |= {"previous_likelihood": 0.3, "change": make_change(facts=0.25, time=-0.05)}
        contacts = pd.DataFrame([row | changed | {"as_of": pd.Timestamp(as_of)} for row in rows])
        deals = pd.DataFrame([make_deal("d1", as_of=pd.Timestamp(as_of), stage=HOSTILE)])
        served.store.publish(make_batch(batch_id, as_of=as_of, contacts=contacts, deals=deals))
    (home / "reports").mkdir(parents=True)
    (home / "reports" / "b2.html").write_text("<!doctype html><title>Report</title><h1>Report</h1>", encoding="utf-8")


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Running]:
    home = tmp_path / "home"
    with running(f"sqlite:///{tmp_path / 's.db'}", home) as served:
        fill(served, home)
        yield served


def signed_in(served: Running) -> httpx.Client:
    client = httpx.Client(base_url=served.url, follow_redirects=False, timeout=30)
    served.clients.append(client)
    answer = client.post("/sign-in", data={"key": served.key("reports:read")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return client


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as made:
        yield made


def test_every_page_needs_a_sign_in(pages: Running) -> None:
    app = make_app(pages.service)
    routes = {
        (method, route.path)
        for route in [*app.state.routes, *app.routes]
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    shown = {path for method, path in routes if f"{method} {path}" not in OPENS} - OPEN_PAGES
    client = httpx.Client(base_url=pages.url)
    pages.clients.append(client)

    assert shown == PAGES
    for path in ("/", "/find?id=17", "/view/contact?id=17", "/report"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"], answer.content) == (303, "/sign-in", b"")


def test_the_cookie_is_closed_to_scripts_and_other_sites(pages: Running) -> None:
    client = httpx.Client(base_url=pages.url)
    pages.clients.append(client)

    cookie = client.post("/sign-in", data={"key": pages.key("reports:read")}).headers["set-cookie"].lower()

    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "ll_" not in cookie


@pytest.mark.parametrize("scope", ["scores:read", "reasons:read", None])
def test_a_key_that_does_not_open_reports_does_not_sign_in(pages: Running, scope: str | None) -> None:
    client = httpx.Client(base_url=pages.url)
    pages.clients.append(client)

    refused = client.post("/sign-in", data={"key": "nonsense" if scope is None else pages.key(scope)})

    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    assert "does not open the reports" in refused.text


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_of_another_site_is_refused(pages: Running, headers: dict[str, str]) -> None:
    client = signed_in(pages)

    for path in ("/sign-in", "/sign-out"):
        answer = client.post(path, data={"key": pages.key("admin")}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_form")
    assert client.post("/sign-out", data={"form_token": "guessed"}).status_code == 403
    assert client.get("/").status_code == 200


def test_a_session_ends_with_its_key_or_after_some_hours(pages: Running) -> None:
    client = signed_in(pages)
    end_key(pages.store, list_keys(pages.store)[0].key_id, at=pages.clock(), revoke=True)
    other = signed_in(pages)

    assert client.get("/").status_code == 303
    assert other.get("/").status_code == 200
    pages.clock.now += timedelta(hours=8)
    assert other.get("/").status_code == 303


def test_an_object_is_shown_with_its_reasons_history_and_facts(pages: Running) -> None:
    text = signed_in(pages).get("/view/contact?id=17").text.replace("\xa0", " ")

    assert "50 %" in text
    assert "Was in touch lately" in text
    # Two reasons, two parts of the change, two lines of the points.
    assert text.count('class="bar"') == 6
    assert "From 30 % on 1 February 2024" in text
    assert ("+25.0 pp" in text, "−5.0 pp" in text, "+40" in text) == (True, True, True)
    assert 'class="history"' in text
    assert "<dt>Ranked high by</dt><dd>neither</dd>" in text
    assert "<dd>35</dd>" in text


def test_what_is_hostile_stays_text(pages: Running) -> None:
    client = signed_in(pages)
    for path in (
        "/",
        f"/view/contact?id={HOSTILE}",
        "/view/deal?id=d1",
        f"/view/contact?id={HOSTILE}x",
        "/view/x?id=<b>",
    ):
        text = client.get(path).text

        assert "<script" not in text
        assert "\u202e" not in text
        assert "<b>" not in text.replace("<b>50", "").replace("<b>30", "")


def test_the_list_shows_where_model_and_habit_disagree_most(pages: Running) -> None:
    text = signed_in(pages).get("/").text

    assert "/view/contact?id=a/b%20c" in text
    assert "/view/contact?id=17" not in text
    assert "/view/deal?id=d1" in text


def test_the_list_goes_by_tier_and_points_where_only_the_order_is_published(small: Running) -> None:
    none = dict.fromkeys(("close_likelihood", "likelihood_low", "likelihood_high", "points_likelihood", "reasons"))
    rank_only = none | {"not_scored": "rank only", "agreement": "model_only", "tier": "very_high", "points": 5.0}
    small.store.publish(make_batch(contacts=pd.DataFrame([make_contact("17", **rank_only)])))

    text = signed_in(small).get("/").text

    assert '<td class="figure">very high</td><td class="figure">5 points</td>' in text


def test_the_first_page_says_that_tables_are_held_back(pages: Running) -> None:
    client = signed_in(pages)
    before = client.get("/").text

    pages.service.held.parent.mkdir(exist_ok=True)
    pages.service.held.write_text("{}", encoding="utf-8")

    assert ("are held back" in before, "are held back" in client.get("/").text) == (False, True)


def test_reasons_that_are_left_out_are_summed_up() -> None:
    reasons = [{"words": str(place), "effect": effect} for place, effect in enumerate([0.4, -0.3, 0.2, 0.1, 0.05])]

    told = reason_bars(reasons, most=2)

    assert [(one["words"], round(one["effect"], 9)) for one in told] == [
        ("0", 0.4),
        ("1", -0.3),
        ("2", 0.2),
        ("everything else", 0.15),
    ]


def test_a_person_signs_in_looks_up_and_signs_out_by_keyboard_alone(pages: Running, browser: Browser) -> None:
    browser.resize(1100, 800)
    browser.open(f"{pages.url}/")
    browser.settle("/sign-in")
    browser.type(pages.key("reports:read"))
    browser.press("Enter")
    browser.settle("/")
    # Skip link, name, report, sign out, kind, id.
    browser.press(*["Tab"] * 6)
    assert browser.run("document.activeElement.name") == "id"
    browser.type("a/b c")
    browser.press("Enter")
    browser.settle("/view/contact")
    heading = browser.run("document.querySelector('h1').innerText")
    browser.run("document.querySelector('button.plain').focus()")
    browser.press("Enter")
    browser.settle("/sign-in")

    browser.open(f"{pages.url}/view/contact?id=17")
    browser.settle("/sign-in")

    assert heading == "Contact a/b c"


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1100, 800)])
def test_the_pages_fit_a_phone_and_ask_nobody_else(
    pages: Running, browser: Browser, tmp_path: Path, width: int, height: int
) -> None:
    browser.resize(width, height)
    browser.open(f"{pages.url}/sign-in")
    browser.requested.clear()
    browser.complaints.clear()
    browser.type(pages.key("reports:read"))
    browser.press("Enter")
    browser.settle("/")

    for path in ("/", "/view/contact?id=17", f"/view/contact?id={'x' * 300}"):
        browser.open(pages.url + path)
        assert browser.run("document.documentElement.scrollWidth") <= width
        small = "filter(one => one.offsetParent && one.offsetHeight < 36).length"
        assert browser.run(f"[...document.querySelectorAll('button, input, select')].{small}") == 0
        unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(one => !one.labels.length)"
        assert browser.run(f"{unnamed}.length") == 0
        assert browser.run("document.documentElement.lang") == "en"
        browser.picture(tmp_path / "page.png")
    browser.open(f"{pages.url}/report")

    assert browser.run("document.querySelector('h1').innerText") == "Report"
    assert [url for url in browser.requested if not url.startswith((pages.url, "data:"))] == []
    assert [said for said in browser.complaints if "404" not in said] == []
