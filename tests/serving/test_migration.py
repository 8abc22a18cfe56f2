"""Stores of earlier releases: they are opened, keep every row, and end with the tables of this release."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pandas.testing import assert_frame_equal
from sqlalchemy import create_engine, text

from serving.batch import batch_digest
from serving.migration import HEAD, NewerStoreError
from serving.schema import METADATA
from serving.store import ScoreStore
from tests.serving.conftest import APRIL, make_batch

STORES = Path(__file__).parent / "stores"


def make_old_store(url: str, version: str) -> None:
    """Fill an empty store with what an earlier release left behind: the batches b1 and b2."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.executescript((STORES / f"{version}_sqlite.sql").read_text(encoding="utf-8"))
        connection.close()
        return
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in (STORES / f"{version}_postgresql.sql").read_text(encoding="utf-8").split(";\n"):
            connection.exec_driver_sql(statement.replace("%", "%%")) if statement.strip() else None
    engine.dispose()


def differences(url: str) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [one for one in compare_metadata(context, METADATA) if "alembic_version" not in str(one)]
    engine.dispose()
    return found


@pytest.mark.parametrize("version", ["v1"])
def test_reading_an_old_store_migrates_it_and_loses_nothing(store_url: str, tmp_path: Path, version: str) -> None:
    make_old_store(store_url, version)
    fresh = ScoreStore(f"sqlite:///{tmp_path / 'fresh.db'}")
    fresh.publish(make_batch("b1"))
    fresh.publish(make_batch("b2", as_of=APRIL))
    old = ScoreStore(store_url)

    for question in ("contacts", "deals"):
        for batch in ("b1", "b2", "latest"):
            assert_frame_equal(old.read(question, batch), fresh.read(question, batch))
    assert [batch.contract_version for batch in old.batches()] == ["1.0", "1.0"]
    assert differences(store_url) == []
    old.close()
    fresh.close()


@pytest.mark.parametrize("version", ["v1"])
def test_publishing_to_an_old_store_goes_on_where_it_ended(store_url: str, version: str) -> None:
    make_old_store(store_url, version)
    store = ScoreStore(store_url)
    batch = make_batch("b3", as_of=APRIL)

    published = store.publish(batch)

    assert (published.already, published.digest) == (False, batch_digest(batch))
    assert [(one.batch_id, one.sequence) for one in store.batches()] == [("b3", 3), ("b2", 2), ("b1", 1)]
    store.close()


def test_a_new_store_has_the_tables_that_the_schema_says(store_url: str) -> None:
    store = ScoreStore(store_url)
    store.publish(make_batch())
    store.close()

    assert differences(store_url) == []


def test_a_store_of_a_later_release_is_left_alone(store_url: str) -> None:
    store = ScoreStore(store_url)
    store.publish(make_batch())
    store.close()
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '99'"))
    engine.dispose()
    later = ScoreStore(store_url)

    with pytest.raises(NewerStoreError, match=f"version {HEAD} at most; they are of version 99"):
        later.batches()
    with pytest.raises(NewerStoreError):
        later.publish(make_batch("b2", as_of=APRIL))
    later.close()
