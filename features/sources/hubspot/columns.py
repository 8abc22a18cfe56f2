"""Rows gathered into Arrow columns of text, some at a time, so that millions of them fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

_CHUNK_ROWS: Final = 50_000


class Columns:
    """Text columns that grow by rows."""

    def __init__(self, names: Sequence[str]) -> None:
        self._schema = pa.schema([(name, pa.large_string()) for name in names])
        self._rows: list[tuple[str | None, ...]] = []
        self._chunks: list[pa.Table] = []

    def add(self, *values: str | None) -> None:
        """Add one row, its values in the order of the names."""
        self._rows.append(values)
        if len(self._rows) >= _CHUNK_ROWS:
            self._flush()

    def table(self) -> pa.Table:
        """Return all rows."""
        self._flush()
        return pa.concat_tables(self._chunks)

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [pa.array(column, pa.large_string()) for column in columns]
        self._chunks.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []
