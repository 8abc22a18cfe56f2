from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from features.sources.hubspot.client import Credentials, DailyLimitError, MissingScopeError, UnavailableError
from features.sources.hubspot.instants import iso
from features.sources.hubspot.landing import Landing, LandingBusyError
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.answers import Reply
from features.sources.hubspot_sandbox.api import Api, Request
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import Arrival, Misfortune, at_once, serving, undisturbed
from tests.features.hubspot_accounts import START, TOKEN, Killed, Reading, Storm, VirtualClock, make_account, make_api

# Requests for what an account defines, which every run reads anew.
DEFINITIONS = 7


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def account(clock: VirtualClock) -> Account:
    return make_account(clock)


@contextmanager
def reading(
    api: Api,
    clock: VirtualClock,
    home: Path,
    *,
    misfortune: Misfortune = undisturbed,
    arrival: Arrival = at_once,
    **settings: Any,
) -> Iterator[Reading]:
    with serving(api, misfortune=misfortune, arrival=arrival) as url:
        yield Reading(url, clock, home / "warehouse" / "hubspot.db", settings)


def small_company(account: Account, *, contacts: int = 130, deals: int = 60, calls: int = 120) -> dict[str, list[int]]:
    """An account whose objects fill more than one page of each kind."""
    people = [account.create("contacts", {"email": f"c{n}@example.org", "industry": "retail"}) for n in range(contacts)]
    firms = [account.create("companies", {"name": f"F{n}", "country": "DE"}) for n in range(3)]
    chances = [account.create("deals", {"pipeline": "default", "dealstage": "qualified"}) for _ in range(deals)]
    for place, deal in enumerate(chances):
        account.link("deals", deal, "contacts", people[place % len(people)])
        account.link("deals", deal, "companies", firms[place % 3], primary=True)
    talks = []
    for place in range(calls):
        call = account.create("calls", {"hs_timestamp": iso(account.now()), "hs_call_disposition": "busy"})
        account.link("calls", call, "contacts", people[place % len(people)])
        talks.append(call)
    return {"contacts": people, "companies": firms, "deals": chances, "calls": talks}


def asked(api: Api) -> Counter[str]:
    """Count requests by the last part of their path that is not a version, and forget them."""
    found = Counter(path.removeprefix("/crm/").replace("/2026-09", "") for _, path in api.calls)
    api.calls.clear()
    return found


