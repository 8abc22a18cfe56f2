"""Rows into a table as fast as its database takes them, and columns out of it as fast as the driver gives them.

In it is COPY in PostgreSQL and one prepared statement in SQLite. Few rows are held as tuples at a time: many that live
together keep Python's search for circles busy for as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Final

import pandas as pd
from sqlalchemy import Select, Table
from sqlalchemy.engine import Connection

_CHUNK_ROWS: Final = 5_000
_FETCHED_ROWS: Final = 250


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
    dialect = connection.dialect
    adapters: list[Callable[[Any], Any] | None] = [
        column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.c
    ]
    for start in range(0, len(frame), _CHUNK_ROWS):
        part = frame.iloc[start : start + _CHUNK_ROWS]
        columns: list[Any] = []
        for column, adapt in zip(table.c, adapters, strict=True):
            if column.name in constants:
                columns.append(repeat(constants[column.name], len(part)))
                continue
            cells = python_values(part[column.name])
            columns.append(cells if adapt is None else [adapt(cell) for cell in cells])
        yield list(zip(*columns, strict=True))


def python_values(values: pd.Series[Any]) -> list[Any]:
    """Return a column's values as Python's own, None where one is missing."""
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


def fetch_columns(connection: Connection, query: Select[Any]) -> list[list[Any]]:
    """Return the columns of what is selected; SQLAlchemy's rows would cost as much again as the driver's."""
    result = connection.execute(query)
    assert result.cursor is not None
    codes = [one[1] for one in result.cursor.description]
    columns: list[list[Any]] = [[] for _ in codes]
    while rows := result.cursor.fetchmany(_FETCHED_ROWS):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    result.close()
    dialect = connection.dialect
    # Text into instants, 0 and 1 into truth values; most columns are what they are.
    adapters = [
        column.type.dialect_impl(dialect).result_processor(dialect, code)
        for column, code in zip(query.selected_columns, codes, strict=True)
    ]
    return [
        values if adapt is None else [adapt(value) for value in values]
        for adapt, values in zip(adapters, columns, strict=True)
    ]
