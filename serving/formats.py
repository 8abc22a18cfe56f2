"""Rows as bytes: CSV for spreadsheets, NDJSON for programs, Parquet and Arrow for analysis.

The one place that does it: the API, its exports and ``leadline export`` give the same bytes for the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain, islice, repeat
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
_LARGE_BYTES: Final = 1 << 18
# What a Parquet file tells of each group of rows is kept until its end, and the rows of a group until it is written.
_GROUP_CHUNKS: Final = 3
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
    if not chunk.ids:
        return iter(())
    members: list[Iterable[bytes]] = [repeat(b"{", len(chunk.ids))]
    comma = b""
    for column in contract_of(question).columns:
        if column.name in chunk.columns:
            members += _json_members(column, chunk.columns[column.name], b'%b"%b":' % (comma, column.name.encode()))
            comma = b","
    return map(b"".join, zip(*members, repeat(b"}", len(chunk.ids)), strict=True))


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
    def lines(chunk: Chunk) -> bytes:
        cells = [_csv_cells(column, chunk.columns[column.name]) for column in columns]
        return ("\n".join(map(",".join, zip(*cells, strict=True))) + "\n").encode()

    yield (",".join(column.name for column in columns) + "\n").encode()
    # A loop's variable would hold a chunk while the next one is read.
    yield from map(lines, filter(_has_rows, chunks))


def _has_rows(chunk: Chunk) -> bool:
    return bool(chunk.ids)


def _csv_cells(column: Column, values: Sequence[Any]) -> list[str]:
    if column.name in _SAME_IN_A_BATCH:
        return _csv_column(column.kind, values[:1]) * len(values)
    return _csv_column(column.kind, values)


def _csv_column(kind: Kind, values: Sequence[Any]) -> list[str]:
    if kind in ("text", "json"):
        inert = (value if value is None or not _ACTIVE.match(value) else f"'{value}" for value in values)
        return ["" if text is None else '"' + text.replace('"', '""') + '"' for text in inert]
    if kind == "time":
        return ["" if value is None else iso(value) for value in values]
    if kind == "bool":
        return ["" if value is None else str(value).lower() for value in values]
    return ["" if value is None else repr(value) for value in values]


def _ndjson(
    contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    def lines(chunk: Chunk) -> bytes:
        return b"\n".join([*json_rows(contract.question, chunk), b""])

    yield from map(lines, filter(_has_rows, chunks))


def _json_members(column: Column, values: Sequence[Any], key: bytes) -> Sequence[Iterable[bytes]]:
    """Return what stands in each row for a column, its key and its value as JSON, in one part or two.

    Whole columns at a time, since a call for each value would cost most of it. No bare line break stands within JSON.
    """
    if column.name in _SAME_IN_A_BATCH:
        return [repeat(key + _json_token(values[0]), len(values))]
    if column.kind == "json":
        return [repeat(key, len(values)), _json_texts(values)]
    if column.kind in ("text", "time"):
        distinct = set(values)
        if len(distinct) < len(values) or None in distinct or column.kind == "time":
            known = {value: key + _json_token(value) for value in distinct}
            return [[known[value] for value in values]]
        # Within a text every quotation mark follows a backslash, so that these three stand between texts alone.
        between, apart = b'","', b'"\n%b"' % key
    else:
        # Of numbers and truth values none holds a comma.
        between, apart = b",", b"\n" + key
    return [(key + orjson.dumps(values)[1:-1].replace(between, apart)).split(b"\n")]


def _json_token(value: Any) -> bytes:
    return orjson.dumps(iso(value) if isinstance(value, datetime) else value)


def _json_texts(texts: Sequence[str | None]) -> list[bytes]:
    """Put checked JSON into a line as it is; a line break can only stand between its parts."""
    return [b"null" if text is None else _checked_json(text).encode() for text in texts]


def _checked_json(text: str) -> str:
    # Single letters are found ten times as fast as words, and these are rare in reasons.
    if ("N" in text and "NaN" in text) or ("I" in text and "Infinity" in text):
        read_json(text)
    if "\n" in text or "\r" in text:
        return text.replace("\n", " ").replace("\r", " ")
    return text


def _parquet(
    contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    # Costs a third of a second, and only these formats need it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, sink = arrow_schema(contract, columns, batch), _Sink()
    batches = map(partial(_record_batch, schema, columns), filter(_has_rows, chunks))
    # Of no use to anybody are the first and the last of what says why, and long.
    told = [column.name for column in columns if column.kind != "json"]
    with pq.ParquetWriter(sink, schema, compression="zstd", write_statistics=told) as writer:
        while group := list(islice(batches, _GROUP_CHUNKS)):
            writer.write_table(pa.Table.from_batches(group, schema))
            del group
            yield from sink.taken()
    yield from sink.taken()


def _arrow(
    contract: Contract, columns: Sequence[Column], batch: StoredBatch, chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    import pyarrow as pa

    schema, sink = arrow_schema(contract, columns, batch), _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        yield from _written(writer, sink, schema, columns, chunks)
    yield from sink.taken()


def _written(
    writer: Any, sink: _Sink, schema: Any, columns: Sequence[Column], chunks: Iterable[Chunk]
) -> Iterator[bytes]:
    def write(chunk: Chunk) -> list[bytes]:
        writer.write_batch(_record_batch(schema, columns, chunk))
        return sink.taken()

    return chain.from_iterable(map(write, filter(_has_rows, chunks)))


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
        self._waiting: list[list[bytes]] = [[]]
        self._position = 0

    def write(self, content: bytes) -> int:
        """Keep what the writer wrote; small pieces together, and large ones as they are, to copy them once less."""
        if len(content) >= _LARGE_BYTES:
            self._waiting += [[bytes(content)], []]
        else:
            self._waiting[-1].append(bytes(content))
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

    def taken(self) -> list[bytes]:
        """Return what was written since the last time, in some parts."""
        parts = [pieces[0] if len(pieces) == 1 else b"".join(pieces) for pieces in self._waiting if pieces]
        self._waiting = [[]]
        return parts


FORMATS: Final[Mapping[str, Callable[[Contract, Sequence[Column], StoredBatch, Iterable[Chunk]], Iterator[bytes]]]] = (
    MappingProxyType({"csv": _csv, "parquet": _parquet, "ndjson": _ndjson, "arrow": _arrow})
)
