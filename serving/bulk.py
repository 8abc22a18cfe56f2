"""Rows into a table as fast as its database takes them: COPY in PostgreSQL, one prepared statement in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pandas as pd
from sqlalchemy import Table
from sqlalchemy.engine import Connection

_CHUNK_ROWS: Final = 10_000


def load(connection: Connection, table: Table, frame: pd.DataFrame, **constants: Any) -> None:
    """Insert a frame whose columns are the table's besides ``constants``, which every row gets."""
    names = [column.name for column in table.c]
    if connection.dialect.name == "postgresql":
        listed = ", ".join(f'"{name}"' for name in names)
        cursor = connection.connection.cursor()
        try:
            with cursor.copy(f"COPY {table.name} ({listed}) FROM STDIN") as copy:
                for rows in _chunks(connection, table, frame, constants):
                    for row in rows:
                        copy.write_row(row)
        finally:
            cursor.close()
        return
    places = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - names of our own
    for rows in _chunks(connection, table, frame, constants):
        connection.exec_driver_sql(statement, rows)


def _chunks(
    connection: Connection, table: Table, frame: pd.DataFrame, constants: dict[str, Any]
) -> Iterator[list[tuple[Any, ...]]]:
    for start in range(0, len(frame), _CHUNK_ROWS):
        part = frame.iloc[start : start + _CHUNK_ROWS]
        columns = []
        for column in table.c:
            if column.name in constants:
                columns.append([constants[column.name]] * len(part))
                continue
            cells = _cells(part[column.name])
            adapt: Callable[[Any], Any] | None = column.type.dialect_impl(connection.dialect).bind_processor(
                connection.dialect
            )
            columns.append(cells if adapt is None else [adapt(cell) for cell in cells])
        yield list(zip(*columns, strict=True))


def _cells(values: pd.Series[Any]) -> list[Any]:
    """Return the values as Python's own, None where one is missing."""
    cells: list[Any]
    if isinstance(values.dtype, pd.StringDtype):
        cells = values.array.to_numpy(dtype=object, na_value=None).tolist()
    elif values.dtype == "float64":
        cells = values.tolist()
        for place in values.isna().to_numpy().nonzero()[0]:
            cells[place] = None
    else:
        cells = values.astype(object).where(values.notna(), None).tolist()
    return cells
