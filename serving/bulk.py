"""Rows into a table as fast as its database takes them, and columns out of it as fast as the driver gives them.

In it is COPY in PostgreSQL and one prepared statement in SQLite. Rows live one at a time on their way in, and few at a
time on their way out: many that live together keep Python's search for circles busy for as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final

import pandas as pd
from sqlalchemy import Column, Select, Table
from sqlalchemy.engine import Connection

_CHUNK_ROWS: Final = 5_000
_FETCHED_ROWS: Final = 500


def load(connection: Connection, table: Table, frame: pd.DataFrame, **constants: Any) -> None:
    """Insert a frame whose columns are the table's besides ``constants``, which every row gets.

    Columns in which there is nothing are not named: SQLite's driver takes longest over cells of nothing.
    """
    columns = [column for column in table.c if column.name in constants or frame[column.name].notna().any()]
    names = ", ".join(f'"{column.name}"' for column in columns)
    rows = chain.from_iterable(_chunks(connection, columns, frame, constants))
    cursor: Any = connection.connection.cursor()
    try:
        if connection.dialect.name == "postgresql":
            with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            places = ", ".join("?" * len(columns))
            cursor.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({places})", rows)  # noqa: S608 - names of our own
    finally:
        cursor.close()


def _chunks(
    connection: Connection, columns: Sequence[Column[Any]], frame: pd.DataFrame, constants: dict[str, Any]
) -> Iterator[Iterator[tuple[Any, ...]]]:
    dialect = connection.dialect
    adapters: list[Callable[[Any], Any] | None] = [
        column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns
    ]
    for start in range(0, len(frame), _CHUNK_ROWS):
        part = frame.iloc[start : start + _CHUNK_ROWS]
        cells: list[Iterable[Any]] = []
        for column, adapt in zip(columns, adapters, strict=True):
            if column.name in constants:
                cells.append(repeat(constants[column.name], len(part)))
                continue
            values = python_values(part[column.name])
            # Of a number SQLAlchemy would make a number.
            if adapt is None or part[column.name].dtype == "float64":
                cells.append(values)
            else:
                cells.append(map(adapt, values))
        yield zip(*cells, strict=True)


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


def fetch_columns(
    connection: Connection, query: Select[Any], parameters: Mapping[str, Any] | None = None
) -> list[list[Any]]:
    """Return the columns of what is selected; SQLAlchemy's rows would cost as much again as the driver's."""
    result = connection.execute(query, parameters)
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
