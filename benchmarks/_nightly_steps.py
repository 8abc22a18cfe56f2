"""The steps of ``benchmarks.nightly``, each run as a process of its own: step, folder."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pandas as pd

from benchmarks._behaviour_contenders import write_features
from benchmarks._behaviour_data import DAY, KINDS, START
from features.behaviour import contact_activities
from features.partitions import contact_partitions
from features.sources.folder import FolderSource
from features.tables import CrmTables
from features.warehouse import ActivityWarehouse

MEMORY = 1024**3
_ROWS_AT_ONCE = 8_000_000


def extend(folder: Path) -> None:
    """Bring the warehouse up to the files there are, reading only new ones."""
    with closing(_opened(folder)) as warehouse, warehouse.extending(FolderSource(folder).activity_parts()):
        pass


def score(folder: Path) -> None:
    """Compute and write the features of every contact at the end of the last day."""
    as_of = pd.Timestamp(int(START) + 730 * DAY, unit="us", tz="UTC").as_unit("us")
    with closing(_opened(folder)) as warehouse:
        rows = warehouse.rows_of_contacts()
        for number, contacts in enumerate(_partitions(rows)):
            stream = contact_activities(activities=warehouse.read(contacts=contacts), contact_ids=contacts, kinds=KINDS)
            points = pd.DataFrame({"contact_id": contacts, "as_of": as_of})
            write_features(stream, points=points, ids=contacts, file=folder / f"features-{number}.parquet")


def _partitions(rows: pd.Series) -> list[pd.Index]:
    contacts = pd.DataFrame({"contact_id": rows.index, "company_id": pd.Series(index=range(len(rows)), dtype="str")})
    history = pd.DataFrame({name: pd.Series(dtype="str") for name in ("object_type", "object_id", "property", "value")})
    tables = CrmTables({"contacts": contacts, "property_history": history})
    return contact_partitions(tables=tables, rows=rows, at_most=_ROWS_AT_ONCE)


def _opened(folder: Path) -> ActivityWarehouse:
    return ActivityWarehouse(folder / "warehouse.duckdb", memory_bytes=MEMORY)


if __name__ == "__main__":
    {"extend": extend, "score": score}[sys.argv[1]](Path(sys.argv[2]))
