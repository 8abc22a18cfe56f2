"""Rows as bytes: CSV for spreadsheets, NDJSON for programs, Parquet and Arrow for analysis.

The one place that does it: the API, its exports and ``leadline export`` give the same bytes for the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson

from serving.batch import StoredBatch
from serving.contract import CONTRACT_VERSION, Column, Contract, contract_of
from serving.contract_columns import Kind
from serving.contract_json import read_json
from serving.schema import BATCH_WIDE
from serving.walks import Chunk

Format = Literal["csv", "parquet", "ndjson", "arrow"]

# What a spreadsheet may run: a sign of a formula, also behind blanks it skips or in its full-width form.
_ACTIVE: Final = re.compile(r"[\t\r\n]|[\s\0-\x1f\ufeff\ufffd\u200b-\u200f\u202a-\u202e]*[=+\-@＝＋－＠]")
_SAME_IN_A_BATCH: Final = BATCH_WIDE | {"batch_id"}


def encode(
    format: Format,  # noqa: A002 - the users' word
    question: str,
    batch: StoredBatch,
    chunks: Iterable[Chunk],
    *,
    fields: Sequence[str],
) -> Iterator[bytes]:
    """Yield the bytes of a file that holds these chunks; a value that is no JSON raises ``ValueError``.

    CSV neutralises text that a spreadsheet would run with a leading apostrophe; the others hold it unchanged.
    What says why is a JSON string in CSV, Parquet and Arrow, and JSON of its own in NDJSON.
    """
    contract = contract_of(question)
    columns = [column for column in contract.columns if column.name in fields]
    return FORMATS[format](contract, columns, batch, chunks)


def json_rows(question: str, chunk: Chunk) -> Iterator[bytes]:
    """Yield each row as a JSON object, its keys in the contract's order."""
    columns = [column for column in contract_of(question).columns if column.name in chunk.columns]
    names = [column.name for column in columns]
    values = [_json_values(column, chunk.columns[column.name]) for column in columns]
    return (orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*values, strict=True))


def iso(moment: datetime) -> str:
    """Write an instant as ISO 8601 in UTC with a Z."""
    return moment.isoformat().replace("+00:00", "Z")


def arrow_schema(contract: Contract, columns: Sequence[Column], batch: StoredBatch | None) -> Any:
    """Return the Arrow schema of some columns; each says what it means, and the whole which batch it is."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "json": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "probability": pa.float64(),
        "number": pa.float64(),
        "integer": pa.int64(),
        "bool": pa.bool_(),
    }
    metadata = {"contract_version": CONTRACT_VERSION, "question": contract.question}
    if batch is not None:
        metadata |= {"batch_id": batch.batch_id, "as_of": iso(batch.as_of)}
    fields = [
        pa.field(column.name, types[column.kind], nullable=column.nullable, metadata={"meaning": column.meaning})
        for column in columns
    ]
    return pa.schema(fields, metadata=metadata)


def _csv(contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]) -> Iterator[bytes]:
    yield (",".join(column.name for column in columns) + "\n").encode()
    for chunk in chunks:
        if chunk.ids:
            cells = [_csv_cells(column, chunk.columns[column.name]) for column in columns]
            yield ("\n".join(map(",".join, zip(*cells, strict=True))) + "\n").encode()


def _csv_cells(column: Column, values: Sequence[Any]) -> list[str]:
    if column.name in _SAME_IN_A_BATCH:
        return [_csv_cell(column.kind, values[0])] * len(values)
    return [_csv_cell(column.kind, value) for value in values]


def _csv_cell(kind: Kind, value: Any) -> str:
    if value is None:
        return ""
    if kind in ("text", "json"):
        inert = f"'{value}" if _ACTIVE.match(value) else value
        return '"' + inert.replace('"', '""') + '"'
    return iso(value) if kind == "time" else str(value).lower() if kind == "bool" else repr(value)


def _ndjson(
    contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    for chunk in chunks:
        if chunk.ids:
            yield b"\n".join(json_rows(contract.question, chunk)) + b"\n"


def _json_values(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.kind == "time" and column.name in _SAME_IN_A_BATCH:
        return [iso(values[0])] * len(values) if values else []
    if column.kind == "time":
        return [None if value is None else iso(value) for value in values]
    if column.kind == "json":
        return [None if value is None else _fragment(value) for value in values]
    return values


def _fragment(text: str) -> orjson.Fragment:
    """Put checked JSON into a line as it is; a line break can only stand between its parts."""
    if "NaN" in text or "Infinity" in text:
        read_json(text)
    return orjson.Fragment(text.replace("\n", " ").replace("\r", " "))


def _parquet(
    contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    # Costs a third of a second, and only these formats need it.
    import pyarrow.parquet as pq

    schema, sink = arrow_schema(contract, columns, batch), _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for chunk in chunks:
            if chunk.ids:
                writer.write_batch(_record_batch(schema, columns, chunk))
                yield sink.taken()
    yield sink.taken()


def _arrow(
    contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    import pyarrow as pa

    schema, sink = arrow_schema(contract, columns, batch), _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        for chunk in chunks:
            if chunk.ids:
                writer.write_batch(_record_batch(schema, columns, chunk))
                yield sink.taken()
    yield sink.taken()


def _record_batch(schema: Any, columns: Sequence[Column], chunk: Chunk) -> Any:
    import pyarrow as pa

    arrays = []
    for column, field in zip(columns, schema, strict=True):
        values = chunk.columns[column.name]
        if column.name in _SAME_IN_A_BATCH:
            arrays.append(pa.repeat(pa.scalar(values[0], type=field.type), len(values)))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.record_batch(arrays, schema=schema)


class _Sink:
    """A file that can only be written to, and whose bytes are taken out as they come."""

    closed = False

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._position = 0

    def write(self, content: bytes) -> int:
        """Keep what the writer wrote."""
        self._waiting.append(bytes(content))
        self._position += len(content)
        return len(content)

    def tell(self) -> int:
        """Say how much was written so far."""
        return self._position

    def flush(self) -> None:
        """Do nothing: there is no buffer below this one."""

    def close(self) -> None:
        """Do nothing: what waits is still to be taken."""

    def writable(self) -> bool:
        """Say that this can be written to."""
        return True

    def readable(self) -> bool:
        """Say that this cannot be read from."""
        return False

    def seekable(self) -> bool:
        """Say that what was written stays."""
        return False

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        content = b"".join(self._waiting)
        self._waiting.clear()
        return content


FORMATS: Final[Mapping[str, Callable[[Contract, Sequence[Column], StoredBatch, Iterable[Chunk]], Iterator[bytes]]]] = (
    MappingProxyType({"csv": _csv, "parquet": _parquet, "ndjson": _ndjson, "arrow": _arrow})
)
