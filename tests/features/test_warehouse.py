"""The warehouse of activities: extended part by part, it holds what a warehouse built from scratch would hold."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from features.behaviour import contact_activities
from features.contracts import empty_frame
from features.errors import LeadScoringError
from features.findings import Finding
from features.parts import Part, whole_part
from features.sweep import behaviour_before
from features.visibility import instant
from features.warehouse import CODED, ActivityWarehouse, WarehouseError
from tests.features.builders import make_tables

MEMORY = 256 * 1024**2
CONTACTS = ("c1", "c2", "c3", "c4")
COLUMNS = [*CODED, "occurred_at", "known_at", "duration_seconds"]

Row = dict[str, Any]


def activity(activity_id: str, contact_id: str | None = "c1", **further: Any) -> Row:
    return {
        "activity_id": activity_id,
        "contact_id": contact_id,
        "type": "call",
        "occurred_at": "2024-03-01T00:00Z",
    } | further


def frame(*rows: Row) -> pd.DataFrame:
    return make_tables(activities=list(rows))["activities"] if rows else empty_frame("activities")


def part(name: str, *rows: Row, findings: tuple[Finding, ...] = ()) -> Part:
    return Part(name=name, digest=str(sorted(map(str, rows))), read=lambda: [(frame(*rows), findings)])


def unread(name: str, *rows: Row) -> Part:
    def refuse() -> Iterator[tuple[pd.DataFrame, tuple[Finding, ...]]]:
        raise AssertionError(f"{name} was read again")

    return Part(name=name, digest=part(name, *rows).digest, read=refuse)


def content(warehouse: ActivityWarehouse) -> list[tuple[str, ...]]:
    rows = warehouse.read()[COLUMNS].astype(object)
    return sorted(tuple(str(value) for value in row) for row in rows.to_numpy())


@pytest.fixture
def warehouse() -> Iterator[ActivityWarehouse]:
    made = ActivityWarehouse(None, memory_bytes=MEMORY)
    yield made
    made.close()


def test_what_is_read_back_is_what_was_delivered(warehouse: ActivityWarehouse) -> None:
    row = activity(
        "1",
        deal_id="d1",
        type="mail",
        direction="inbound",
        outcome="opened",
        name="spring",
        owner_id="o1",
        known_at="2024-03-02T12:00:00.000001Z",
        duration_seconds=2.5,
    )

    with warehouse.extending([part("a", row)]):
        pass

    read = warehouse.read()
    assert read[COLUMNS].astype(object).iloc[0].to_list() == [
        "c1",
        "d1",
        "mail",
        "inbound",
        "opened",
        "spring",
        "o1",
        pd.Timestamp("2024-03-01T00:00Z"),
        pd.Timestamp("2024-03-02T12:00:00.000001Z"),
        2.5,
    ]


def test_missing_values_stay_missing(warehouse: ActivityWarehouse) -> None:
    with warehouse.extending([part("a", activity("1", None, deal_id="d1"))]):
        pass

    read = warehouse.read().iloc[0]
    assert [name for name in COLUMNS if pd.isna(read[name])] == [
        "contact_id",
        "direction",
        "outcome",
        "name",
        "owner_id",
        "known_at",
        "duration_seconds",
    ]


def test_known_part_is_not_read_again(warehouse: ActivityWarehouse) -> None:
    with warehouse.extending([part("a", activity("1"))]):
        pass

    with warehouse.extending([unread("a", activity("1")), part("b", activity("2", "c2"))]) as extension:
        pass

    assert (extension.parts_read, extension.parts_known, extension.rows_read) == (1, 1, 1)
    assert warehouse.rows_of_contacts().to_dict() == {"c1": 1, "c2": 1}


def test_activity_counts_as_its_last_version_and_falls_back_when_that_is_taken_away(
    warehouse: ActivityWarehouse,
) -> None:
    first, edited = activity("1", type="call"), activity("1", type="meeting")
    with warehouse.extending([part("a", first), part("b", edited)]):
        pass
    assert warehouse.read()["type"].to_list() == ["meeting"]

    with warehouse.extending([unread("a", first)]):
        pass

    assert warehouse.read()["type"].to_list() == ["call"]


def test_merged_contact_counts_for_the_one_that_is_left_whatever_came_first(warehouse: ActivityWarehouse) -> None:
    parts = [part("a", activity("1", "c1"), activity("2", "c2"))]
    with warehouse.extending(parts, survivors={"c1": "c3", "c2": "c3"}):
        pass
    assert warehouse.rows_of_contacts().to_dict() == {"c3": 2}

    with warehouse.extending([*parts, part("b", activity("3", "c1"))], survivors={"c1": "c3", "c2": "c3"}):
        pass
    assert warehouse.rows_of_contacts().to_dict() == {"c3": 3}

    with warehouse.extending([*parts, part("b", activity("3", "c1"))], survivors={}):
        pass
    assert warehouse.rows_of_contacts().to_dict() == {"c1": 2, "c2": 1}


def test_only_the_activities_of_the_asked_contacts_are_read(warehouse: ActivityWarehouse) -> None:
    rows = [activity(str(number), contact) for number, contact in enumerate(("c1", "c2", "c3", None))]
    with warehouse.extending([part("a", *rows)]):
        pass

    read = warehouse.read(contacts=pd.Index(["c1", "c3", "nobody"], dtype="str"))

    assert sorted(read["contact_id"]) == ["c1", "c3"]


def test_the_newest_activity_is_the_last_that_was_known_before(warehouse: ActivityWarehouse) -> None:
    rows = [
        activity("1", occurred_at="2026-01-02T00:00Z", known_at="2026-01-05T00:00Z"),
        activity("2", occurred_at="2026-01-03T00:00Z"),
    ]
    with warehouse.extending([part("a", *rows)]):
        pass

    newest = [warehouse.newest(before=instant(pd.Timestamp(day, tz="UTC"))) for day in ("2026-01-06", "2026-01-05")]

    assert newest == [instant(pd.Timestamp(day, tz="UTC")) for day in ("2026-01-05", "2026-01-03")]
    assert warehouse.newest(before=instant(pd.Timestamp("2026-01-03", tz="UTC"))) is None


def test_findings_of_known_parts_are_told_again(warehouse: ActivityWarehouse) -> None:
    finding = Finding("warning", "odd", "activities", "one odd row", "type", 1, ("row 1",))
    parts = [part("a", activity("1"), findings=(finding,))]
    with warehouse.extending(parts):
        pass

    with warehouse.extending([unread("a", activity("1"))]) as extension:
        pass

    assert extension.findings == (finding,)


def test_id_repeated_across_the_batches_of_a_part_is_an_error(warehouse: ActivityWarehouse) -> None:
    batches = [(frame(activity("1"), activity("2")), []), (frame(activity("2")), [])]

    with warehouse.extending([Part("a", "x", lambda: batches)]) as extension:
        pass

    assert [(one.severity, one.code, one.count) for one in extension.findings] == [("error", "duplicate-key", 1)]
    assert "a, column activity_id" in extension.findings[0].message


def test_failed_extension_leaves_everything_as_it_was(warehouse: ActivityWarehouse) -> None:
    with warehouse.extending([part("a", activity("1"))]):
        pass
    before, digest = content(warehouse), warehouse.digest()

    def interrupted() -> None:
        with warehouse.extending([part("b", activity("2", "c9", type="odd"))]):
            assert warehouse.read()["type"].to_list() == ["odd"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert (content(warehouse), warehouse.digest()) == (before, digest)
    assert "odd" not in warehouse.read()["type"].cat.categories


def test_first_filling_that_failed_left_nothing(warehouse: ActivityWarehouse) -> None:
    nothing = warehouse.digest()

    def fails() -> Iterator[tuple[pd.DataFrame, tuple[Finding, ...]]]:
        yield frame(activity("1", type="odd")), ()
        raise LeadScoringError("unreadable")

    with pytest.raises(LeadScoringError, match="unreadable"), warehouse.extending([Part("a", "a", fails)]):
        pass

    assert (len(content(warehouse)), warehouse.digest()) == (0, nothing)
    with warehouse.extending([part("b", activity("2"))]):
        pass
    assert warehouse.read()["type"].cat.categories.to_list() == ["call"]


def test_digest_tells_content_not_history(warehouse: ActivityWarehouse) -> None:
    a, b = part("a", activity("1")), part("b", activity("2"))
    with warehouse.extending([a]):
        pass
    with warehouse.extending([a, b], survivors={"c1": "c2"}):
        pass
    other = ActivityWarehouse(None, memory_bytes=MEMORY)

    with other.extending([b, a], survivors={"c1": "c2"}):
        pass

    assert other.digest() == warehouse.digest()
    other.close()


def test_file_is_kept_and_taken_up_again(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "activities.duckdb"
    first = ActivityWarehouse(file, memory_bytes=MEMORY)
    with first.extending([part("a", activity("1"))]):
        pass
    first.close()

    again = ActivityWarehouse(file, memory_bytes=MEMORY)

    with again.extending([unread("a", activity("1"))]):
        pass
    assert len(again.read()) == 1
    again.close()


def test_what_exceeds_the_memory_is_spilled_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    many = frame(activity("1")).loc[np.zeros(150_000, dtype=int)].reset_index(drop=True)
    many["activity_id"] = [f"{number:0100d}" for number in range(len(many))]  # fifteen megabytes of ids alone
    parts, spill = [whole_part(many)], tmp_path / "spill"

    with closing(ActivityWarehouse(None, memory_bytes=16 * 1024**2, spill=spill)) as spilling:
        with spilling.extending(parts):
            pass
        assert spill.exists()
        assert spilling.rows() == 150_000

    assert not spill.exists()
    with (
        closing(ActivityWarehouse(None, memory_bytes=16 * 1024**2)) as nowhere,
        pytest.raises(WarehouseError, match="raise memory_gigabytes"),
        nowhere.extending(parts),
    ):
        pass


def test_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "activities.duckdb"
    file.write_bytes(b"no database" * 1000)

    with pytest.raises(WarehouseError) as raised:
        ActivityWarehouse(file, memory_bytes=MEMORY)

    assert isinstance(raised.value, LeadScoringError)
    assert str(file) in str(raised.value)
    assert "remove the file" in str(raised.value)


KILLED = """
import os, signal, sys
from pathlib import Path
from features.warehouse import ActivityWarehouse
from features.parts import Part, whole_part
from tests.features.test_warehouse import MEMORY, activity, frame, part

