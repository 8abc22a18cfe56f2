"""Published rows as a file: CSV for spreadsheets, Parquet for analysis, NDJSON for programs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import pandas as pd

from features.errors import LeadScoringError
from serving.contract import CONTRACT_VERSION, Column, Contract, Kind, conform, contract_of, read_reasons

Format = Literal["csv", "parquet", "ndjson"]

# What a spreadsheet may run: a sign of a formula, also behind blanks it skips or in its full-width form.
_ACTIVE: Final = re.compile(r"[\t\r\n]|[\s\0-\x1f\ufeff\ufffd\u200b-\u200f\u202a-\u202e]*[=+\-@＝＋－＠]")


class ExportError(LeadScoringError):
    """The rows could not be written to a file; the file is what it was before."""

    def __init__(self, message: str, *, path: Path) -> None:
        self.path = path
        super().__init__(message)


@dataclass(frozen=True)
class Exported:
    """A file that was written whole."""

    path: Path
    rows: int
    size_bytes: int


def export(frame: pd.DataFrame, question: str, format: Format, out: Path) -> Exported:  # noqa: A002 - the CLI's word
    """Write rows as read from the store to ``out``; the same rows give the same bytes.

    CSV neutralises text that a spreadsheet would run with a leading apostrophe; Parquet and NDJSON hold it
    unchanged. ``reasons`` is a JSON string in CSV and Parquet and a list in NDJSON.
    """
    if format not in _WRITERS:
        raise ExportError(
            f"an export's format must be one of {', '.join(_WRITERS)}; found {format!r}. Use one of these.", path=out
        )
    contract = contract_of(question)
    rows = conform(question, frame)
    missing = [column.name for column in contract.columns if column.stamped and column.name not in rows]
    if missing or rows["batch_id"].nunique() > 1:
        raise ExportError(
            f"an export must hold one published batch; found {'no ' + ', '.join(missing) if missing else 'several'}. "
            "Export what the score store's read returned.",
            path=out,
        )
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        _WRITERS[format](contract, rows, aside)
        size_bytes = aside.stat().st_size
        _sync(aside)
        aside.replace(out)
    except OSError as error:
        raise ExportError(
            f"an export must be able to write to {out}; found {error.strerror or error}. Choose a writable file in a "
            "folder that exists.",
            path=out,
        ) from error
    except ValueError as error:
        raise ExportError(
            f"an export must be made of rows that keep the contract; found a value that {error}. Nothing was written; "
            "check the batch with serving.contract.check_rows.",
            path=out,
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return Exported(path=out, rows=len(rows), size_bytes=size_bytes)


def _sync(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _write_csv(contract: Contract, rows: pd.DataFrame, path: Path) -> None:
    columns = [[_csv_cell(column.kind, value) for value in _values(rows, column)] for column in contract.columns]
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(",".join(contract.names) + "\n")
        file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))


def _csv_cell(kind: Kind, value: Any) -> str:
    if value is None:
        return ""
    if kind in ("text", "json"):
        inert = f"'{value}" if _ACTIVE.match(value) else value
        return '"' + inert.replace('"', '""') + '"'
    return value if kind == "time" else json.dumps(value)


def _write_ndjson(contract: Contract, rows: pd.DataFrame, path: Path) -> None:
    columns = [_values(rows, column) for column in contract.columns]
    kinds = [column.kind for column in contract.columns]
    with path.open("x", encoding="ascii", newline="") as file:
        for values in zip(*columns, strict=True):
            parsed = [
                read_reasons(value) if kind == "json" and value is not None else value
                for kind, value in zip(kinds, values, strict=True)
            ]
            line = json.dumps(dict(zip(contract.names, parsed, strict=True)), allow_nan=False, separators=(",", ":"))
            file.write(line + "\n")


def _write_parquet(contract: Contract, rows: pd.DataFrame, path: Path) -> None:
    # Costs a third of a second, and only this format needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    if len(rows):
        metadata["batch_id"] = str(rows["batch_id"].iloc[0])
        metadata["as_of"] = next(_iso(rows["as_of"].head(1)))
    schema = pa.schema(
        [
            pa.field(column.name, types[column.kind], nullable=column.nullable, metadata={"meaning": column.meaning})
            for column in contract.columns
        ],
        metadata=metadata,
    )
    arrays = [
        pa.array(_plain(rows[column.name], column.kind), type=types[column.kind], from_pandas=True)
        for column in contract.columns
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")


_WRITERS: Final[Mapping[str, Callable[[Contract, pd.DataFrame, Path], None]]] = MappingProxyType(
    {"csv": _write_csv, "parquet": _write_parquet, "ndjson": _write_ndjson}
)


def _plain(values: pd.Series[Any], kind: Kind) -> Any:
    return values.dt.tz_convert(None).to_numpy() if kind == "time" else values


def _values(rows: pd.DataFrame, column: Column) -> list[Any]:
    values = rows[column.name]
    cells = _iso(values) if column.kind == "time" else values.tolist()
    return [None if missing else cell for cell, missing in zip(cells, values.isna(), strict=True)]


def _iso(times: pd.Series[Any]) -> Iterator[str]:
    return (time.isoformat().replace("+00:00", "Z") for time in times)
