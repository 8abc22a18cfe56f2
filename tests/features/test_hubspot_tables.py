"""What lies in HubSpot, and which rows of the CRM tables come of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.checks import check_tables
from features.sources.hubspot.client import Credentials
from features.sources.hubspot.instants import iso
from features.sources.hubspot.merging import survivors
from features.sources.hubspot.source import HubSpotSource, landing_file
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.api import Api
from features.sources.hubspot_sandbox.filling import Filled, fill
from features.sources.hubspot_sandbox.server import serving
from features.sources.synthetic import SyntheticSettings, simulate
from features.tables import CrmTables
from tests.features.hubspot_accounts import (
    START,
    TOKEN,
    Reading,
    VirtualClock,
    make_account,
    make_api,
    string_rules,
)

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def account(clock: VirtualClock) -> Account:
    return make_account(clock)


@pytest.fixture
def home(account: Account, clock: VirtualClock, tmp_path: Path) -> Iterator[Reading]:
    with serving(make_api(account)) as url:
        yield Reading(url, clock, landing_file(tmp_path))


def read(home: Reading, **settings: Any) -> CrmTables:
    home.settings |= settings
    home.clock.advance(days=30)
    home.sync()
    return home.tables()


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    plain = frame[list(columns)].astype(object).where(frame[list(columns)].notna(), None)
    return list(plain.itertuples(index=False, name=None))


def make_deal(account: Account, *stages: str, at: datetime = START) -> int:
    deal = account.create("deals", {"pipeline": "default", "dealstage": stages[0]}, at=at)
    for place, stage in enumerate(stages[1:], start=1):
        account.write("deals", deal, {"dealstage": stage}, at=at + place * DAY)
    return deal


def test_won_and_lost_come_from_what_a_stage_means_and_not_from_its_id(account: Account, home: Reading) -> None:
    make_deal(account, "qualified", "closedwon", "77")

    stages = read(home)["stages"]

    assert rows(stages, "stage", "label", "outcome", "probability") == [
        ("qualified", "Qualified", "open", 0.2),
        ("closedwon", "Proposal sent", "open", 0.9),
        ("77", "Signed", "won", 1.0),
        ("closedlost", "Gone", "lost", 0.0),
    ]


def test_stages_are_entered_when_the_history_says_and_may_repeat(account: Account, home: Reading) -> None:
    make_deal(account, "qualified", "closedwon", "qualified", "77")

    history = read(home)["deal_stage_history"]

    assert rows(history, "stage", "entered_at") == [
        ("qualified", START),
        ("closedwon", START + DAY),
        ("qualified", START + 2 * DAY),
        ("77", START + 3 * DAY),
    ]


def test_a_backfill_was_not_known_before_it_was_written(account: Account, home: Reading) -> None:
    deal = account.create("deals", {"pipeline": "default"}, at=START)
    account.write("deals", deal, {"dealstage": "qualified"}, at=START + 9 * DAY, source_type="MIGRATION")

    history = read(home)["deal_stage_history"]

    assert rows(history, "entered_at", "known_at") == [(START, START + 9 * DAY)]


def test_a_stage_that_was_deleted_counts_as_open_and_is_told(account: Account, home: Reading) -> None:
    make_deal(account, "old stage", "77")
    read(home)

    tables, findings = home.tables_and_findings()

    assert ("old stage", "open") in rows(tables["stages"], "stage", "outcome")
    assert [finding.code for finding in findings] == ["deleted-stage"]
    assert [one for one in check_tables(tables, as_of=None) if one.severity == "error"] == []


def test_deals_of_other_pipelines_are_left_out_and_counted(account: Account, home: Reading) -> None:
    renewals = account.pipelines[0] | {"id": "renewals", "label": "Renewals"}
    account.pipelines.append(renewals)
    kept = make_deal(account, "qualified")
    account.create("deals", {"pipeline": "renewals", "dealstage": "77"})

    tables = read(home, pipelines=("default",))

    assert tables["deals"]["deal_id"].tolist() == [str(kept)]
    assert set(tables["stages"]["pipeline"]) == {"default"}
    assert "deal-elsewhere" in {finding.code for finding in home.tables_and_findings()[1]}


def test_a_pipeline_that_does_not_exist_is_an_error(home: Reading) -> None:
    read(home, pipelines=("sales",))

    errors = [finding for finding in home.tables_and_findings()[1] if finding.severity == "error"]

    assert len(errors) == 1
    assert "'sales'; it has default" in errors[0].message


def test_a_property_is_known_from_each_entry_of_its_history_on(account: Account, home: Reading) -> None:
    contact = account.create("contacts", {"industry": "retail"}, at=START)
    account.write("contacts", contact, {"industry": "software"}, at=START + 3 * DAY)
    account.write("contacts", contact, {"industry": None}, at=START + 5 * DAY)

    tables = read(home)

    assert rows(tables["property_history"], "object_type", "object_id", "property", "value", "known_at") == [
        ("contact", str(contact), "industry", "retail", START),
        ("contact", str(contact), "industry", "software", START + 3 * DAY),
        ("contact", str(contact), "industry", None, START + 5 * DAY),
    ]
    assert rows(tables["contacts"], "industry") == [(None,)]


def test_amounts_owners_and_companies_go_by_the_names_of_the_contract(account: Account, home: Reading) -> None:
    company = account.create("companies", {"country": "DE"})
    contact = account.create("contacts", {"associatedcompanyid": str(company), "hubspot_owner_id": "7"})
    deal = make_deal(account, "qualified")
    account.write("deals", deal, {"amount": "1200.50", "closedate": "1777593600000", "hubspot_owner_id": "8"})
    account.write("deals", deal, {"deal_currency_code": "EUR", "dealname": "Offer"})
    account.link("deals", deal, "companies", company, primary=True)
    account.link("deals", deal, "companies", account.create("companies", {}))

    tables = read(home)

    columns = ("amount", "currency", "expected_close_at", "owner_id", "company_id", "name")
    close = pd.Timestamp("2026-05-01T00:00:00Z")
    assert rows(tables["deals"], *columns) == [(1200.5, "EUR", close, "8", str(company), "Offer")]
    assert rows(tables["contacts"], "contact_id", "company_id", "owner_id") == [(str(contact), str(company), "7")]
    history = tables["property_history"]
    assert set(history["property"]) == {"company_id", "owner_id", "amount", "expected_close_at", "currency", "country"}


def test_an_engagement_counts_from_the_later_of_happening_and_logging(account: Account, home: Reading) -> None:
    contact = account.create("contacts", {})
    logged_late = account.create("calls", {"hs_timestamp": iso(START), "hs_call_direction": "INBOUND"}, at=START + DAY)
    planned = account.create("meetings", {"hs_timestamp": iso(START + 5 * DAY)}, at=START)
    for kind, number in (("calls", logged_late), ("meetings", planned)):
        account.link(kind, number, "contacts", contact)

    activities = read(home)["activities"]

    assert rows(activities, "activity_id", "type", "occurred_at", "known_at", "direction", "contact_id") == [
        (f"calls:{logged_late}", "call", START, START + DAY, "inbound", str(contact)),
        (f"meetings:{planned}", "meeting", START + 5 * DAY, START + 5 * DAY, None, str(contact)),
    ]


def test_an_outcome_that_was_told_later_is_a_fact_of_its_own(account: Account, home: Reading) -> None:
    contact = account.create("contacts", {})
    at_once = account.create(
        "calls", {"hs_timestamp": iso(START), "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"}
    )
    later = account.create("meetings", {"hs_timestamp": iso(START), "hs_meeting_outcome": "SCHEDULED"})
    account.write("meetings", later, {"hs_meeting_outcome": "NO_SHOW"}, at=START + 2 * DAY)
    for kind, number in (("calls", at_once), ("meetings", later)):
        account.link(kind, number, "contacts", contact)

    activities = read(home)["activities"]

    assert rows(activities, "type", "outcome", "occurred_at", "known_at") == [
        ("call", "connected", START, START),
        ("meeting", "SCHEDULED", START, START),
        ("meeting_outcome", "NO_SHOW", START + 2 * DAY, START + 2 * DAY),
    ]


def test_a_task_happened_when_it_was_done_and_not_when_it_was_due(account: Account, home: Reading) -> None:
    deal = make_deal(account, "qualified")
    done, never = (account.create("tasks", {"hs_timestamp": iso(START + 20 * DAY)}) for _ in range(2))
    account.write("tasks", done, {"hs_task_completion_date": iso(START + 2 * DAY)}, at=START + 2 * DAY)
    for task in (done, never):
        account.link("tasks", task, "deals", deal)

    activities = read(home)["activities"]

    assert rows(activities, "type", "deal_id", "occurred_at") == [("task", str(deal), START + 2 * DAY)]


def test_an_e_mail_with_two_people_and_a_deal_counts_once_for_each(account: Account, home: Reading) -> None:
    people = [account.create("contacts", {}) for _ in range(2)]
    deal = make_deal(account, "qualified")
    mail = account.create("emails", {"hs_timestamp": iso(START), "hs_email_direction": "INCOMING_EMAIL"})
    for contact in people:
        account.link("emails", mail, "contacts", contact)
    account.link("emails", mail, "deals", deal)

    activities = read(home)["activities"]

    assert rows(activities, "activity_id", "type", "direction", "contact_id", "deal_id") == [
        (f"emails:{mail}", "email_reply", "inbound", str(people[0]), str(deal)),
        (f"emails:{mail}:1", "email_reply", "inbound", str(people[1]), None),
    ]


def test_form_submissions_are_read_from_the_contact_and_may_have_types_of_their_own(
    account: Account, home: Reading
) -> None:
    first, second = (int((START - days * DAY).timestamp() * 1000) for days in (2, 1))
    account.forms.extend([{"id": "guid-1", "name": "Demo request"}, {"id": "guid-2", "name": "Newsletter"}])
    told = f"guid-1:12345:{first};guid-2::{second};"
    contact = account.create("contacts", {"hs_calculated_form_submissions": told}, at=START - 3 * DAY)

    activities = read(home, form_types={"Demo request": "demo_request"})["activities"]

    assert rows(activities, "type", "name", "contact_id", "occurred_at", "direction") == [
        ("demo_request", "Demo request", str(contact), START - 2 * DAY, "inbound"),
        ("form_submission", "Newsletter", str(contact), START - DAY, "inbound"),
    ]


def test_e_mail_events_find_their_contact_by_any_address_and_machines_do_not_count(
    account: Account, home: Reading
) -> None:
    account.define("contacts", [])
    contact = account.create("contacts", {"email": "Ada@example.org", "hs_additional_emails": "ada@home.example;"})
    millis = int(START.timestamp() * 1000)
    account.email_events.extend(
        {"id": f"e{place}", "created": millis + place, "type": kind, "recipient": address, "filteredEvent": machine}
        for place, (kind, address, machine) in enumerate(
            [
                ("OPEN", "ada@example.org", False),
                ("OPEN", "ada@example.org", True),
                ("CLICK", "ADA@home.example", False),
                ("SENT", "ada@example.org", False),
                ("OPEN", "stranger@example.org", False),
            ]
        )
    )

    activities = read(home)["activities"]

    assert rows(activities, "type", "contact_id") == [("email_open", str(contact)), ("email_click", str(contact))]


def test_page_views_are_read_for_contacts_that_changed(account: Account, home: Reading) -> None:
    contact = account.create("contacts", {})
    for place, page in enumerate(("https://a.example/blog?mail=x@y.example", "https://a.example/pricing#top")):
        event = {"id": f"w{place}", "occurredAt": iso(START + place * DAY), "properties": {"hs_url": page}}
        account.web_events.setdefault(contact, []).append(event)

    activities = read(home, web_events=True, page_types={"/pricing": "pricing_view"})["activities"]

    assert rows(activities, "type", "name", "occurred_at") == [
        ("page_view", "a.example/blog", START),
        ("pricing_view", "a.example/pricing", START + DAY),
    ]


def test_a_value_that_hubspot_has_forgotten_the_past_of_stays_known(account: Account, home: Reading) -> None:
    contact = account.create("contacts", {"industry": "retail"}, at=START)
    read(home)
    account.write("contacts", contact, {"industry": "software"})
    del account.objects["contacts"][contact].history["industry"][0]

    history = read(home)["property_history"]

    assert history["value"].tolist() == ["retail", "software"]


def test_a_value_without_an_entry_is_known_from_the_day_it_was_seen(account: Account, home: Reading) -> None:
    contact = account.create("contacts", {"industry": "retail"}, at=START)
    account.objects["contacts"][contact].history.clear()

    history = read(home)["property_history"]

    assert rows(history, "value", "known_at") == [("retail", START + 30 * DAY)]


@pytest.mark.parametrize(
    ("merges", "alive", "asked", "expected"),
    [
        ([(1, 2)], [2], 1, 2),
        ([(1, 2), (2, 3)], [3], 1, 3),
        ([(2, 3), (1, 2)], [3], 1, 3),
        # HubSpot kept the older id of the two, or made a new one out of both.
        ([(5, 1)], [1], 5, 1),
        ([(1, 9), (5, 9)], [9], 5, 9),
        # Nobody is left.
        ([(1, 2)], [], 1, 2),
        ([], [4], 4, 4),
    ],
)
def test_whoever_was_merged_leads_to_the_one_that_is_left(
    merges: list[tuple[int, int]], alive: list[int], asked: int, expected: int
) -> None:
    assert survivors(merges=merges, alive=alive).of(asked) == expected


def test_merges_are_also_read_where_contacts_alone_tell_them(account: Account, home: Reading) -> None:
    account.define("contacts", string_rules("contacts", "hs_calculated_merged_vids"))
    old = account.create("contacts", {})
    new = account.create("contacts", {"hs_calculated_merged_vids": f"{old}:1767225600000"})
    call = account.create("calls", {"hs_timestamp": iso(START)})
    account.link("calls", call, "contacts", old)

    tables = read(home)

    assert tables["contacts"]["contact_id"].tolist() == [str(new)]
    assert tables["activities"]["contact_id"].tolist() == [str(new)]


def test_an_invented_crm_comes_out_of_hubspot_as_it_went_in(clock: VirtualClock, tmp_path: Path) -> None:
    settings = SyntheticSettings(contacts=120, months=9)
    clock.moment = settings.end + DAY
    expected = simulate(settings).tables
    account = Account(now=clock.now)
    filled = fill(account, expected)
    api = Api(account, token=TOKEN)

    with serving(api) as url:
        tables = _source(url, clock, tmp_path).read()[0]

    assert len(tables["contacts"]) == len(expected["contacts"])
    assert _stage_rows(tables, {str(new): own for own, new in filled.deals.items()}) == _stage_rows(expected, None)
    assert _activity_rows(tables, _names_of(filled)) == _activity_rows(expected, None)
    assert _history_rows(tables, filled) == _history_rows(expected, None)
    assert [one.code for one in check_tables(tables, as_of=None) if one.severity == "error"] == []


def _source(url: str, clock: VirtualClock, home: Path) -> HubSpotSource:
    from pydantic import SecretStr

    from features.sources.hubspot.kinds import HubSpotSettings

    return HubSpotSource(
        settings=HubSpotSettings(
            base_url=url,
            contact_properties=("job_level", "hs_lead_status", "country"),
            web_events=True,
            email_events_days=3650,
            form_types={"Demo request": "demo_request", "Webinar": "webinar"},
            page_types={"/pricing": "pricing_view"},
        ),
        credentials=Credentials(token=SecretStr(TOKEN)),
        file=landing_file(home),
        now=clock.now,
        tell=lambda words: None,
        clock=clock,
    )


def _names_of(filled: Filled) -> dict[str, str]:
    return {str(new): own for own, new in filled.contacts.items()}


def _stage_rows(tables: CrmTables, names: dict[str, str] | None) -> list[tuple[Any, ...]]:
    frame = tables["deal_stage_history"].drop(columns="known_at")
    if names is not None:
        frame["deal_id"] = frame["deal_id"].map(names)
    return sorted(rows(frame, "deal_id", "stage", "entered_at"))


def _activity_rows(tables: CrmTables, names: dict[str, str] | None) -> list[tuple[Any, ...]]:
    """Who did what when; without the mails of people who have no address, which HubSpot could not send."""
    frame = tables["activities"].copy()
    if names is None:
        nobody = set(tables["contacts"].loc[tables["contacts"]["email"].isna(), "contact_id"])
        frame = frame.loc[~(frame["type"].isin(["email_open", "email_click"]) & frame["contact_id"].isin(nobody))]
    else:
        frame["contact_id"] = frame["contact_id"].map(names)
    # HubSpot tells of forms, mails and pages no later than they happen.
    late = frame["type"].isin(["call", "meeting", "email_reply"])
    known = frame["known_at"].where(late, frame["occurred_at"])
    return sorted(rows(frame.assign(known=known), "contact_id", "type", "occurred_at", "known"))


def _history_rows(tables: CrmTables, filled: Filled | None) -> list[tuple[Any, ...]]:
    frame = tables["property_history"]
    frame = frame.loc[frame["property"].isin(["job_level", "hs_lead_status", "owner_id"])].copy()
    if filled is not None:
        names = _names_of(filled) | {str(new): own for own, new in filled.deals.items()}
        owners = {new: own for own, new in filled.owners.items()}
        frame["object_id"] = frame["object_id"].map(names)
        frame["value"] = frame["value"].replace(owners)
        # The owner of a contact has no history of its own in the invented CRM.
        frame = frame.loc[(frame["property"] != "owner_id") | (frame["object_type"] == "deal")]
    return sorted(rows(frame, "object_type", "object_id", "property", "value", "known_at"), key=repr)


def test_the_page_on_hubspot_names_every_setting() -> None:
    from features.sources.hubspot.kinds import HubSpotSettings
    from features.sources.hubspot.pace import PaceSettings

    page = (Path(__file__).resolve().parents[2] / "docs" / "hubspot.md").read_text(encoding="utf-8")
    settings = [*HubSpotSettings.model_fields, *PaceSettings.model_fields]

    assert [name for name in settings if f"`{name}" not in page] == []
