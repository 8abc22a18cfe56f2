"""Activities in parts: a folder of files beside the other tables, each read by itself and in batches."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.sources import folder as folder_source
from features.sources.folder import FolderSource
from features.sources.reading import read_batches
from features.warehouse import ActivityWarehouse

HEADER = "activity_id,occurred_at,type,contact_id"
FIRST = f"{HEADER}\n1,2024-01-01T00:00:00Z,call,c1\n2,2024-01-02T00:00:00Z,call,c2\n"
SECOND = f"{HEADER}\n2,2024-01-02T00:00:00Z,meeting,c2\n3,2024-02-01T00:00:00Z,call,c1\n"


def crm(path: Path, **parts: str) -> FolderSource:
    path.joinpath("contacts.csv").write_text("contact_id,created_at\nc1,2024-01-01T00:00:00Z\n")
    path.joinpath("activities").mkdir(exist_ok=True)
    for name, content in parts.items():
        path.joinpath("activities", f"{name}.csv").write_text(content)
    return FolderSource(path)


def test_folder_of_activities_is_one_table_in_which_the_last_version_counts(tmp_path: Path) -> None:
    tables, findings = crm(tmp_path, a2024_01=FIRST, a2024_02=SECOND).read()

    assert findings == []
    assert tables.has("activities")
    read = tables["activities"].sort_values("activity_id")
    assert read["activity_id"].to_list() == ["1", "2", "3"]
    assert read["type"].to_list() == ["call", "meeting", "call"]


def test_new_file_is_all_that_is_read_the_next_time(tmp_path: Path) -> None:
    warehouse = ActivityWarehouse(None, memory_bytes=256 * 1024**2)
    with warehouse.extending(crm(tmp_path, a2024_01=FIRST).activity_parts()) as first:
        pass

    with warehouse.extending(crm(tmp_path, a2024_02=SECOND).activity_parts()) as second:
        pass

    assert (first.rows_read, second.rows_read, second.parts_known) == (2, 2, 1)
    assert warehouse.rows_of_contacts().to_dict() == {"c1": 2, "c2": 1}
    warehouse.close()


def test_file_and_folder_of_activities_together_are_refused(tmp_path: Path) -> None:
    source = crm(tmp_path, a2024_01=FIRST)
    tmp_path.joinpath("activities.csv").write_text(FIRST)

    _, findings = source.read()

    assert [(one.severity, one.code) for one in findings] == [("error", "two-files")]
    assert "activities.csv and activities" in findings[0].message


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_fault_in_a_later_batch_names_its_row_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(folder_source, "_BATCH_ROWS", 2)
    source = crm(tmp_path)
    times = ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "noon"]
    rows = pd.DataFrame({"activity_id": list("1234"), "occurred_at": times, "type": "call", "contact_id": "c1"})
    file = tmp_path / "activities" / f"all.{suffix}"
    rows.to_csv(file, index=False) if suffix == "csv" else rows.to_parquet(file, index=False)

    tables, findings = source.read()

    assert [(one.code, one.count) for one in findings] == [("bad-time", 1)]
    assert f"all.{suffix}" in findings[0].message
    assert "row 4" in findings[0].message
    assert len(tables["activities"]) == 3


def test_the_same_fault_in_many_batches_is_told_once_with_the_count_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_source, "_BATCH_ROWS", 2)
    source = crm(tmp_path, all=HEADER + "\n" + "".join(f"{n},noon,call,c1\n" for n in range(5)))

    _, findings = source.read()

    assert [(one.code, one.count) for one in findings] == [("bad-time", 5)]
    assert findings[0].message.endswith("; and in 3 row(s) further down")


def test_damaged_parquet_part_is_told_by_name(tmp_path: Path) -> None:
    source = crm(tmp_path, a2024_01=FIRST)
    tmp_path.joinpath("activities", "b.parquet").write_bytes(b"PAR1 and then nothing")

    _, findings = source.read()

    assert [(one.severity, one.code) for one in findings] == [("error", "malformed-file")]
    assert "b.parquet" in findings[0].message


def test_row_groups_are_read_together_as_far_as_a_batch_reaches(tmp_path: Path) -> None:
    file = tmp_path / "activities.parquet"
    rows = pd.DataFrame({"activity_id": [f"a{number}" for number in range(11)]})
    rows.to_parquet(file, row_group_size=3, index=False)  # of 3, 3, 3 and 2 rows

    def numbers(at_once: int) -> list[list[int]]:
        return [raw.row_numbers.tolist() for raw in read_batches(path=file, table="activities", rows=at_once)]

    assert numbers(7) == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11]]
    assert numbers(2) == [[1, 2], [3], [4, 5], [6], [7, 8], [9], [10, 11]]
