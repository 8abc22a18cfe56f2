"""What the published contract accepts and refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serving.contract import CONTRACTS, ContractError, check_rows, conform
from tests.serving.conftest import make_change, make_contact, make_deal, make_points, make_reasons, unscored_deal


def contacts(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def test_columns_are_those_of_the_design_in_its_order() -> None:
    design = (
        "batch_id object_type contact_id as_of scored_at model_version close_likelihood likelihood_low likelihood_high "
        "tier points points_fit points_engagement points_grade points_likelihood agreement previous_likelihood trend "
        "base_rate reasons not_scored owner_id points_reasons change"
    )
    design_deals = (
        "batch_id object_type deal_id as_of scored_at model_version pipeline stage days_in_stage win_probability "
        "win_low win_high win_within_horizon stage_probability_manual stage_rate_observed expected_close_at "
        "expected_close_low expected_close_high amount expected_value stalled points points_likelihood "
        "previous_probability trend base_rate reasons not_scored owner_id points_reasons change"
    )

    assert CONTRACTS["contacts"].names == tuple(design.split())
    assert CONTRACTS["deals"].names == tuple(design_deals.split())


def test_every_column_has_a_meaning_of_one_sentence() -> None:
    meanings = [column.meaning for contract in CONTRACTS.values() for column in contract.columns]

    assert all(meaning.endswith(".") and meaning.count(". ") == 0 for meaning in meanings)


def test_good_rows_pass_scored_or_not() -> None:
    check_rows("contacts", contacts(make_contact("1"), make_contact("2")))
    check_rows("deals", pd.DataFrame([make_deal("d1"), unscored_deal("d2"), unscored_deal("d3", reasons="[]")]))


def test_no_rows_pass() -> None:
    check_rows("contacts", contacts(make_contact()).iloc[:0])


def test_conformed_rows_have_the_contracts_dtypes_whatever_came_in() -> None:
    rows = conform("deals", pd.DataFrame([unscored_deal("d1"), unscored_deal("d2")]))

    dtypes = {column.name: str(rows[column.name].dtype) for column in CONTRACTS["deals"].columns if not column.stamped}
    assert {dtypes["expected_close_at"], dtypes["as_of"]} == {"datetime64[us, UTC]"}
    assert {dtypes["amount"], dtypes["win_low"]} == {"float64"}
    assert dtypes["stalled"] == "boolean"
    assert {dtypes["stage"], dtypes["reasons"]} == {"str"}


def test_minus_zero_and_nul_become_what_every_database_can_hold() -> None:
    rows = conform("deals", pd.DataFrame([make_deal(amount=-0.0, stage="a\0b")]))

    assert not np.signbit(rows["amount"].iloc[0])
    assert rows["stage"].iloc[0] == "a\ufffdb"


@pytest.mark.parametrize(
    ("changed", "column", "must"),
    [
        ({"close_likelihood": 1.2}, "close_likelihood", "between 0 and 1"),
        ({"points_likelihood": -0.01}, "points_likelihood", "between 0 and 1"),
        ({"points": float("inf")}, "points", "finite"),
        ({"points": "35"}, "points", "a number"),
        ({"points": True}, "points", "a number"),
        ({"tier": "top"}, "tier", "very_high"),
        ({"tier": 3}, "tier", "must be text"),
        ({"object_type": "deal"}, "object_type", "one of contact"),
        ({"likelihood_low": 0.31}, "likelihood_low", "not lie above close_likelihood"),
        ({"likelihood_high": 0.29}, "likelihood_high", "not lie below close_likelihood"),
        ({"close_likelihood": None}, "not_scored", "must say why"),
        ({"not_scored": "too new"}, "not_scored", "must be null"),
        ({"close_likelihood": None, "not_scored": "too new"}, "likelihood_low", "must be null"),
        ({"base_rate": None}, "base_rate", "must be given"),
        ({"reasons": None}, "reasons", "must be given"),
        ({"model_version": None}, "model_version", "must be given"),
        ({"as_of": pd.Timestamp("2024-03-01")}, "as_of", "UTC"),
        ({"as_of": pd.Timestamp("2024-03-01", tz="Europe/Berlin")}, "as_of", "UTC"),
        ({"as_of": None}, "as_of", "must not be empty"),
    ],
)
def test_a_broken_row_is_named_with_column_and_value(changed: dict[str, Any], column: str, must: str) -> None:
    frame = contacts(make_contact("17", **changed))

    with pytest.raises(ContractError, match=must) as caught:
        check_rows("contacts", frame)

    assert (caught.value.question, caught.value.column, caught.value.row) == ("contacts", column, "17")


@pytest.mark.parametrize(
    ("changed", "column", "must"),
    [
        ({"points_reasons": make_points(a=30.0, b=4.99)}, "points_reasons", "must add up to 35.0"),
        ({"points_reasons": '[{"criterion": "a", "points": 35}]'}, "points_reasons", "criterion, group, words"),
        ({"points_reasons": '[{"criterion": "a"}]'}, "points_reasons", "in each line"),
        ({"points_reasons": '{"a": 35}'}, "points_reasons", "must be a JSON list"),
        ({"points": None, "points_reasons": make_points(a=0.0)}, "points_reasons", "must be null"),
        ({"change": make_change(facts=0.1001)}, "change", "must add up to"),
        ({"change": make_change(facts=0.1)}, "change", "must be null"),
        ({"change": "[]"}, "change", "must be a JSON object"),
        ({"change": '{"since": "", "words": "", "difference": 0.1}'}, "change", "since, difference, words and parts"),
        ({"change": make_change(facts=0.1).replace('"time"', '"days"')}, "change", "facts, time, model, calibration"),
        (
            {"change": make_change(facts=0.1).replace('"difference": 0.1', '"difference": 0.2')},
            "change",
            "the parts sum to 0.1",
        ),
        (
            {
                "change": make_change(facts=0.1).replace(
                    '"family": "activity", "effect": 0.1', '"family": "x", "effect": 2'
                )
            },
            "change",
            "in part 'facts'",
        ),
    ],
)
def test_points_and_changes_must_add_up(changed: dict[str, Any], column: str, must: str) -> None:
    before = {"previous_likelihood": None if must == "must be null" else 0.2}

    with pytest.raises(ContractError, match=must) as caught:
        check_rows("contacts", contacts(make_contact("17", **(before | changed))))

    assert caught.value.column == column


def test_points_and_changes_that_add_up_pass() -> None:
    told = {"points_reasons": make_points(a=40.0, b=-5.0), "change": make_change(facts=0.15, time=-0.05)}
    unsplit = json.dumps({"since": "2024-02-01T00:00:00Z", "difference": 0.1, "words": "not split", "parts": []})

    check_rows("contacts", contacts(make_contact("1", previous_likelihood=0.2, **told)))
    check_rows("deals", pd.DataFrame([make_deal(change=unsplit), unscored_deal("d2")]))


def test_the_message_quotes_row_value_and_how_many_more() -> None:
    frame = contacts(
        make_contact("1"), make_contact("2", points_likelihood=7.5), make_contact("3", points_likelihood=8)
    )

    with pytest.raises(ContractError) as caught:
        check_rows("contacts", frame)

    message = str(caught.value)
    assert "contacts.points_likelihood must lie between 0 and 1" in message
    assert "row contact_id='2' (and 1 more rows) holds" in message
    assert "7.5" in message


@pytest.mark.parametrize("contact_id", ["", None, "a\0b"])
def test_an_id_must_be_a_word(contact_id: str | None) -> None:
    with pytest.raises(ContractError) as caught:
        check_rows("contacts", contacts(make_contact("1"), make_contact() | {"contact_id": contact_id}))

    assert caught.value.column == "contact_id"


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(ContractError, match="named once") as caught:
        check_rows("contacts", contacts(make_contact("5"), make_contact("6"), make_contact("5")))

    assert caught.value.row == "5"


def test_missing_and_unknown_columns_are_named() -> None:
    frame = contacts(make_contact()).rename(columns={"tier": "teir"})

    with pytest.raises(ContractError, match=r"missing: \['tier'\], unknown: \['teir'\]"):
        check_rows("contacts", frame)


def test_stamped_columns_come_together_or_not_at_all() -> None:
    with pytest.raises(ContractError, match=r"missing: \['scored_at'\]"):
        check_rows("contacts", contacts(make_contact()).assign(batch_id="b1"))


def test_a_doubled_column_is_named() -> None:
    frame = contacts(make_contact())

    with pytest.raises(ContractError, match=r"doubled: \['tier'\]"):
        check_rows("contacts", pd.concat([frame, frame[["tier"]]], axis=1))


def test_an_unknown_question_is_named() -> None:
    with pytest.raises(ContractError, match="'leads'"):
        check_rows("leads", contacts(make_contact()))


def test_expected_close_must_lie_in_its_range() -> None:
    late = pd.Timestamp("2024-04-11", tz="UTC")

    with pytest.raises(ContractError, match="expected_close_low must not lie above expected_close_at"):
        check_rows("deals", pd.DataFrame([make_deal(expected_close_low=late)]))


def test_stalled_must_be_true_or_false() -> None:
    with pytest.raises(ContractError, match="true or false"):
        check_rows("deals", pd.DataFrame([make_deal(stalled="yes")]))


def test_families_must_add_up_to_the_probability() -> None:
    # 0.2 + 0.15 - 0.05 = 0.3; a company effect of -0.050000002 misses it by 2e-9.
    check_rows("contacts", contacts(make_contact(reasons=make_reasons(company=-0.0500000005))))

    with pytest.raises(ContractError, match=r"base_rate \+ effects must be close_likelihood 0.3") as caught:
        check_rows("contacts", contacts(make_contact("8", reasons=make_reasons(company=-0.050000002))))

    assert (caught.value.column, caught.value.row) == ("reasons", "8")


def broken_reasons(**changed: Any) -> str:
    first, second = json.loads(make_reasons())
    return json.dumps([first | changed, second])


@pytest.mark.parametrize(
    ("reasons", "must"),
    [
        ("{", "JSON list"),
        ('{"family": 1}', "JSON list"),
        ('[{"effect": NaN}]', "NaN is not JSON"),
        ("[1]", "must hold family"),
        ('[{"family": "a", "effect": 0.1}]', "must hold family"),
        (broken_reasons(features=[]), "add up in family 'activity'"),
        (broken_reasons(features=[{"feature": "x", "value": 1, "effect": 0.15}]), "must give words"),
        (broken_reasons(effect="0.15"), "effects as numbers"),
        (json.dumps(json.loads(make_reasons())[::-1]), "sorted by size"),
        (make_reasons(activity=1e999), "JSON"),
    ],
)
def test_reasons_that_cannot_be_read_or_do_not_add_up_are_refused(reasons: str, must: str) -> None:
    with pytest.raises(ContractError, match=must) as caught:
        check_rows("contacts", contacts(make_contact("4", reasons=reasons)))

    assert (caught.value.column, caught.value.row) == ("reasons", "4")


def test_reasons_without_a_probability_are_refused() -> None:
    with pytest.raises(ContractError, match="empty list"):
        check_rows("deals", pd.DataFrame([unscored_deal("d1", reasons=make_reasons())]))