def test_a_first_reading_asks_for_each_page_once_and_hardly_more(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    ids = small_company(account)
    api = make_api(account)

    with reading(api, clock, tmp_path) as home:
        findings = home.sync()
        tables = home.tables()

    requests = asked(api)
    # 130, 3, 60 and 120 objects in pages of 50 (their history is read), and none of the other engagements.
    pages = {
        "contacts": 3,
        "companies": 1,
        "deals": 2 + 1,
        "calls": 3,
        "emails": 1,
        "meetings": 1,
        "tasks": 1,
        "notes": 1,
    }
    assert {name: requests[f"objects/{name}"] for name in pages} == pages
    assert [path for path in requests if "batch" in path or "search" in path] == []
    assert len(tables["contacts"]) == 130
    assert len(tables["deal_contacts"]) == len(ids["deals"])
    assert len(tables["activities"]) == len(ids["calls"])
    assert [finding.code for finding in findings if finding.severity == "error"] == []


def test_a_second_reading_of_an_unchanged_account_reads_no_object(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    small_company(account)
    api = make_api(account)
    with reading(api, clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        before = home.tables().digest()
        asked(api)
        clock.advance(hours=1)
        home.sync()

        assert home.tables().digest() == before
    requests = asked(api)
    assert sum(count for path, count in requests.items() if "search" in path) == 8
    assert [path for path in requests if "batch" in path] == []


def test_a_change_is_read_by_its_history_alone_of_what_changed(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    ids = small_company(account)
    api = make_api(account)
    with reading(api, clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        asked(api)
        clock.advance(hours=1)
        account.write("deals", ids["deals"][7], {"dealstage": "77"})
        clock.advance(hours=1)
        home.sync()
        history = home.tables()["deal_stage_history"]

    assert asked(api)["objects/deals/batch/read"] == 1
    own = history.loc[history["deal_id"] == str(ids["deals"][7])]
    assert own["stage"].tolist() == ["qualified", "77"]
    assert own["entered_at"].tolist() == [START, START + timedelta(hours=2)]


@pytest.mark.parametrize("lag", [1, 8])
def test_what_search_tells_late_is_read_in_the_end(clock: VirtualClock, tmp_path: Path, lag: int) -> None:
    account = make_account(clock, index_lag=timedelta(minutes=lag))
    contact = account.create("contacts", {"email": "c@example.org"})
    with reading(make_api(account), clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        # Too young for this reading's window, or in the window but not in the index: the next one finds it.
        clock.advance(minutes=54)
        account.write("contacts", contact, {"industry": "software"})
        clock.advance(minutes=6)
        home.sync()
        clock.advance(hours=1)
        home.sync()

        assert home.tables()["contacts"]["industry"].tolist() == ["software"]


def test_more_objects_than_search_can_page_through_may_change_at_one_instant(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    notes = [account.create("notes", {"hs_timestamp": iso(START)}) for _ in range(10_250)]
    contact = account.create("contacts", {"email": "c@example.org"})
    account.link("notes", notes[-1], "contacts", contact)
    api = make_api(account)
    with reading(api, clock, tmp_path, engagements=("notes",)) as home:
        clock.advance(hours=1)
        home.sync()
        asked(api)
        clock.advance(hours=1)
        for note in notes:
            account.touch("notes", note)
        clock.advance(hours=1)
        home.sync()

    # 10,250 in pages of 200; and the page that tells that there is no further one is the last of them.
    assert asked(api)["objects/notes/search"] == 52


@pytest.mark.parametrize(("lanes", "step"), [(1, 3), (4, 8)])
def test_killed_at_any_request_it_goes_on_and_reads_at_most_one_page_of_each_lane_again(
    account: Account, clock: VirtualClock, tmp_path: Path, lanes: int, step: int
) -> None:
    small_company(account, contacts=110, deals=55, calls=60)
    clock.advance(hours=1)
    with reading(make_api(account), clock, tmp_path / "calm", lanes=lanes) as calm:
        calm.sync()
        expected, needed = calm.content(), calm.requests

        assert needed > 20
        for dies_at in range(1, needed + 1, step):
            home = calm.elsewhere(tmp_path / str(dies_at))
            read_before = dies_on_the_way(home, dies_at)
            home.sync()

            assert home.content() == expected
            assert read_before + home.requests <= needed + lanes + DEFINITIONS


def dies_on_the_way(home: Reading, dies_at: int) -> int:
    # A new process does not know what the last one has asked in these seconds.
    home.clock.advance(seconds=10)
    with pytest.raises(Killed):
        home.sync(dies_at=dies_at)
    home.clock.advance(seconds=10)
    return home.requests


def test_killed_while_reading_changes_it_goes_on_and_reads_at_most_one_page_again(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    ids = small_company(account, contacts=230, deals=120, calls=10)
    clock.advance(hours=1)
    with reading(make_api(account), clock, tmp_path / "calm", lanes=1) as calm:
        calm.sync()
        begun = calm.file.read_bytes()
        clock.advance(hours=30)
        for kind, some in (("contacts", ids["contacts"][:210]), ("deals", ids["deals"][:70])):
            for number in some:
                account.write(kind, number, {"hubspot_owner_id": "7"})
        account.erase("contacts", ids["contacts"][220])
        clock.advance(hours=1)
        calm.sync()
        expected, needed = calm.content(), calm.requests

        # Definitions; searches, batches, lists of both kinds of a sweep, and links of three kinds.
        assert needed > 30
        for dies_at in range(DEFINITIONS + 1, needed + 1, 5):
            home = calm.elsewhere(tmp_path / str(dies_at))
            home.file.parent.mkdir(parents=True)
            home.file.write_bytes(begun)
            read_before = dies_on_the_way(home, dies_at)
            home.sync()

            assert home.content() == expected
            assert read_before + home.requests <= needed + 1 + DEFINITIONS


def test_a_process_that_is_killed_loses_nothing(account: Account, clock: VirtualClock, tmp_path: Path) -> None:
    small_company(account, contacts=110, deals=55, calls=60)
    api = make_api(account)
    clock.advance(hours=1)
    program = (
        "import sys, os, signal, datetime\n"
        "from pathlib import Path\n"
        "from pydantic import SecretStr\n"
        "from features.sources.hubspot.client import Credentials, HubSpotClient\n"
        "from features.sources.hubspot.kinds import HubSpotSettings\n"
        "from features.sources.hubspot.landing import Landing\n"
        "from features.sources.hubspot.sync import Sync\n"
        "url, file, lives, now = sys.argv[1:]\n"
        "pages = []\n"
        "def tell(words):\n"
        "    pages.append(words)\n"
        "    if len(pages) == int(lives):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "settings = HubSpotSettings(base_url=url)\n"
        f"client = HubSpotClient(settings=settings, credentials=Credentials(token=SecretStr({TOKEN!r})))\n"
        "now = datetime.datetime.fromisoformat(now)\n"
        "Sync(client=client, landing=Landing(Path(file)), settings=settings, now=now, tell=tell).run()\n"
    )
    with reading(api, clock, tmp_path / "calm") as calm:
        calm.sync()
        expected = calm.tables().digest()
    with reading(api, clock, tmp_path / "killed") as home:
        codes = []
        while not codes or codes[-1] != 0:
            arguments = [home.url, str(home.file), "6", iso(clock.now())]
            done = subprocess.run([sys.executable, "-c", program, *arguments], check=False, env=dict(os.environ))
            codes.append(done.returncode)
            assert len(codes) < 20

        assert home.tables().digest() == expected
    assert codes[:-1] == [-signal.SIGKILL] * (len(codes) - 1)
    assert len(codes) >= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_ends_with_the_same_tables_as_calm_weather(
    account: Account, clock: VirtualClock, tmp_path: Path, seed: int
) -> None:
    ids = small_company(account, contacts=110, deals=55, calls=60)
    api = make_api(account)
    clock.advance(hours=1)
    with reading(api, clock, tmp_path / "calm") as calm:
        calm.sync()
    storm = Storm(seed=seed)
    with reading(api, clock, tmp_path / "storm", misfortune=storm) as home:
        home.sync()
        assert home.tables().digest() == calm.tables().digest()
        clock.advance(hours=1)
        account.write("contacts", ids["contacts"][3], {"industry": "software"})
        clock.advance(hours=1)
        home.sync()
    # A new process does not know what the last one has asked in these seconds.
    clock.advance(seconds=10)
    with reading(api, clock, tmp_path / "calm") as calm:
        calm.sync()

        assert home.tables().digest() == calm.tables().digest()
    assert sum(storm.counts.values()) > 5
    assert api.meter.over == 0


def test_the_end_of_the_day_keeps_what_was_read_and_the_next_day_goes_on(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    small_company(account)
    clock.advance(hours=1)
    api = make_api(account, plan=Plan(daily=14))
    with reading(api, clock, tmp_path, pace={"keep_daily": 0}) as home:
        with pytest.raises(DailyLimitError, match="All that was read is kept"):
            home.sync()
        landed = home.rows("SELECT count(*) FROM records")[0][0]
        clock.advance(days=1)
        with pytest.raises(DailyLimitError):
            home.sync()
        further = home.rows("SELECT count(*) FROM records")[0][0]
        clock.advance(days=1)
        api.meter.plan = Plan()
        home.sync()

        assert 130 <= landed < further
        assert home.rows("SELECT count(*) FROM records")[0][0] == 130 + 3 + 60 + 120
        assert api.meter.over == 0
    assert any("left today" in words for words in home.told)


def test_several_kinds_are_asked_for_at_the_same_time(account: Account, clock: VirtualClock, tmp_path: Path) -> None:
    small_company(account, contacts=3, deals=1, calls=1)
    met = threading.Barrier(3)

    def meet(request: Request) -> None:
        # None of the three is answered before all of them have arrived.
        if request.path in [f"/crm/objects/2026-09/{kind}" for kind in ("contacts", "companies", "calls")]:
            met.wait(timeout=20)

    with reading(make_api(account), clock, tmp_path, arrival=meet) as home:
        home.sync()

        assert len(home.tables()["contacts"]) == 3


def test_what_one_lane_meets_ends_the_others_and_all_of_it_is_kept(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    small_company(account)
    broken = True

    def one_kind_fails(request: Request, answer: Callable[[], Reply]) -> Reply:
        return Reply(503) if broken and request.path.endswith("/companies") else answer()

    with reading(make_api(account), clock, tmp_path, misfortune=one_kind_fails, attempts=2) as home:
        with pytest.raises(UnavailableError, match="companies"):
            home.sync()
        broken = False
        home.sync()
        tables = home.tables()

    assert [len(tables[name]) for name in ("contacts", "companies", "deals", "activities")] == [130, 3, 60, 120]


def test_a_token_that_expires_in_mid_sync_is_renewed_once_for_all_lanes(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    small_company(account)
    api = make_api(account)

    def expire(request: Request, answer: Callable[[], Reply]) -> Reply:
        if len(api.calls) == 14:
            api.token = "a-later-token"
        return answer()

    with reading(api, clock, tmp_path, misfortune=expire) as home:
        home.credentials = Credentials(
            client_id="app", client_secret=SecretStr("app-secret"), refresh_token=SecretStr("refresh-me")
        )
        home.sync()

        assert len(home.tables()["activities"]) == 120
    assert [path for _, path in api.calls].count("/oauth/2026-09/token") == 2


def test_a_sweep_is_a_snapshot_that_finds_what_no_change_tells_of(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    contact = account.create("contacts", {"industry": "retail"})
    with reading(make_api(account), clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        # A calculated property is recomputed without the contact being marked as changed, and without a history.
        account.objects["contacts"][contact].values["industry"] = "software"
        clock.advance(days=2)
        home.sync()
        history = home.tables()["property_history"]

    assert history["value"].tolist() == ["retail", "software"]
    assert history["known_at"].iloc[1] == START + timedelta(days=2, hours=1)


def test_an_address_that_something_on_the_way_finds_too_long_is_asked_for_in_another_way(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    small_company(account, contacts=60, deals=55, calls=1)

    def narrow(request: Request, answer: Callable[[], Reply]) -> Reply:
        return Reply(414, None, {"Content-Type": "text/html"}, b"<html>") if request.length > 150 else answer()

    with reading(make_api(account), clock, tmp_path / "wide") as wide:
        wide.sync()
    with reading(make_api(account), clock, tmp_path / "narrow", misfortune=narrow) as home:
        home.sync()
        clock.advance(days=2)
        home.sync()

        assert home.tables().digest() == wide.tables().digest()


def test_a_merge_leads_to_the_survivor_whatever_id_it_has(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    first, second, third = (account.create("contacts", {"email": f"c{n}@example.org"}) for n in range(3))
    deal = account.create("deals", {"pipeline": "default", "dealstage": "qualified"})
    account.link("deals", deal, "contacts", second)
    call = account.create("calls", {"hs_timestamp": iso(clock.now())})
    account.link("calls", call, "contacts", first)
    with reading(make_api(account), clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        clock.advance(hours=1)
        once = account.merge("contacts", first, second)
        twice = account.merge("contacts", once, third, new_id=True)
        clock.advance(hours=1)
        home.sync()
        tables = home.tables()
        clock.advance(days=2)
        home.sync()
        later = home.tables()

    assert twice not in (first, second, third)
    for read in (tables, later):
        assert read["contacts"]["contact_id"].tolist() == [str(twice)]
        assert read["deal_contacts"].to_dict("records") == [
            {"deal_id": str(deal), "contact_id": str(twice), "role": pytest.approx(float("nan"), nan_ok=True)}
        ]
        assert read["activities"]["contact_id"].tolist() == [str(twice)]


def test_what_is_archived_or_erased_is_gone_after_a_sweep(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    kept, archived, erased = (account.create("contacts", {"email": f"canary{n}@example.org"}) for n in range(3))
    won = account.create("deals", {"pipeline": "default", "dealstage": "77"})
    unfinished = account.create("deals", {"pipeline": "default", "dealstage": "qualified"})
    with reading(make_api(account), clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        account.archive("contacts", archived)
        account.archive("deals", won)
        account.archive("deals", unfinished)
        account.erase("contacts", erased)
        clock.advance(days=2)
        home.sync()
        tables, findings = home.tables_and_findings()

    # A deal that was won before it was archived is part of the past; one that was open may have been a mistake.
    assert tables["contacts"]["contact_id"].tolist() == [str(kept)]
    assert tables["deals"]["deal_id"].tolist() == [str(won)]
    assert {finding.code for finding in findings} == {"deleted-object"}
    content = b"".join(path.read_bytes() for path in home.file.parent.iterdir())
    assert b"canary0" in content
    assert b"canary2" not in content


def test_where_much_vanishes_at_once_it_is_kept_and_told(account: Account, clock: VirtualClock, tmp_path: Path) -> None:
    ids = [account.create("contacts", {"industry": "retail"}) for _ in range(110)]
    with reading(make_api(account), clock, tmp_path) as home:
        home.sync()
        for number in ids[:101]:
            account.erase("contacts", number)
        clock.advance(days=2)
        findings = home.sync()

        assert [finding.count for finding in findings if finding.code == "many-vanished"] == [101]
        assert len(home.tables()["contacts"]) == 110


def test_links_that_no_change_tells_of_are_found_on_their_own_schedule(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    contact = account.create("contacts", {"email": "c@example.org"})
    call = account.create("calls", {"hs_timestamp": iso(clock.now())})
    deal = account.create("deals", {"pipeline": "default", "dealstage": "qualified"})
    with reading(make_api(account), clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        account.link("calls", call, "contacts", contact)
        account.link("deals", deal, "contacts", contact)
        clock.advance(days=2)
        home.sync()
        after_two_days = home.tables()
        clock.advance(days=6)
        home.sync()

        assert len(after_two_days["deal_contacts"]) == 1
        assert len(after_two_days["activities"]) == 0
        assert len(home.tables()["activities"]) == 1


def test_own_write_backs_are_not_read_as_news_but_what_others_changed_is(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    ids = small_company(account, contacts=60, deals=1, calls=1)["contacts"]
    api = make_api(account)
    with reading(api, clock, tmp_path) as home:
        clock.advance(hours=1)
        home.sync()
        clock.advance(hours=1)
        account.write("contacts", ids[5], {"industry": "software"})
        clock.advance(minutes=10)
        written = {n: iso(account.write("contacts", n, {"leadline_tier": "high"}).updated_at) for n in ids}
        landing = Landing(home.file)
        with landing.page():
            landing.keep_echoes("contacts", written)
        landing.close()
        clock.advance(hours=1)
        asked(api)
        home.sync()
        requests = asked(api)
        industries = home.tables()["contacts"]["industry"].value_counts().to_dict()
        clock.advance(hours=1)
        home.sync()

    assert requests["objects/contacts/batch/read"] == 1
    assert industries == {"retail": 59, "software": 1}
    assert asked(api)["objects/contacts/batch/read"] == 0


def test_a_stream_that_the_token_may_not_read_is_skipped_with_its_reason(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    small_company(account, contacts=3, deals=1, calls=1)
    api = make_api(account, missing={"sales-email-read", "content", "crm.objects.companies.read"})
    with reading(api, clock, tmp_path, web_events=True) as home:
        findings = home.sync()
        tables = home.tables()

    said = {finding.message for finding in findings if finding.code == "stream-skipped"}
    assert len(said) == 4
    for stream, scope in (
        ("emails", "sales-email-read"),
        ("e-mail events", "content"),
        ("companies", "companies.read"),
    ):
        assert [words for words in said if stream in words and scope in words]
    assert not tables.has("companies")
    assert len(tables["contacts"]) == 3


def test_a_scope_that_is_given_later_fills_the_gap(account: Account, clock: VirtualClock, tmp_path: Path) -> None:
    small_company(account, contacts=3, deals=1, calls=1)
    api = make_api(account, missing={"crm.objects.companies.read"})
    with reading(api, clock, tmp_path) as home:
        home.sync()
        api.missing.clear()
        clock.advance(hours=1)
        home.sync()

        assert len(home.tables()["companies"]) == 3


def test_more_properties_than_an_address_can_hold_are_read_all_the_same(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    from tests.features.hubspot_accounts import string_rules

    names = [f"a_property_with_quite_a_long_name_{number:03d}" for number in range(400)]
    account.define("contacts", string_rules("contacts", *names))
    ids = [account.create("contacts", {names[0]: "a", names[399]: str(number)}) for number in range(70)]
    deal = account.create("deals", {"pipeline": "default", "dealstage": "qualified"})
    account.link("deals", deal, "contacts", ids[0])
    with reading(make_api(account), clock, tmp_path, contact_properties=tuple(names)) as home:
        home.sync()
        contacts = home.tables()["contacts"]

    assert contacts[names[399]].tolist() == [float(number) for number in range(70)]
    assert (contacts[names[0]] == "a").all()


def test_a_property_that_is_configured_later_is_read_of_everyone(
    account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    account.create("contacts", {"jobtitle": "buyer", "industry": "retail"})
    with reading(make_api(account), clock, tmp_path, contact_properties=("industry",)) as home:
        home.sync()
        home.settings["contact_properties"] = ("industry", "jobtitle")
        clock.advance(hours=1)
        home.sync()

        assert home.tables()["contacts"]["jobtitle"].tolist() == ["buyer"]


def test_an_unknown_property_is_named(account: Account, clock: VirtualClock, tmp_path: Path) -> None:
    with reading(make_api(account), clock, tmp_path, contact_properties=("industri",)) as home:
        findings = home.sync()

    unknown = [finding for finding in findings if finding.code == "unknown-property" and finding.table == "contacts"]
    assert [finding.column for finding in unknown] == ["industri"]
    assert "source.contact_properties" in unknown[0].message


def test_two_runs_never_read_into_one_home_at_once(tmp_path: Path) -> None:
    holder = Landing(tmp_path / "warehouse" / "hubspot.db")

    with pytest.raises(LandingBusyError, match="another is at it"):
        Landing(tmp_path / "warehouse" / "hubspot.db", busy_seconds=0)
    holder.close()
    Landing(tmp_path / "warehouse" / "hubspot.db", busy_seconds=0).close()


def test_no_token_and_no_address_is_told_or_logged(
    account: Account, clock: VirtualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    contact = account.create("contacts", {"email": "canary@example.org", "firstname": "Canaria"})
    event = {"id": "e1", "created": int(START.timestamp() * 1000), "type": "OPEN", "recipient": "canary@example.org"}
    account.email_events.append(event)
    account.owners.append({"id": "7", "email": "canary@seller.example", "archived": False, "firstName": "S"})
    with reading(make_api(account), clock, tmp_path) as home:
        clock.advance(hours=1)
        findings = home.sync()
        tables, more = home.tables_and_findings()

    assert tables["activities"]["contact_id"].tolist() == [str(contact)]
    said = caplog.text + "".join(home.told) + repr(findings) + repr(more)
    assert "canary" not in said.lower().replace(TOKEN, TOKEN)
    assert TOKEN not in said
    content = b"".join(path.read_bytes() for path in home.file.parent.iterdir())
    assert TOKEN.encode() not in content
    assert b"Canaria" not in content
    assert b"canary@seller" not in content
    assert home.file.stat().st_mode & 0o077 == 0


def test_without_the_right_to_read_contacts_the_reason_names_the_scope(account: Account, clock: VirtualClock) -> None:
    from tests.features.test_hubspot_client import connected

    api = make_api(account, missing={"crm.objects.contacts.read"})
    with connected(api, clock) as client, pytest.raises(MissingScopeError, match=r"crm\.objects\.contacts\.read"):
        client.get(client.paths.objects("contacts"))
