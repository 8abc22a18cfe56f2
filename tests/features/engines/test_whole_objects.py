"""Whole objects: regrouping loses nothing, cuts no object, and holds no more than it must."""

from __future__ import annotations

from itertools import groupby

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.engines.whole_objects import whole_objects


def regrouped(lengths: list[int], *, batch: int, least_rows: int) -> list[list[int]]:
    """Regroup objects of these lengths, delivered in batches of that many rows; return the objects of each table."""
    rows = [item for item, length in enumerate(lengths) for _ in range(length)]
    batches = [
        pa.record_batch({"object": [f"o{item}" for item in rows[start : start + batch]], "item": rows[start:][:batch]})
        for start in range(0, len(rows), batch)
    ]
    return [table["item"].to_pylist() for table in whole_objects(batches, key="object", least_rows=least_rows)]


def test_an_object_that_reaches_over_a_batch_waits_for_its_rest() -> None:
    # batches of four rows: 0011 1122 22
    assert regrouped([2, 4, 4], batch=4, least_rows=4) == [[0, 0], [1, 1, 1, 1], [2, 2, 2, 2]]
    assert regrouped([2, 4, 4], batch=4, least_rows=8) == [[0, 0, 1, 1, 1, 1], [2, 2, 2, 2]]


def test_nothing_gives_nothing() -> None:
    empty = pa.record_batch({"object": pa.array([], pa.string()), "item": pa.array([], pa.int64())})

    assert list(whole_objects([], key="object", least_rows=1)) == []
    assert list(whole_objects([empty, empty], key="object", least_rows=1)) == []


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    batch=st.integers(1, 10),
    least_rows=st.integers(1, 30),
)
def test_every_row_comes_once_in_order_and_no_object_is_cut(lengths: list[int], batch: int, least_rows: int) -> None:
    tables = regrouped(lengths, batch=batch, least_rows=least_rows)

    assert [item for table in tables for item in table] == [
        item for item, length in enumerate(lengths) for _ in range(length)
    ]
    assert [item for table in tables for item, _ in groupby(table)] == list(range(len(lengths)))
    assert all(len(table) < least_rows + batch + max(lengths) for table in tables)


@pytest.mark.parametrize("least_rows", [1, 5, 1000])
def test_one_object_larger_than_everything_is_one_table(least_rows: int) -> None:
    assert [len(table) for table in regrouped([3, 500, 3], batch=7, least_rows=least_rows)][-1] <= 506
    assert any(table.count(1) == 500 for table in regrouped([3, 500, 3], batch=7, least_rows=least_rows))
