"""Behaviour into files: the numbers that the tables give, wherever activities lie and however many fit at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.activity_columns import activity_columns
from features.activity_stream import CodedActivities
from features.behaviour import contact_activities
from features.behaviour_files import INSTANT, SnapshotsError, from_parquet, from_warehouse, write_behaviour
from features.feature_contract import FeatureContract
from features.parts import whole_part
from features.warehouse import ActivityWarehouse
from tests.features.plain_reading import (
    CONTACTS,
    DAY,
    Happening,
    activities_frame,
    contract_with,
    happenings,
    snapshots,
)

MEMORY = 128 * 1024**2


@pytest.fixture(scope="module")
def warehouse() -> Iterator[ActivityWarehouse]:
    with closing(ActivityWarehouse(None, memory_bytes=MEMORY)) as made:
        yield made


def table_of(asked: list[tuple[str, int]]) -> pa.Table:
    return pa.table(
        {
            "contact_id": pa.array([contact for contact, _ in asked], pa.string()),
            "as_of": pa.array([as_of for _, as_of in asked], INSTANT),
        }
    )


def in_memory(facts: list[Happening], asked: list[tuple[str, int]], contract: FeatureContract) -> pd.DataFrame:
    ids = pd.Index(sorted({contact for contact, _ in asked}), dtype="str")
    columns = activity_columns(
        contact_activities(
            activities=activities_frame(facts), contact_ids=ids, plan=contract.plan, discount=contract.discount
        ),
        objects=ids.get_indexer(pd.Index([contact for contact, _ in asked])),
        as_of=np.array([as_of for _, as_of in asked]),
        plan=contract.behaviour,
    )
    told = pd.DataFrame(columns)
    for name in ("first_kind", "last_kind"):
        told[name] = [None if np.isnan(place) else contract.plan.kinds[int(place)] for place in told[name]]
    return in_order(pd.concat([table_of(asked).to_pandas(), told], axis=1))


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    words = ["contact_id", "first_kind", "last_kind"]
    frame[words] = frame[words].astype("str")
    return frame.sort_values(["contact_id", "as_of"], ignore_index=True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(happenings, max_size=25), asked=snapshots, at_once=st.integers(1, 30))
def test_files_hold_what_the_tables_give(
    warehouse: ActivityWarehouse, tmp_path: Path, facts: list[Happening], asked: list[tuple[str, int]], at_once: int
) -> None:
    contract = contract_with()
    frame = activities_frame(facts)
    frame.to_parquet(tmp_path / "activities.parquet", row_group_size=7)
    with warehouse.extending([whole_part(frame)]):
        pass
    expected = in_memory(facts, asked, contract)

    for name, read in (
        ("warehouse", from_warehouse(warehouse, contract.behaviour)),
        ("parquet", from_parquet(tmp_path / "activities.parquet", contract.behaviour)),
    ):
        rows = write_behaviour(
            read=read,
            snapshots=table_of(asked),
            plan=contract.behaviour,
            folder=tmp_path / name,
            rows=pa.table(warehouse.rows_of_contacts().rename_axis("contact_id").rename("rows").reset_index()),
            activities_at_once=at_once,
        )

        found = in_order(pd.read_parquet(tmp_path / name))
        assert rows == len(asked)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)


def test_rows_come_by_contact_as_asked_and_then_by_time(warehouse: ActivityWarehouse, tmp_path: Path) -> None:
    asked = [("b", 3 * DAY), ("a", DAY), ("b", 2 * DAY)]
    with warehouse.extending([whole_part(activities_frame([Happening("b", "call", 0)]))]):
        pass
    plan = contract_with().behaviour

    write_behaviour(
        read=from_warehouse(warehouse, plan),
        snapshots=table_of(asked),
        plan=plan,
        folder=tmp_path / "out",
        only=["call_total", "days_since_call"],
    )

    found = pq.read_table(tmp_path / "out")
    assert found.column_names == ["contact_id", "as_of", "call_total", "days_since_call"]
    assert found["contact_id"].to_pylist() == ["b", "b", "a"]
    assert found["days_since_call"].to_pylist()[:2] == [2.0, 3.0]
    assert found["call_total"].to_pylist() == [1, 1, 0]


def test_what_fails_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part.parquet").write_bytes(b"before")

    def read(contacts: pa.Array) -> CodedActivities:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_behaviour(
            read=read, snapshots=table_of([("c0", DAY)]), plan=contract_with().behaviour, folder=tmp_path / "out"
        )

    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [b"before"]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"contact_id": ["c0"]}, "found no as_of"),
        ({"contact_id": ["c0"], "as_of": [pd.Timestamp("2024-01-01")]}, "found as_of of the type timestamp"),
        ({"contact_id": ["c0", None], "as_of": [pd.Timestamp("2024-01-01", tz="UTC")] * 2}, "found 1 empty"),
    ],
)
def test_snapshots_that_cannot_be_used_are_named(
    tmp_path: Path, columns: dict[str, list[object]], problem: str
) -> None:
    def read(contacts: pa.Array) -> CodedActivities:
        raise AssertionError("nothing should be read")

    with pytest.raises(SnapshotsError, match=problem):
        write_behaviour(read=read, snapshots=pa.table(columns), plan=contract_with().behaviour, folder=tmp_path / "out")


def test_progress_is_told_part_by_part(warehouse: ActivityWarehouse, tmp_path: Path) -> None:
    facts = [Happening(contact, "call", place * DAY) for contact in CONTACTS for place in range(4)]
    with warehouse.extending([whole_part(activities_frame(facts))]):
        pass
    plan, told = contract_with().behaviour, []

    write_behaviour(
        read=from_warehouse(warehouse, plan),
        snapshots=table_of([(contact, 9 * DAY) for contact in CONTACTS]),
        plan=plan,
        folder=tmp_path / "out",
        rows=pa.table({"contact_id": list(CONTACTS), "rows": [4] * 3}),
        activities_at_once=4,
        progress=lambda done, of: told.append((done, of)),
    )

    assert told == [(1, 3), (2, 3), (3, 3)]
    assert pq.read_table(tmp_path / "out")["call_total"].to_pylist() == [4, 4, 4]
