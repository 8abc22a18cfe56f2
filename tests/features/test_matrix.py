"""The matrix: the contract's columns and no others, computed for objects that were known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import Question
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.matrix import NotYetKnownError, UnusableTableError, build_matrix
from features.properties import MissingPropertyError, PropertySettings, SafeColumns
from features.tables import CrmTables
from features.visibility import as_known_at
from tests.features.builders import SALES_STAGES, make_tables

SETTINGS = FeatureSettings(windows_days=(7, 28), half_lives_days=(7,), min_level_count=1)
VOUCHED = PropertySettings(contacts=SafeColumns(safe=("country",)), deals=SafeColumns(safe=("amount",)))
AS_OF = "2024-03-01T00:00Z"


def tables_with(**changed: Any) -> CrmTables:
    """Build one contact with one deal in its second stage, a call and an e-mail, and tables changed as told."""
    tables: dict[str, Any] = {
        "contacts": [{"country": "de", "created_at": "2023-12-01T00:00Z"}],
        "deals": [{"amount": 1000, "created_at": "2024-01-01T00:00Z"}],
        "deal_contacts": [{}],
        "deal_stage_history": [
            {"deal_id": "d1", "stage": "demo", "entered_at": "2024-01-01T00:00Z"},
            {"deal_id": "d1", "stage": "offer", "entered_at": "2024-02-20T00:00Z"},
        ],
        "stages": SALES_STAGES,
        "activities": [
            {"type": "call", "contact_id": "c1", "owner_id": "u1", "occurred_at": "2024-02-25T00:00Z"},
            {"type": "email", "contact_id": "c1", "occurred_at": "2024-02-10T00:00Z"},
        ],
        "property_history": [{"property": "level", "value": "junior", "known_at": "2024-01-01T00:00Z"}],
    }
    return make_tables(**tables | changed)


def learn(question: Question, tables: CrmTables | None = None, **settings: Any) -> FeatureContract:
    return learn_contract(
        question=question,
        tables=tables or tables_with(),
        settings=SETTINGS.model_copy(update=settings),
        properties=VOUCHED,
    )[0]


def row_of(tables: CrmTables, contract: FeatureContract, *, as_of: str = AS_OF) -> pd.Series:
    key = f"{contract.question[:-1]}_id"
    snapshots = pd.DataFrame({key: [f"{key[0]}1"], "as_of": [pd.Timestamp(as_of)]})
    return build_matrix(tables=tables, snapshots=snapshots, contract=contract).features.iloc[0]


def test_columns_are_those_of_the_contract_in_its_order() -> None:
    for question in ("contacts", "deals"):
        contract = learn(question)

        row = row_of(tables_with(), contract)

        assert row.index.tolist() == contract.names
        assert row.dtype == np.float64


def test_row_of_a_contact_says_what_was_known() -> None:
    row = row_of(tables_with(), learn("contacts"))

    # as of 1 March 2024: the call was 5 days before, the e-mail 20 days, the offer 10 days, the deal 60 days
    expected = {
        "call_7d": 1,
        "call_28d": 1,
        "email_7d": 0,
        "email_28d": 1,
        "days_since_call": 5,
        "days_since_any": 5,
        "warmth_7d": 0.5 ** (5 / 7) + 0.5 ** (20 / 7),
        "active_days_28d": 2,
        "last_kind": 0,
        "tenure_days": 91,
        "property_country": 0,
        "property_level": 0,
        "open_deals": 1,
        "open_deal_position": 1,
        "open_deal_days_in_stage": 10,
        "open_deal_age_days": 60,
        "lost_deals": 0,
    }
    assert row[list(expected)].tolist() == pytest.approx(list(expected.values()))
    assert np.isnan(row["days_since_lost"])


def test_row_of_a_deal_says_what_was_known() -> None:
    row = row_of(tables_with(), learn("deals"))

    expected = {
        "call_7d": 1,
        "stage": 1,
        "pipeline": 0,
        "stage_position": 1,
        "stages_passed": 1,
        "days_in_stage": 10,
        "age_days": 60,
        "activity_in_stage": 1,
        "amount": 1000,
        "amount_changes": 0,
        "amount_ratio": 1,
        "contacts_count": 1,
        "tenure_days": 91,
        "last_actor_win_rate": 0,
    }
    assert row[list(expected)].tolist() == pytest.approx(list(expected.values()))


def test_value_unseen_in_training_takes_the_rare_level_and_a_missing_one_none() -> None:
    contract = learn("contacts")
    levels = contract.properties["country"]

    unseen = row_of(tables_with(contacts=[{"country": "xx", "created_at": "2023-12-01T00:00Z"}]), contract)
    missing = row_of(tables_with(contacts=[{"country": None, "created_at": "2023-12-01T00:00Z"}]), contract)

    assert levels == ("de", "(other)")
    assert unseen["property_country"] == 1
    assert np.isnan(missing["property_country"])


def test_stage_unseen_in_training_takes_the_rare_level() -> None:
    new_stage = {"pipeline": "sales", "stage": "talks", "label": "Talks", "position": 2, "outcome": "open"}
    tables = tables_with(
        stages=[*SALES_STAGES, new_stage],
        deal_stage_history=[{"deal_id": "d1", "stage": "talks", "entered_at": "2024-01-01T00:00Z"}],
    )
    contract = learn("deals")

    assert contract.stages == ("sales/demo", "sales/offer")
    assert row_of(tables, contract)["stage"] == 2


def test_kind_unseen_in_training_counts_as_other_if_training_had_others_and_is_ignored_otherwise() -> None:
    fax = {"type": "fax", "contact_id": "c1", "occurred_at": "2024-02-28T00:00Z"}
    calls = [{"type": "call", "contact_id": "c1", "occurred_at": "2024-02-25T00:00Z"}]
    without_others = learn("contacts")
    with_others = learn("contacts", max_kinds=1)

    ignored = row_of(tables_with(activities=[*calls, fax]), without_others)
    counted = row_of(tables_with(activities=[*calls, fax]), with_others)

    assert without_others.kinds == ("call", "email")
    assert with_others.kinds == ("call", "other")
    assert ignored["days_since_any"] == 5
    assert counted["days_since_any"] == counted["days_since_other"] == 2
    assert counted["other_total"] == counted["call_total"] == 1


def test_contact_created_after_the_as_of_describes_no_deal() -> None:
    later = {"contact_id": "c2", "created_at": "2024-03-05T00:00Z"}
    lost = [{"deal_id": "d2", "stage": "lost", "entered_at": "2024-02-01T00:00Z"}]
    tables = tables_with(
        contacts=[later],
        deals=[{"created_at": "2024-01-01T00:00Z"}] * 2,
        deal_contacts=[{"deal_id": "d1", "contact_id": "c2"}, {"deal_id": "d2", "contact_id": "c2"}],
        deal_stage_history=[*tables_with()["deal_stage_history"].to_dict("records"), *lost],
        activities=[{"type": "call", "contact_id": "c2", "occurred_at": "2024-02-25T00:00Z"}],
    )
    contract = learn("deals")

    early = row_of(tables, contract.model_copy(update={"deal_columns": ()}).model_copy(update=drop(contract, "amount")))

    assert early[["contacts_count", "lost_deals", "call_total"]].tolist() == [0, 0, 0]
    assert np.isnan(early["tenure_days"])


def drop(contract: FeatureContract, beginning: str) -> dict[str, Any]:
    return {"features": tuple(f for f in contract.features if not f.name.startswith(beginning))}


def test_first_contact_of_a_deal_is_the_one_known_longest() -> None:
    tables = tables_with(
        contacts=[
            {"contact_id": "new", "created_at": "2024-02-20T00:00Z"},
            {"contact_id": "old", "created_at": "2024-01-31T00:00Z"},
        ],
        deal_contacts=[{"deal_id": "d1", "contact_id": "new"}, {"deal_id": "d1", "contact_id": "old"}],
    )

    assert row_of(tables, learn("deals"))["tenure_days"] == 30


def test_owners_record_is_that_of_who_owned_each_deal_when_it_closed() -> None:
    history = [
        {"object_type": "deal", "object_id": deal, "property": "owner_id", "value": owner, "known_at": f"{date}T00:00Z"}
        for deal, owner, date in [
            ("d1", "ann", "2024-01-01"),
            ("d2", "ann", "2024-01-01"),
            ("d2", "bob", "2024-02-10"),  # d2 changed hands before it was won
            ("d2", "ann", "2024-02-20"),  # and again afterwards
            ("d3", "ann", "2024-01-01"),
        ]
    ]
    tables = tables_with(
        deals=[{"created_at": "2024-01-01T00:00Z", "owner_id": "ann"} for _ in range(3)],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "demo", "entered_at": "2024-01-01T00:00Z"},
            {"deal_id": "d2", "stage": "won", "entered_at": "2024-02-15T00:00Z"},
            {"deal_id": "d3", "stage": "lost", "entered_at": "2024-02-15T12:00Z"},
        ],
        property_history=history,
    )
    contract = learn_contract(question="deals", tables=tables, settings=SETTINGS, properties=PropertySettings())[0]

    row = row_of(tables, contract)

    # ann closed d3 alone, and lost it; everybody won one of two
    assert row["owner_closed"] == 1
    assert row["owner_win_rate"] == pytest.approx((0 + 5 * 0.5) / (1 + 5))


def test_contract_with_activities_refuses_a_source_that_has_lost_them() -> None:
    with pytest.raises(UnusableTableError, match="'activities', which the source no longer has"):
        row_of(tables_with(activities=None), learn("contacts"))


def test_contract_with_histories_refuses_a_source_that_has_lost_them() -> None:
    with pytest.raises(UnusableTableError, match="'property_history', which the source no longer has"):
        row_of(tables_with(property_history=None), learn("contacts"))


def test_contract_refuses_a_source_that_has_lost_a_vouched_column() -> None:
    with pytest.raises(MissingPropertyError, match=r"contacts\.country"):
        row_of(tables_with(contacts=[{"created_at": "2023-12-01T00:00Z"}]), learn("contacts"))


def test_todays_column_does_not_stand_in_for_a_history_that_had_not_begun() -> None:
    tables = tables_with(
        contacts=[{"country": "de", "level": "boss", "created_at": "2023-12-01T00:00Z"}],
        property_history=[{"property": "level", "value": "boss", "known_at": "2024-02-01T00:00Z"}],
    )
    contract = learn("contacts", tables)
    then = as_known_at(tables, as_of=pd.Timestamp("2024-01-15T00:00Z"))

    assert row_of(tables, contract)["property_level"] == 0
    assert np.isnan(row_of(then, contract, as_of="2024-01-15T00:00Z")["property_level"])


@pytest.mark.parametrize(
    ("question", "object_id", "as_of"),
    [
        ("contacts", "c1", "2023-12-01T00:00Z"),  # created at that very instant
        ("contacts", "nobody", AS_OF),
        ("deals", "d1", "2024-01-01T00:00Z"),
        ("deals", "nothing", AS_OF),
    ],
)
def test_snapshot_of_what_was_not_yet_known_is_an_error_that_names_it(
    question: Question, object_id: str, as_of: str
) -> None:
    key = f"{question[:-1]}_id"
    snapshots = pd.DataFrame({key: [object_id], "as_of": [pd.Timestamp(as_of)]})

    with pytest.raises(NotYetKnownError, match=f"1 do not, the first at '{object_id}' as of 202"):
        build_matrix(tables=tables_with(), snapshots=snapshots, contract=learn(question))


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_no_snapshots_give_no_rows_but_all_columns(question: Question) -> None:
    contract = learn(question)
    snapshots = pd.DataFrame({f"{question[:-1]}_id": ["x"], "as_of": [pd.Timestamp(AS_OF)]}).iloc[:0]

    built = build_matrix(tables=tables_with(), snapshots=snapshots, contract=contract)

    assert built.features.shape == (0, len(contract.names))
    assert built.snapshots.empty


def test_rows_follow_the_snapshots_and_keep_their_columns() -> None:
    snapshots = pd.DataFrame(
        {
            "deal_id": ["d1", "d1"],
            "as_of": [pd.Timestamp(AS_OF), pd.Timestamp("2024-01-11T00:00Z")],
            "weight": [2.0, 1.0],
        },
        index=[7, 3],
    )

    built = build_matrix(tables=tables_with(), snapshots=snapshots, contract=learn("deals"))

    assert built.snapshots["weight"].tolist() == [2.0, 1.0]
    assert built.features["age_days"].tolist() == [60.0, 10.0]


def test_contacts_alone_are_enough() -> None:
    tables = make_tables(contacts=[{"created_at": "2024-02-01T00:00Z"}])

    row = row_of(
        tables, learn_contract(question="contacts", tables=tables, settings=SETTINGS, properties=PropertySettings())[0]
    )

    assert row.to_dict() == {"tenure_days": 29.0}
