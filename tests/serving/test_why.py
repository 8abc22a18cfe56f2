"""Why a score changed, as an answer: from what was stored with it, or with the reason why nothing can be said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from serving.batch import StoredBatch
from serving.contract import CONTRACTS
from serving.why import why_changed
from tests.serving.conftest import MARCH, make_change, make_contact, make_reasons


def batch(day: int) -> StoredBatch:
    as_of = MARCH + timedelta(days=day)
    return StoredBatch(
        batch_id=f"day{day}",
        sequence=day,
        contract_version="1.2",
        as_of=as_of,
        scored_at=as_of,
        model_versions={},
        summary={},
        rows={},
        digest="",
        change_step=0.005,
        latest_for=(),
    )


def row(likelihood: float | None, **changed: Any) -> dict[str, Any]:
    told = {"points_reasons": None, "change": None} | make_contact(close_likelihood=likelihood) | changed
    return told if likelihood is not None else told | {"reasons": None}


def answer(*rows: Mapping[str, Any]) -> dict[str, Any]:
    """What the rows say, the newest first; the batches are a day apart."""
    days = range(len(rows), 0, -1)
    return why_changed([(batch(day), one) for day, one in zip(days, rows, strict=True)], CONTRACTS["contacts"])


def test_what_was_stored_is_told_with_the_families_of_both_batches() -> None:
    change = make_change(facts=0.2, time=-0.05, since="2024-03-02T00:00:00Z")

    told = answer(
        row(0.45, previous_likelihood=0.3, change=change, reasons=make_reasons(activity=0.3, company=-0.05)), row(0.3)
    )

    assert (told["from"], told["to"], told["since"]) == ("day1", "day2", "2024-03-02T00:00:00Z")
    assert (told["probability_before"], told["probability_after"], told["other_model"]) == (0.3, 0.45, False)
    assert [(one["part"], one["effect"]) for one in told["parts"]] == [
        ("facts", 0.2),
        ("time", -0.05),
        ("model", 0.0),
        ("calibration", 0.0),
    ]
    assert [(one["family"], round(one["change"], 9)) for one in told["families"]] == [
        ("activity", 0.15),
        ("company", 0.0),
    ]


def test_what_was_stored_outlives_the_batch_that_it_is_told_from() -> None:
    change = make_change(facts=0.1, since="2024-02-01T00:00:00Z")

    told = answer(row(0.3, previous_likelihood=0.2, change=change))

    assert (told["from"], told["since"], told["probability_before"]) == (None, "2024-02-01T00:00:00Z", 0.2)
    assert (round(told["difference"], 9), told["families"], len(told["parts"])) == (0.1, [], 4)


@pytest.mark.parametrize(
    ("rows", "difference", "words"),
    [
        ([row(0.3)], None, "the first score: nothing to compare it with"),
        (
            [row(None, not_scored="rank only: they failed"), row(0.3)],
            None,
            "no probability now: rank only: they failed",
        ),
        (
            [row(0.3), row(None, not_scored="rank only: they failed")],
            None,
            "no probability before: rank only: they failed",
        ),
        (
            [row(0.3004, previous_likelihood=0.3), row(0.3)],
            0.0004,
            "moved by less than 0.05 percentage points",
        ),
        ([row(0.4, previous_likelihood=0.3), row(0.3)], 0.1, "not split: nothing was stored about this change"),
    ],
)
def test_where_nothing_can_be_split_the_answer_says_why(
    rows: list[dict[str, Any]], difference: float | None, words: str
) -> None:
    told = answer(*rows)

    assert (told["words"], told["parts"]) == (words, [])
    assert told["difference"] == (None if difference is None else pytest.approx(difference))
