"""Which rows count as changed, what leaves a tombstone, and which batches are dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select

from serving.batch import Batch, Gone
from serving.schema import SCORES, removed
from serving.store import ScoreStore, StoreError, StoreSettings, UnknownBatchError
from tests.serving.conftest import MARCH, make_batch, make_contact, make_reasons


def day(number: int, contacts: list[dict[str, Any]], **changed: Any) -> Batch:
    """The batch of a day: contacts only."""
    as_of = pd.Timestamp(MARCH) + pd.Timedelta(days=number)
    frame = pd.DataFrame([row | {"as_of": as_of} for row in contacts])
    given = {"as_of": as_of.to_pydatetime(), "scored_at": as_of.to_pydatetime(), "contacts": frame, "deals": None}
    return make_batch(f"day{number}", **(given | changed))


def scored(contact_id: str, likelihood: float, **changed: Any) -> dict[str, Any]:
    """A contact whose reasons add up to a likelihood above the base rate of 0.2."""
    reasons = make_reasons(activity=likelihood - 0.2, company=0.0)
    ends = {"likelihood_low": 0.0, "likelihood_high": 1.0}
    return make_contact(contact_id, close_likelihood=likelihood, reasons=reasons, **(ends | changed))


def changed_in(store: ScoreStore, batch_id: str) -> dict[str, int | None]:
    table = SCORES["contacts"]
    with store.writing() as connection:
        rows = connection.execute(
            select(table.c.contact_id, table.c.changed_sequence).where(table.c.batch_id == batch_id)
        )
        return {row.contact_id: row.changed_sequence for row in rows}


def tombstones(store: ScoreStore) -> list[tuple[str, int, str, str | None]]:
    with store.writing() as connection:
        rows = connection.execute(select(removed).order_by(removed.c.sequence, removed.c.object_id))
        return [(row.object_id, row.sequence, row.reason, row.merged_into) for row in rows]


def test_every_row_of_the_first_batch_is_a_change(store: ScoreStore) -> None:
    store.publish(day(1, [scored("a", 0.3), scored("b", 0.4)]))

    assert changed_in(store, "day1") == {"a": 1, "b": 1}


def test_a_row_changes_when_its_probability_reaches_another_step_or_a_material_column_changes(
    store: ScoreStore,
) -> None:
    # In steps of 0.005: 0.300 is 60, 0.302 still 60, 0.303 is 61.
    store.publish(day(1, [scored(name, 0.3) for name in "abcdef"]))

    store.publish(
        day(
            2,
            [
                scored("a", 0.302),
                scored("b", 0.303),
                scored("c", 0.3, tier="low"),
                scored("d", 0.3, trend="up"),
                scored("e", 0.3, owner_id="7"),
                make_contact(
                    "f",
                    **dict.fromkeys(["close_likelihood", "likelihood_low", "likelihood_high", "reasons", "base_rate"]),
                    not_scored="rank only",
                ),
                scored("g", 0.3),
            ],
        )
    )

    assert changed_in(store, "day2") == {"a": 1, "b": 2, "c": 2, "d": 1, "e": 2, "f": 2, "g": 2}


def test_small_steps_in_one_direction_add_up_to_a_change(store: ScoreStore) -> None:
    for number, likelihood in enumerate([0.300, 0.301, 0.302, 0.303, 0.304], start=1):
        store.publish(day(number, [scored("a", likelihood)]))

    assert [changed_in(store, f"day{number}")["a"] for number in range(1, 6)] == [1, 1, 1, 4, 4]


def test_another_step_makes_every_row_a_change(store_url: str, store: ScoreStore) -> None:
    store.publish(day(1, [scored("a", 0.3)]))
    finer = ScoreStore(store_url, settings=StoreSettings(change_step=0.001))

    finer.publish(day(2, [scored("a", 0.3)]))

    assert changed_in(finer, "day2") == {"a": 2}
    finer.close()


def test_what_the_next_batch_lacks_leaves_a_tombstone_that_says_why(store: ScoreStore) -> None:
    store.publish(day(1, [scored(name, 0.3) for name in "abcd"]))

    gone = {"contacts": {"b": Gone("merged", "a"), "c": Gone("erased")}}
    store.publish(day(2, [scored("a", 0.3)], gone=gone))

    assert tombstones(store) == [
        ("b", 2, "merged", "a"),
        ("c", 2, "erased", None),
        ("d", 2, "no_longer_scored", None),
    ]


def test_what_the_crm_holds_no_more_was_erased_and_what_it_holds_is_only_scored_no_more(store: ScoreStore) -> None:
    store.publish(day(1, [scored(name, 0.3) for name in "abc"]))

    store.publish(day(2, [scored("a", 0.3)], in_crm={"contacts": pd.Index(["a", "b"])}))

    assert tombstones(store) == [("b", 2, "no_longer_scored", None), ("c", 2, "erased", None)]


def test_a_merged_object_names_its_survivor() -> None:
    with pytest.raises(StoreError, match="must name the one it was merged into"):
        Gone("merged")


def test_a_backfill_changes_nothing(store: ScoreStore) -> None:
    store.publish(day(2, [scored("a", 0.3), scored("b", 0.3)]))

    store.publish(day(1, [scored("a", 0.9)]))

    assert changed_in(store, "day1") == {"a": None}
    assert tombstones(store) == []
    store.publish(day(3, [scored("a", 0.3), scored("b", 0.3)]))
    assert changed_in(store, "day3") == {"a": 1, "b": 1}


def test_old_batches_are_dropped_but_never_the_latest_nor_the_young(store_url: str) -> None:
    store = ScoreStore(store_url, settings=StoreSettings(keep_batches=2, keep_days=3))
    for number in range(1, 7):
        store.publish(day(number, [scored("a", 0.3)]))
    now = datetime(2024, 3, 7, 12, tzinfo=UTC)

    # Days 5 and 6 (6 and 7 March) are the newest two, and day 4 is two and a half days old.
    dropped = store.prune(now=now)

    assert dropped == ["day3", "day2", "day1"]
    assert [batch.batch_id for batch in store.batches()] == ["day6", "day5", "day4"]
    with pytest.raises(UnknownBatchError):
        store.read("contacts", "day1")
    assert store.prune(now=now + timedelta(days=900)) == ["day4"]
    assert len(store.read("contacts")) == 1
    store.close()


def test_the_latest_of_a_question_outlives_its_age(store_url: str) -> None:
    store = ScoreStore(store_url, settings=StoreSettings(keep_batches=1, keep_days=1))
    store.publish(make_batch("both"))
    store.publish(day(3, [scored("a", 0.3)]))

    assert store.prune(now=datetime(2030, 1, 1, tzinfo=UTC)) == []
    assert len(store.read("deals")) == 3
    store.close()
