"""What a contract learns from the training past, and what it says it leaves out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from features.catalogue import Question
from features.discounting import NO_DISCOUNT
from features.feature_contract import RARE_LEVEL, FeatureContract, FeatureSettings, learn_contract
from features.properties import LeftOut, PropertySettings, SafeColumns
from features.tables import CrmTables
from tests.features.builders import SALES_STAGES, make_tables

SETTINGS = FeatureSettings(windows_days=(7, 28), half_lives_days=(7,), min_level_count=2)


def learn(
    tables: CrmTables,
    *,
    question: Question = "contacts",
    settings: FeatureSettings = SETTINGS,
    properties: PropertySettings | None = None,
) -> tuple[FeatureContract, list[LeftOut]]:
    return learn_contract(
        question=question, tables=tables, settings=settings, properties=properties or PropertySettings()
    )


def activities(**contacts_per_kind: int) -> list[dict[str, Any]]:
    """Give each kind of activity to so many contacts."""
    return [
        {"activity_id": f"{kind} {number}", "type": kind, "contact_id": f"c{number}"}
        for kind, count in contacts_per_kind.items()
        for number in range(1, count + 1)
    ]


def contacts_with(**values: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def test_kinds_that_reach_most_contacts_are_kept_and_the_rest_is_other() -> None:
    tables = make_tables(contacts=[{}, {}, {}], activities=activities(call=1, email=3, visit=2, fax=1))

    all_kept, _ = learn(tables)
    two_kept, _ = learn(tables, settings=FeatureSettings(max_kinds=2))

    assert all_kept.kinds == ("call", "email", "fax", "visit")
    assert two_kept.kinds == ("email", "visit", "other")


def test_many_activities_of_one_contact_reach_only_one() -> None:
    often = [{"type": "fax", "contact_id": "c1"} for _ in range(9)]
    tables = make_tables(contacts=[{}, {}], activities=[*often, *activities(call=2)])

    contract, _ = learn(tables, settings=FeatureSettings(max_kinds=1))

    assert contract.kinds == ("call", "other")


@pytest.mark.parametrize(
    "kind", ["other", "any", "lost", "first", "warmth", "warmth_inbound", "active_days", "inbound", "outbound", "trend"]
)
def test_kind_that_would_share_its_name_with_another_feature_counts_as_other(kind: str) -> None:
    tables = make_tables(
        contacts=[{}], activities=activities(call=1, fax=1, **{kind: 1}), deals=[{}], deal_contacts=[{}]
    )

    contract, _ = learn(tables, settings=FeatureSettings(max_kinds=2))

    assert contract.kinds == ("call", "fax", "other")
    assert len(set(contract.names)) == len(contract.names)


def ended(kind: str, *outcomes: str | None) -> list[dict[str, Any]]:
    """Give an activity with each outcome to a contact of its own."""
    return [
        {"activity_id": f"{kind} {number}", "type": kind, "outcome": outcome, "contact_id": f"c{number}"}
        for number, outcome in enumerate(outcomes, start=1)
    ]


def test_outcomes_that_reach_most_contacts_are_counted_per_kind() -> None:
    rows = [
        *ended("call", "connected", "connected", "connected", "busy", "busy", "wrong number"),
        *ended("visit", None),
    ]
    rows += ended("meeting", "held", "held", "no_show", "no_show")
    tables = make_tables(contacts=[{}] * 6, activities=rows)

    two_of_each, _ = learn(tables, settings=FeatureSettings(min_level_count=2))
    the_first_two, _ = learn(tables, settings=FeatureSettings(min_level_count=1, max_outcomes=2))

    assert two_of_each.outcomes == (
        ("call", "busy"),
        ("call", "connected"),
        ("meeting", "held"),
        ("meeting", "no_show"),
    )
    assert the_first_two.outcomes == (("call", "busy"), ("call", "connected"))


def test_outcomes_of_kinds_that_are_not_counted_alone_are_not_counted_either() -> None:
    rows = [*ended("call", "busy", "connected", None), *ended("fax", "sent", "failed")]

    contract, _ = learn(
        make_tables(contacts=[{}] * 3, activities=rows), settings=FeatureSettings(max_kinds=1, min_level_count=1)
    )

    assert contract.kinds == ("call", "other")
    assert contract.outcomes == (("call", "busy"), ("call", "connected"))


def test_outcome_that_would_share_its_name_with_a_kind_is_not_counted() -> None:
    rows = [*ended("call", "held", None), *ended("call_held", None)]

    contract, _ = learn(make_tables(contacts=[{}] * 2, activities=rows), settings=FeatureSettings(min_level_count=1))

    assert contract.outcomes == ()
    assert contract.kinds == ("call", "call_held")


@pytest.mark.parametrize(("days", "known"), [(1094, False), (1096, True)])
def test_seasons_are_used_once_the_history_is_long_enough(days: int, known: bool) -> None:
    ages = pd.Timestamp("2024-01-01T00:00Z") + pd.to_timedelta([0, days], unit="D")
    # one contact in a hundred may have a wrong date without lengthening the history
    contacts = [{"created_at": "1970-01-01T00:00Z"}, *({"created_at": age} for age in ages for _ in range(100))]

    contract, _ = learn(make_tables(contacts=contacts), settings=FeatureSettings(min_level_count=1))

    assert ({"month", "weekday"} <= set(contract.names)) == known


def test_contract_written_before_a_setting_existed_counts_as_it_did_then() -> None:
    contract, _ = learn(make_tables(contacts=[{}], activities=activities(call=1)))
    later = {"directed", "outcomes", "trend_days", "utc_offset_hours", "discount"}
    later |= {"company_links", "company_properties", "company_vouched"}

    again = FeatureContract.model_validate(contract.model_dump(exclude=later))

    assert again.discount == NO_DISCOUNT
    assert again.plan.names == ("call", "working_hours")


def test_kind_is_theirs_if_it_is_mostly_inbound() -> None:
    rows = [
        {"type": "email", "contact_id": "c1", "direction": direction}
        for direction in ("inbound", "outbound", "outbound", None)
    ]
    rows += [{"type": "form", "contact_id": "c1", "direction": "inbound"}]
    rows += [{"type": "note", "contact_id": "c1", "direction": None}]

    contract, _ = learn(make_tables(contacts=[{}], activities=rows))

    family = {feature.name: feature.family for feature in contract.features}
    assert family["email_total"] == "our_activity"
    assert family["form_total"] == "their_activity"
    assert family["note_total"] == "activity"


def test_numbers_are_numbers_and_words_are_levels_with_the_rare_ones_grouped() -> None:
    tables = make_tables(
        contacts=contacts_with(
            country=["de", "de", "fr", "fr", "fr", "it", None],
            seats=[1, 2, 3, 4, 5, 6, None],
            code=["a1", "b2", "c3", "d4", "e5", "f6", "g7"],
        )
    )
    vouched = PropertySettings(contacts=SafeColumns(safe=("country", "seats", "code")))

    contract, left_out = learn(tables, properties=vouched)

    assert contract.properties == {"country": ("de", "fr", RARE_LEVEL), "seats": ()}
    assert contract.vouched == ("country", "seats", "code")
    assert (
        LeftOut("contacts", "code", "hardly any value occurs 2 times: free text, an identifier, or too little data")
        in left_out
    )


def test_levels_are_capped_at_the_most_frequent() -> None:
    tables = make_tables(contacts=contacts_with(country=["de"] * 4 + ["fr"] * 3 + ["it"] * 2))
    vouched = PropertySettings(contacts=SafeColumns(safe=("country",)))

    contract, _ = learn(tables, properties=vouched, settings=FeatureSettings(max_levels=2, min_level_count=1))

    assert contract.properties["country"] == ("de", "fr", RARE_LEVEL)


def test_property_that_lives_only_in_the_history_is_learnt_from_there() -> None:
    history = [
        {"object_id": f"c{number}", "property": "level", "value": value}
        for number, value in enumerate(["junior", "junior", "senior", None, "senior"], start=1)
    ]

    contract, _ = learn(make_tables(contacts=[{}] * 5, property_history=history))

    assert contract.properties == {"level": ("junior", "senior", RARE_LEVEL)}
    assert contract.vouched == ()


def test_property_that_was_only_ever_cleared_is_left_out() -> None:
    history = [{"object_id": "c1", "property": "level", "value": None}]

    contract, left_out = learn(make_tables(contacts=[{}], property_history=history))

    assert contract.properties == {}
    assert LeftOut("contacts", "level", "never filled") in left_out


def test_absent_tables_are_named() -> None:
    _, left_out = learn(make_tables(contacts=[{}]))

    absent = {entry.table for entry in left_out if entry.column is None}
    assert absent == {"activities", "companies", "property_history"}
    assert {entry.reason for entry in left_out} == {"the source has no such table"}


def test_features_that_nothing_in_the_tables_could_fill_are_not_in_the_contract() -> None:
    only_contacts, _ = learn(make_tables(contacts=[{}]))
    only_deals, _ = learn(make_tables(deals=[{}], stages=SALES_STAGES), question="deals")

    assert only_contacts.names == ["tenure_days"]
    assert only_deals.names == [
        "pipeline",
        "stage",
        "stage_position",
        "furthest_position",
        "stages_passed",
        "times_moved_back",
        "times_reopened",
        "days_in_stage",
        "age_days",
        "days_per_stage",
    ]
    assert not only_contacts.has_activities


def test_kind_whose_name_begins_like_an_absent_feature_is_kept() -> None:
    # without deals there is no owner_win_rate, open_deal_position or amount, but these are kinds of activity
    kinds = {"owner_note": 1, "open_deal_mail": 1, "amount_asked": 1, "close_date_call": 1}

    contract, _ = learn(make_tables(contacts=[{}], activities=activities(**kinds)))

    assert {f"{kind}_total" for kind in kinds} <= set(contract.names)


def test_stages_follow_their_pipeline_and_position_whatever_order_they_came_in() -> None:
    other = {"pipeline": "renewal", "stage": "check", "label": "Check", "position": 1, "outcome": "open"}
    shuffled = [SALES_STAGES[3], SALES_STAGES[1], other, SALES_STAGES[2], SALES_STAGES[0]]

    contract, _ = learn(make_tables(deals=[{}], stages=shuffled), question="deals")

    levels = {feature.name: feature.levels for feature in contract.features}
    assert contract.stages == ("renewal/check", "sales/demo", "sales/offer")
    assert levels["stage"] == ("renewal: Check", "sales: Demo", "sales: Offer", RARE_LEVEL)
    assert levels["pipeline"] == ("renewal", "sales", RARE_LEVEL)


def test_amount_close_date_and_owner_of_a_deal_become_features_of_their_own() -> None:
    tables = make_tables(
        deals=[{"amount": 100, "currency": "EUR", "owner_id": "u1", "expected_close_at": "2024-05-01T00:00Z"}] * 2,
        stages=SALES_STAGES,
    )
    vouched = PropertySettings(deals=SafeColumns(safe=("amount", "currency", "owner_id", "expected_close_at")))

    contract, _ = learn(tables, question="deals", properties=vouched)

    assert contract.deal_columns == ("amount", "expected_close_at", "owner_id")
    assert contract.properties == {"currency": ("EUR", RARE_LEVEL)}
    assert {"amount_ratio", "close_date_slip_days", "owner_win_rate", "property_currency"} <= set(contract.names)


def test_owner_of_a_contact_is_named_as_left_out() -> None:
    tables = make_tables(contacts=[{"owner_id": "u1"}])
    vouched = PropertySettings(contacts=SafeColumns(safe=("owner_id",)))

    contract, left_out = learn(tables, properties=vouched)

    assert contract.properties == {}
    assert ("contacts", "owner_id") in {(entry.table, entry.column) for entry in left_out}


def test_contract_survives_being_written_and_read_and_its_digest_follows_its_content() -> None:
    contract, _ = learn(make_tables(contacts=[{}], activities=activities(call=1)))
    other, _ = learn(make_tables(contacts=[{}], activities=activities(fax=1)))

    again = FeatureContract.model_validate_json(contract.model_dump_json())

    assert again == contract
    assert again.digest() == contract.digest()
    assert other.digest() != contract.digest()
