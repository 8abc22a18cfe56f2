"""The two ways of ``benchmarks.warehouse``, each as a process of its own."""

from __future__ import annotations

import sys

import duckdb
from pydantic import SecretStr

from features.sources.warehouse.settings import WarehouseSettings
from features.sources.warehouse.source import WarehouseSource


def ours(file: str) -> int:
    """Read the landing into CRM tables."""
    settings = WarehouseSettings(landing="fivetran", contact_properties=("industry", "country"))
    tables, _ = WarehouseSource(settings=settings, address=SecretStr(f"duckdb:///{file}")).read()
    return sum(len(frame) for frame in tables.frames.values())


def fetch(file: str) -> int:
    """Fetch every table as it is."""
    with duckdb.connect(file, read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()]
        frames = {name: connection.table(name).df() for name in names}
    return sum(len(frame) for frame in frames.values())


if __name__ == "__main__":
    step, place = sys.argv[1:]
    print(step, {"ours": ours, "fetch": fetch}[step](place), "rows")
