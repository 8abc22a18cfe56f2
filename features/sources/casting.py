"""Raw Arrow columns, as text or as a file typed them, to the typed frame of a contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.contracts import (
    EXPECTED,
    TEXT_DTYPE,
    ColumnContract,
    Mask,
    TableContract,
    contract_of,
    empty_frame,
    missing_column,
    row_finding,
    violations,
)
from features.findings import Finding
from features.sources.times import INSTANT, parse_times, to_mask

_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TEXT: Final = pa.large_string()
_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class TypedTable:
    """A frame that keeps its contract, without the rows that broke it, and what was wrong with them."""

    frame: pd.DataFrame
    findings: tuple[Finding, ...]


@dataclass
class _Notes:
    """What is gathered while the columns of one table are cast."""

    contract: TableContract
    place: str
    rows: npt.NDArray[np.int64]
    findings: list[Finding] = field(default_factory=list)

    def error(
        self, column: str, code: str, where: Mask, raw: pa.ChunkedArray, *, expected: str, remedy: str, what: str
    ) -> None:
        positions = np.flatnonzero(where)
        values = [raw[position].as_py() for position in positions[:3].tolist()]
        self.findings.append(
            row_finding(
                self.contract,
                column,
                code,
                self.place,
                self.rows[positions],
                what=what,
                expected=expected,
                remedy=remedy,
                values=values,
            )
        )

    def say(self, severity: Any, code: str, column: str | None, message: str, *, count: int = 1) -> None:
        self.findings.append(
            Finding(severity, code, self.contract.table, f"{self.place}{message}", column=column, count=count)
        )


def typed_table(
    *, table: str, raw: pa.Table, origin: str, row_numbers: npt.NDArray[np.int64] | None = None
) -> TypedTable:
    """Cast raw columns to the contract's kinds and check the contract.

    ``origin`` is what messages call the table (a file, say); ``row_numbers`` what they call its rows, 1 being the
    first. A value that cannot be cast is a finding, and its row is dropped if the column may not be missing. If a
    required column is not there, the frame is empty.
    """
    contract = contract_of(table)
    rows = np.arange(1, raw.num_rows + 1) if row_numbers is None else row_numbers
    notes = _Notes(contract, origin, rows)
    names = raw.column_names
    absent = [name for name in contract.required if name not in names]
    if absent or (contract.any_of and not set(contract.any_of) & set(names)):
        lacking = absent or [contract.any_of[0]]
        return TypedTable(empty_frame(table), tuple(missing_column(contract, name, names, origin) for name in lacking))

    kept = np.ones(raw.num_rows, dtype=np.bool_)
    columns: dict[str, pd.Series] = {}
    for column in contract.columns:
        if column.name in names:
            columns[column.name], broken = _contract_series(raw.column(column.name), column, notes)
            if not column.nullable:
                kept &= ~broken
        else:
            columns[column.name] = _missing(column, raw.num_rows)
    further = [name for name in names if name not in contract.names]
    if contract.has_properties:
        for name in further:
            series = _property_series(raw.column(name), name, notes)
            if series is not None:
                columns[name] = series
    elif further:
        notes.say(
            "info", "unused-column", None, f": {contract.table} has no properties, so {_list(further)} is not used"
        )

    frame = pd.DataFrame(columns, copy=False)
    checked, at = (frame, rows) if kept.all() else (frame[kept].reset_index(drop=True), rows[kept])
    broken_contract = violations(table, checked, origin=origin, row_numbers=at)
    if broken_contract.offending.any():
        checked = checked[~broken_contract.offending].reset_index(drop=True)
    return TypedTable(checked, (*notes.findings, *broken_contract.findings))


def _contract_series(raw: pa.ChunkedArray, column: ColumnContract, notes: _Notes) -> tuple[pd.Series, Mask]:
    values = _plain(raw)
    if column.kind == "time":
        return _times(values, column, notes)
    if column.kind == "number":
        return _numbers(values, column, notes)
    text = _as_text(values)
    if text is None:
        return _refused(values, column, notes)
    return _to_text_series(text), np.zeros(len(values), dtype=np.bool_)


def _times(values: pa.ChunkedArray, column: ColumnContract, notes: _Notes) -> tuple[pd.Series, Mask]:
    kind = values.type
    remedy = "write it with Z or an offset such as +02:00 in the export"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _to_series(pc.cast(values, INSTANT, safe=False), column.dtype), np.zeros(len(values), dtype=np.bool_)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        values = pc.cast(values, _TEXT)
    if pa.types.is_null(kind):
        values = pc.cast(values, _TEXT)
    if not pa.types.is_large_string(values.type):
        return _refused(values, column, notes)
    parsed = parse_times(values)
    for code, where, what in (
        ("naive-time", parsed.naive, "a time without a zone in"),
        ("bad-time", parsed.bad, "no possible time in"),
    ):
        if where.any():
            notes.error(column.name, code, where, values, expected=EXPECTED["time"], remedy=remedy, what=what)
    return _to_series(parsed.instants, column.dtype), parsed.naive | parsed.bad


def _numbers(values: pa.ChunkedArray, column: ColumnContract, notes: _Notes) -> tuple[pd.Series, Mask]:
    kind = values.type
    if pa.types.is_large_string(kind):
        numbers, bad = _parse_numbers(values)
    elif _is_number(kind) or pa.types.is_null(kind):
        numbers, bad = pc.cast(values, pa.float64(), safe=False), np.zeros(len(values), dtype=np.bool_)
    else:
        return _refused(values, column, notes)
    bad |= to_mask(pc.is_inf(numbers))
    if bad.any():
        remedy = "write it without units, separators of thousands or a decimal comma"
        notes.error(
            column.name, "wrong-type", bad, values, expected=EXPECTED["number"], remedy=remedy, what="no number in"
        )
    series = _to_series(numbers, column.dtype)
    return (series.mask(bad) if bad.any() else series), bad


def _parse_numbers(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    try:
        return pc.cast(text, pa.float64()), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(text)
        readable = pc.match_substring_regex(trimmed, _NUMBER)
        bad = to_mask(pc.invert(readable))
        return pc.cast(pc.if_else(readable, trimmed, pa.scalar(None, trimmed.type)), pa.float64()), bad


def _refused(values: pa.ChunkedArray, column: ColumnContract, notes: _Notes) -> tuple[pd.Series, Mask]:
    message = (
        f", column {column.name}: expected {EXPECTED[column.kind]}, found the type {values.type}; "
        "convert the column in the export"
    )
    notes.say("error", "wrong-type", column.name, message, count=max(len(values), 1))
    return _missing(column, len(values)), np.ones(len(values), dtype=np.bool_)


def _missing(column: ColumnContract, rows: int) -> pd.Series:
    if column.kind in ("id", "word"):
        return _to_text_series(pa.chunked_array([pa.nulls(rows, _TEXT)]))
    return pd.Series(pd.NaT if column.kind == "time" else np.nan, range(rows), column.dtype)


def _property_series(raw: pa.ChunkedArray, name: str, notes: _Notes) -> pd.Series | None:
    values = _plain(raw)
    kind = values.type
    if _is_number(kind) or pa.types.is_null(kind):
        return _finite(pc.cast(values, pa.float64(), safe=False), name, notes)
    text = _as_text(values)
    if text is None:
        notes.say("warning", "wrong-type", name, f", column {name}: a property of type {kind} cannot be used; left out")
        return None
    try:
        return _finite(pc.cast(text, pa.float64()), name, notes)
    except pa.ArrowInvalid:
        return _to_text_series(_lower_truths(text))


def _finite(numbers: pa.ChunkedArray, name: str, notes: _Notes) -> pd.Series:
    series = _to_series(numbers, np.dtype("float64"))
    endless = np.isinf(series.to_numpy())
    if not endless.any():
        return series
    message = f", column {name}: {int(endless.sum())} infinite value(s) cannot be used and count as missing"
    notes.say("warning", "wrong-type", name, message, count=int(endless.sum()))
    return series.mask(endless)


def _lower_truths(text: pa.ChunkedArray) -> pa.ChunkedArray:
    sample = text.slice(0, 1000)
    if not pc.all(pc.is_in(pc.utf8_lower(sample.drop_null()), value_set=pa.array(["true", "false"], _TEXT))).as_py():
        return text
    lowered = pc.utf8_lower(text)
    truths = pc.is_in(lowered.drop_null(), value_set=pa.array(["true", "false"], _TEXT))
    return lowered if pc.all(truths).as_py() else text


def _plain(raw: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo dictionaries, and bring text into one form in which empty means missing."""
    kind = raw.type
    if pa.types.is_dictionary(kind):
        raw = pc.cast(raw, kind.value_type)
        kind = raw.type
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        raw = pc.cast(raw, _TEXT)
    if pa.types.is_large_string(raw.type):
        blank = pc.equal(raw, "")
        if pc.any(blank).as_py():
            raw = pc.if_else(blank, pa.scalar(None, _TEXT), raw)
    return raw


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return values as text, or None if the type has no plain text form."""
    kind = values.type
    if pa.types.is_large_string(kind):
        return values
    if pa.types.is_floating(kind):
        # pandas turns whole ids into floats as soon as one is missing: 123.0 means 123
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
        whole = pc.all(pc.equal(values, pc.trunc(values))).as_py() is not False
        return pc.cast(pc.cast(values, pa.int64()), _TEXT) if whole and _fits_int64(values) else pc.cast(values, _TEXT)
    if pa.types.is_timestamp(kind):
        return pc.strftime(values, format=_ISO if kind.tz is not None else _ISO[:-1])
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return pc.cast(values, _TEXT)
    if pa.types.is_decimal(kind) or pa.types.is_date(kind):
        return pc.cast(values, _TEXT)
    return None


def _fits_int64(values: pa.ChunkedArray) -> bool:
    largest = pc.max(pc.abs(values)).as_py()
    return largest is None or largest < 2**53


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _to_series(values: pa.ChunkedArray, dtype: Any) -> pd.Series:
    series: pd.Series = values.to_pandas().astype(dtype)
    return series


def _to_text_series(values: pa.ChunkedArray) -> pd.Series:
    series: pd.Series = pc.cast(values, _TEXT).to_pandas(types_mapper={_TEXT: TEXT_DTYPE}.get)
    return series


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" and more" if len(names) > 6 else "")
