"""Walking through batches: every row once whatever is published meanwhile, and changes that lose and double nothing."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.batch import Gone
from serving.contract import CONTRACTS
from serving.store import ScoreStore, StoreSettings
from serving.walks import BatchGoneError, Filter, disagreements, history, read_changes, read_chunk, walk
from tests.serving.conftest import APRIL, MARCH, make_batch, make_contact, make_deal, unscored_deal
from tests.serving.test_changes import day, scored

NAMES = CONTRACTS["contacts"].names


def ids_of(store: ScoreStore, question: str, **wanted: Any) -> list[str]:
    batch = store.batch(question)
    pages = walk(
        store, question, batch, fields=("tier",) if question == "contacts" else ("stage",), chosen=Filter(**wanted)
    )
    return [one for page in pages for one in page.ids]


def pages_of(store: ScoreStore, size: int) -> Any:
    batch = store.batch("contacts")
    after = None
    while True:
        page = read_chunk(store, "contacts", batch, fields=("batch_id", "contact_id"), after=after, rows=size)
        yield page
        after = page.last
        if after is None:
            return


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 50])
def test_the_union_of_the_pages_is_the_batch_while_others_are_published(store: ScoreStore, size: int) -> None:
    names = sorted(["a", "B", "ä", "10", "9", "z z", "💡", "'"])
    store.publish(day(1, [scored(name, 0.3) for name in names]))
    seen: list[str] = []
    batches: set[str] = set()

    for number, page in enumerate(pages_of(store, size), start=2):
        seen += page.ids
        batches |= set(page.columns["batch_id"])
        store.publish(day(number, [scored("a", 0.5), scored("aa", 0.5)]))

    assert seen == sorted(names, key=str.encode)
    assert batches == {"day1"}


def test_a_walk_through_a_batch_that_was_dropped_is_told(store_url: str) -> None:
    store = ScoreStore(store_url, settings=StoreSettings(keep_batches=1, keep_days=1))
    store.publish(day(1, [scored("a", 0.3), scored("b", 0.3)]))
    pages = pages_of(store, 1)
    next(pages)
    store.publish(day(9, [scored("a", 0.3)]))
    store.prune(now=store.batch("contacts").scored_at)

    with pytest.raises(BatchGoneError, match="'day1' of contacts must be kept"):
        next(pages)
    store.close()


def test_filters_choose_rows(store: ScoreStore) -> None:
    deals = [
        make_deal("a", stage="won over", pipeline="p1", owner_id="7"),
        make_deal("b", stage="new", pipeline="p2"),
        unscored_deal("c", stage="new"),
    ]
    contacts = [scored("a", 0.25, tier="low"), scored("b", 0.5), scored("c", 0.75, tier="low")]
    store.publish(make_batch(deals=pd.DataFrame(deals), contacts=pd.DataFrame(contacts)))

    assert ids_of(store, "deals", stage=("new",)) == ["b", "c"]
    assert ids_of(store, "deals", stage=("new", "won over"), pipeline=("p1",)) == ["a"]
    assert ids_of(store, "deals", owner_id=("7",)) == ["a"]
    assert ids_of(store, "contacts", tier=("low",)) == ["a", "c"]
    assert ids_of(store, "contacts", at_least=0.5) == ["b", "c"]
    assert ids_of(store, "contacts", at_least=0.3, at_most=0.5) == ["b"]
    assert ids_of(store, "contacts", ids=("c", "zz")) == ["c"]


def test_updated_since_chooses_what_changed_in_batches_scored_since(store: ScoreStore) -> None:
    store.publish(day(1, [scored("a", 0.3), scored("b", 0.3)]))
    store.publish(day(2, [scored("a", 0.3), scored("b", 0.4)]))
    first, second = (store.batch("contacts", name).scored_at for name in ("day1", "day2"))

    assert ids_of(store, "contacts", updated_since=first) == ["a", "b"]
    assert ids_of(store, "contacts", updated_since=second) == ["b"]
    assert ids_of(store, "contacts", updated_since=second.replace(hour=1)) == []


def test_the_history_of_an_object_is_its_row_in_every_batch(store: ScoreStore) -> None:
    store.publish(day(1, [scored("a", 0.3)]))
    store.publish(day(2, [scored("b", 0.4)]))
    store.publish(day(3, [scored("a", 0.5)]))

    told = history(store, "contacts", "a")

    assert [(batch.batch_id, row["close_likelihood"]) for batch, row in told] == [("day3", 0.5), ("day1", 0.3)]
    assert history(store, "contacts", "none") == []


class Job:
    """A CRM job that mirrors scores by the changes feed, and may crash after any page before it kept its place."""

    def __init__(self, store: ScoreStore, page: int) -> None:
        self.store, self.page = store, page
        self.mirror: dict[str, tuple[Any, ...]] = {}
        self.since = 0
        self.told: list[str] = []

    def visit(self, *, crash_after: int | None = None) -> None:
        batch = self.store.batch("contacts")
        after, pages = None, 0
        fields = ("close_likelihood", "tier", "owner_id")
        while True:
            found = read_changes(
                self.store, "contacts", batch, since=self.since, fields=fields, after=after, rows=self.page
            )
            rows = zip(found.rows.ids, zip(*(found.rows.columns[name] for name in fields), strict=True), strict=True)
            assert len(found.rows.ids) + len(found.gone) <= self.page
            for contact_id, values in rows:
                self.mirror[contact_id] = values
                self.told.append(contact_id)
            for one in found.gone:
                self.mirror.pop(one.object_id, None)
                self.told.append(one.object_id)
            pages += 1
            if pages == crash_after:
                return
            after = found.last
            if after is None:
                self.since = batch.sequence
                return

    def rounded(self) -> dict[str, Any]:
        return {name: (round(values[0] / 0.005), *values[1:]) for name, values in self.mirror.items()}


def truth(store: ScoreStore) -> dict[str, Any]:
    rows = store.read("contacts")
    found = rows[["close_likelihood", "tier", "owner_id"]].astype(object).where(rows.notna(), None)
    return {
        name: (round(values[0] / 0.005), *values[1:])
        for name, values in zip(rows["contact_id"], found.itertuples(index=False), strict=True)
    }


def test_who_is_judged_alike_is_in_no_list_of_disagreements(store: ScoreStore) -> None:
    def judged(contact_id: str, points: float) -> dict[str, Any]:
        return scored(contact_id, 0.3, points_likelihood=points, agreement="model_only")

    store.publish(
        day(
            1,
            [
                judged("alike", 0.295),
                judged("near", 0.25),
                judged("far", 0.1),
                scored("other", 0.3, agreement="both_low"),
            ],
        )
    )

    listed = disagreements(store, "contacts", store.batch("contacts"), rows=10)

    assert [one["id"] for one in listed] == ["far", "near"]


def test_a_job_is_told_each_change_once(store: ScoreStore) -> None:
    job = Job(store, page=2)
    store.publish(day(1, [scored(name, 0.3) for name in "abcde"]))
    job.visit()
    job.visit()
    assert job.told == ["a", "b", "c", "d", "e"]

    gone = {"contacts": {"b": Gone("merged", "a")}}
    store.publish(day(2, [scored("a", 0.4), scored("c", 0.3), scored("d", 0.301), scored("f", 0.2)], gone=gone))
    job.told.clear()
    job.visit()

    assert sorted(job.told) == ["a", "b", "e", "f"]
    assert sorted(job.mirror) == ["a", "c", "d", "f"]


def test_an_object_that_went_and_came_back_is_told_as_a_row(store: ScoreStore) -> None:
    store.publish(day(1, [scored("a", 0.3), scored("b", 0.3)]))
    store.publish(day(2, [scored("a", 0.3)]))
    store.publish(day(3, [scored("a", 0.3), scored("b", 0.3)]))

    batch = store.batch("contacts")
    found = read_changes(store, "contacts", batch, since=1, fields=("tier",), rows=10)

    assert (list(found.rows.ids), list(found.gone)) == (["b"], [])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), page=st.integers(1, 5))
def test_a_job_that_crashes_and_comes_back_ends_with_the_latest_batch(
    tmp_path_factory: pytest.TempPathFactory, seed: int, page: int
) -> None:
    draw = random.Random(seed)
    store = ScoreStore(f"sqlite:///{tmp_path_factory.mktemp('job') / 'scores.db'}")
    job = Job(store, page)
    held: dict[str, float] = {}
    for number in range(1, 9):
        for name in "abcdefgh":
            if draw.random() < 0.5:
                held[name] = round(draw.uniform(0.21, 0.9), 3) if draw.random() < 0.5 else held.get(name, 0.5) + 0.001
            elif draw.random() < 0.2:
                held.pop(name, None)
        held.setdefault("z", 0.5)
        store.publish(day(number, [scored(name, likelihood) for name, likelihood in held.items()]))
        if draw.random() < 0.7:
            job.visit(crash_after=draw.choice([1, 2, None, None]))

    job.visit()

    assert job.rounded() == truth(store)
    store.close()


def test_a_batch_published_in_mid_walk_is_told_by_the_next_visit(store: ScoreStore) -> None:
    store.publish(make_batch("b1", as_of=MARCH))
    job = Job(store, page=1)
    job.visit(crash_after=1)
    store.publish(
        make_batch("b2", as_of=APRIL, contacts=pd.DataFrame([make_contact("9", as_of=pd.Timestamp(APRIL), tier="low")]))
    )

    job.visit()

    assert {name: values[1] for name, values in job.mirror.items()} == {"9": "low"}
    assert job.since == 2
