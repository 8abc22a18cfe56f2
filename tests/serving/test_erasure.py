"""What is left in the store of a contact that was erased: a tombstone for the jobs, and nothing else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from serving.batch import Gone
from serving.erasure import ErasedScores, erase_scores, merged_into
from serving.schema import METADATA
from serving.store import ScoreStore
from serving.walks import history
from tests.serving.test_changes import day, scored, tombstones
from tests.serving.test_walks import Job


def tables_that_name(store: ScoreStore, word: str) -> list[str]:
    with store.reading() as connection:
        assert connection is not None
        return [
            table.name
            for table in METADATA.sorted_tables
            if any(word in str(value) for row in connection.execute(select(table)) for value in row)
        ]


def batch_of(number: int, names: str, **changed: Any) -> Any:
    return day(number, [scored(f"contact-{name}", 0.3) for name in names], **changed)


def test_an_erased_contact_is_in_no_table_but_as_a_tombstone_that_jobs_are_told_of(store: ScoreStore) -> None:
    job = Job(store, page=2)
    found = {
        "findings": [{"message": "2 rows ('contact-b'; 'contact-ba')", "examples": ["'contact-b'", "'contact-ba'"]}]
    }
    store.publish(batch_of(1, "abc"))
    store.publish(batch_of(2, "abc", summary=found))
    job.visit()

    done = erase_scores(store, ["contact-b"])

    assert done == ErasedScores(rows=2, summaries=1)
    assert tables_that_name(store, "contact-b") == ["batches", "removed"]
    assert store.batch("contacts").summary["findings"][0]["examples"] == ["(erased)", "'contact-ba'"]
    assert history(store, "contacts", "contact-b") == []
    assert [batch.rows["contacts"] for batch in store.batches()] == [2, 2] == [len(store.read("contacts", "day1")), 2]
    store.publish(batch_of(3, "ac"))
    job.told.clear()
    job.visit()
    assert job.told == ["contact-b"]
    assert tombstones(store) == [("contact-b", 3, "erased", None)]
    assert sorted(job.mirror) == ["contact-a", "contact-c"]


def test_publishing_once_more_what_was_published_does_not_bring_an_erased_contact_back(store: ScoreStore) -> None:
    store.publish(batch_of(1, "ab"))
    erase_scores(store, ["contact-b"])

    again = store.publish(batch_of(1, "ab"))

    assert (again.already, tables_that_name(store, "contact-b")) == (True, ["removed"])


def test_erasing_twice_is_erasing_once(store: ScoreStore) -> None:
    store.publish(batch_of(1, "ab"))
    erase_scores(store, ["contact-b"])

    assert erase_scores(store, ["contact-b"]) == ErasedScores(rows=0, summaries=0)
    assert tombstones(store) == [("contact-b", 2, "erased", None)]


def test_those_merged_into_an_erased_contact_no_longer_name_it(store: ScoreStore) -> None:
    store.publish(batch_of(1, "abc"))
    store.publish(batch_of(2, "ab", gone={"contacts": {"contact-c": Gone("merged", "contact-b")}}))
    ids = ["contact-b", *merged_into(store, "contact-b")]

    erase_scores(store, ids)

    assert ids == ["contact-b", "contact-c"]
    assert tombstones(store) == [("contact-c", 2, "erased", None), ("contact-b", 3, "erased", None)]


def test_a_store_that_was_never_written_holds_nothing_to_erase(store: ScoreStore) -> None:
    assert erase_scores(store, ["contact-b"]) == ErasedScores(rows=0, summaries=0)