def dying():
    yield frame(*(activity(f"b{n}", "c2") for n in range(5000))), []
    os.kill(os.getpid(), signal.SIGKILL)

warehouse = ActivityWarehouse(Path(sys.argv[1]), memory_bytes=MEMORY)
with warehouse.extending([part(name, activity("1")) for name in sys.argv[2:]]):
    pass
with warehouse.extending([part("a", activity("1")), Part("b", "b", dying)]):
    pass
"""


def test_killed_extension_leaves_what_was_there_before(tmp_path: Path) -> None:
    file = tmp_path / "activities.duckdb"

    killed = subprocess.run([sys.executable, "-c", KILLED, str(file), "a"], check=False)

    assert killed.returncode == -signal.SIGKILL
    warehouse = ActivityWarehouse(file, memory_bytes=MEMORY)
    with warehouse.extending([unread("a", activity("1"))]) as extension:
        pass
    assert extension.parts_known == 1
    assert warehouse.rows_of_contacts().to_dict() == {"c1": 1}
    warehouse.close()


def test_first_filling_that_was_killed_left_nothing(tmp_path: Path) -> None:
    file = tmp_path / "activities.duckdb"

    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)

    assert killed.returncode == -signal.SIGKILL
    warehouse = ActivityWarehouse(file, memory_bytes=MEMORY)
    assert warehouse.rows_of_contacts().to_dict() == {}
    with warehouse.extending([part("b", activity("2", "c9"))]) as extension:
        pass
    assert (extension.parts_read, extension.parts_known) == (1, 0)
    assert warehouse.rows_of_contacts().to_dict() == {"c9": 1}
    warehouse.close()


rows = st.builds(
    lambda number, contact, kind, day, late: activity(
        f"a{number}",
        contact,
        type=kind,
        occurred_at=f"2024-01-{day:02d}T12:00Z",
        **({"known_at": f"2024-01-{day + late:02d}T12:00Z"} if late else {}),
    ),
    number=st.integers(1, 9),
    contact=st.sampled_from([*CONTACTS, None]),
    kind=st.sampled_from(["call", "mail", "visit"]),
    day=st.integers(1, 25),
    late=st.sampled_from([0, 0, 0, 5]),
)
contents = st.lists(rows, max_size=6, unique_by=lambda row: row["activity_id"])
names = st.sampled_from(["2024-01", "2024-02", "2024-03"])


class Increments(RuleBasedStateMachine):
    """Parts come, change and go, contacts are merged: always the same as one made from scratch."""

    @initialize()
    def begin(self) -> None:
        self.warehouse = ActivityWarehouse(None, memory_bytes=MEMORY)
        self.parts: dict[str, list[Row]] = {}
        self.survivors: dict[str, str] = {}

    @rule(name=names, rows=contents)
    def deliver(self, name: str, rows: list[Row]) -> None:
        self.parts[name] = rows

    @rule(name=names)
    def take_away(self, name: str) -> None:
        self.parts.pop(name, None)

    @rule(loser=st.sampled_from(CONTACTS), survivor=st.sampled_from(CONTACTS))
    def merge(self, loser: str, survivor: str) -> None:
        self.survivors = {one: survivor if end == loser else end for one, end in self.survivors.items()}
        self.survivors[loser] = survivor
        self.survivors = {one: end for one, end in self.survivors.items() if one != end}

    @invariant()
    def equals_one_from_scratch(self) -> None:
        if not hasattr(self, "parts"):
            return
        parts = [part(name, *rows) for name, rows in self.parts.items()]
        with self.warehouse.extending(parts, survivors=self.survivors):
            pass
        scratch = ActivityWarehouse(None, memory_bytes=MEMORY)
        with scratch.extending(parts, survivors=self.survivors):
            pass

        expected = self.expected_rows()
        counted = self.counts(self.warehouse.read())

        assert content(self.warehouse) == content(scratch)
        assert self.warehouse.digest() == scratch.digest()
        np.testing.assert_array_equal(counted, self.counts(frame(*expected)))
        scratch.close()

    def expected_rows(self) -> list[Row]:
        versions = {row["activity_id"]: row for name in sorted(self.parts) for row in self.parts[name]}
        return [
            row | {"contact_id": self.survivors.get(row["contact_id"], row["contact_id"])} for row in versions.values()
        ]

    def counts(self, activities: pd.DataFrame) -> np.ndarray:
        objects = np.repeat(np.arange(len(CONTACTS)), 2)
        moments = [instant(pd.Timestamp(day)) for day in ("2024-01-15T12:00Z", "2024-02-10T00:00Z")]
        return behaviour_before(
            activities=contact_activities(
                activities=activities, contact_ids=pd.Index(CONTACTS, dtype="str"), kinds=("call", "mail", "visit")
            ),
            objects=objects,
            as_of=np.array(moments * len(CONTACTS)),
            windows_days=(7.0, 28.0),
            half_lives_days=(),
        ).counts

    def teardown(self) -> None:
        if hasattr(self, "warehouse"):
            self.warehouse.close()


Increments.TestCase.settings = settings(max_examples=10, stateful_step_count=7, deadline=None)
TestIncrements = Increments.TestCase
