"""The audit's verdict on columns whose measures are given: what is too good to be true, and what follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.audit import Audit, AuditedColumn, AuditSettings, Filled, Proxy, judge_columns
from models.separation import UNDEFINED, Separation

SETTINGS = AuditSettings()
HISTORY = "history: known_at of each value"


def column(name: str, skill: float, *, rests_on: str | None = "same", **changed: Any) -> AuditedColumn:
    """Build a column whose AUC has an interval of 0.02 on both sides."""
    measured = Separation(value=skill, low=skill - 0.02, high=skill + 0.02)
    given: dict[str, Any] = {
        "name": name,
        "rests_on": name if rests_on == "same" else rests_on,
        "known": HISTORY,
        "use": "used",
        "vouched": False,
        "filled": 1.0,
        "auc": measured,
        "auc_alike": measured,
    }
    return AuditedColumn(**(given | changed))


def judged(*columns: AuditedColumn, question: Any = "contacts", winners: int = 50) -> dict[str, AuditedColumn]:
    found, _ = judge_columns(columns, question=question, positive_objects=winners, settings=SETTINGS)
    return {one.name: one for one in found}


HONEST = column("warmth_7d", 0.66, rests_on=None)


def test_a_property_that_jumps_above_every_honest_column_is_refused_with_the_evidence() -> None:
    found = judged(HONEST, column("industry", 0.6), column("phase", 0.97))

    assert found["phase"].use == "refused"
    assert found["phase"].evidence == (
        "AUC 0.97 (0.95 to 0.99) among contacts that are alike in having an open deal or none, "
        "where the best honest column warmth_7d has 0.66",
    )
    assert [found[name].use for name in ("warmth_7d", "industry")] == ["used", "used"]


def test_several_leaks_do_not_vouch_for_each_other() -> None:
    found = judged(HONEST, column("phase", 0.97), column("deals_so_far", 0.93), column("revenue", 0.96))

    assert [found[name].use for name in ("phase", "deals_so_far", "revenue")] == ["refused"] * 3


@pytest.mark.parametrize(
    ("honest", "skill", "winners"),
    [
        (0.66, 0.86, 50),  # its interval reaches down to 0.84
        (0.90, 0.97, 50),  # an honest column does nearly as well
        (0.66, 0.97, 19),  # too few winners to say
    ],
)
def test_skill_alone_is_no_evidence(honest: float, skill: float, winners: int) -> None:
    found = judged(column("warmth_7d", honest, rests_on=None), column("phase", skill), winners=winners)

    assert found["phase"].use == "used"
    assert not found["phase"].is_suspicious


def test_what_is_vouched_for_is_warned_of_and_what_is_left_out_stays_so() -> None:
    found = judged(
        HONEST,
        column("vouched", 0.97, vouched=True, known="today's value, vouched for as known from creation on"),
        column("today", 0.97, use="left out", known="today's value only: no history"),
        column("named", 0.97, use="left out"),
    )

    assert {name: one.use for name, one in found.items() if one.is_suspicious} == {
        "vouched": "warned",
        "today": "left out",
        "named": "refused",
    }


def test_features_on_dated_facts_are_never_refused() -> None:
    found = judged(column("contract_sent_7d", 0.99, rests_on=None), column("warmth_7d", 0.6, rests_on=None))

    assert [one.use for one in found.values()] == ["used", "used"]


def test_what_only_todays_table_shows_is_no_witness_for_others() -> None:
    _, reference = judge_columns(
        [HONEST, column("days_to_close", 0.7, use="left out"), column("industry", 0.68)],
        question="deals",
        positive_objects=50,
        settings=SETTINGS,
    )

    assert reference == "industry"


@pytest.mark.parametrize(
    ("filled", "evidence"),
    [
        (Filled(1.0, 0.0, None, 30, 30), "filled for 100% of closed deals and 0.0% of open ones"),
        (Filled(0.5, 0.02, None, 30, 30), "filled for 50% of closed deals and 2.0% of open ones"),
        (Filled(0.8, 0.5, 0.05, 30, 30), "filled for 80% of closed deals, but before the outcome for 5.0% only"),
        (Filled(0.5, 0.03, None, 30, 30), None),
        (Filled(0.4, 0.0, None, 30, 30), None),
        (Filled(0.8, 0.5, 0.09, 30, 30), None),
        (Filled(1.0, 0.0, None, 19, 30), None),
        (Filled(1.0, 0.0, None, 30, 19), None),
        (Filled(None, 0.9, None, 0, 30), None),
    ],
)
def test_a_property_that_only_the_outcome_fills_is_refused(filled: Filled, evidence: str | None) -> None:
    found = judged(HONEST, column("reason", 0.55, filled_by_outcome=filled), question="deals")["reason"]

    assert found.evidence == (() if evidence is None else (evidence,))
    assert found.use == ("used" if evidence is None else "refused")


@pytest.mark.parametrize(("later", "use"), [(0.04, "used"), (0.05, "refused"), (None, "used")])
def test_a_record_of_the_past_that_lies_after_the_as_of_is_refused(later: float | None, use: str) -> None:
    assert judged(HONEST, column("last_visit", 0.6, later=later))["last_visit"].use == use


def test_plain_data_tells_all_and_knows_no_nan() -> None:
    found = Audit(
        question="contacts",
        as_of="2026-01-01T00:00:00+00:00",
        rows=10,
        objects=5,
        positive_objects=2,
        reference=None,
        columns=(
            column("phase", 0.97, use="refused", evidence=("a", "b")),
            column("trust", 0.97, use="warned", evidence=("c",)),
            column("empty", 0.5, auc=UNDEFINED, auc_alike=UNDEFINED, filled=None),
        ),
        proxies=(Proxy("age", "age", "above 40", "property_job", 0.8),),
    )

    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert found.refused == found.refused_properties == {"phase": "too good to be true: a; b"}
    assert found.warned == {"trust": "too good to be true: c"}
    assert plain["columns"][0]["auc_alike"] == {"value": 0.97, "low": 0.95, "high": 0.99}
    assert plain["columns"][2]["auc"] == {"value": None, "low": None, "high": None}
    assert plain["proxies"] == [
        {"attribute": "age", "column": "age", "value": "above 40", "feature": "property_job", "auc": 0.8}
    ]
