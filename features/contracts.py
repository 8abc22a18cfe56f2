"""The input contracts of the CRM tables, and what in a typed frame breaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.contract_tables import CONTRACTS, TEXT_DTYPE, ColumnContract, Kind, TableContract
from features.errors import LeadScoringError
from features.findings import Finding
from features.tables import TABLE_NAMES

if TYPE_CHECKING:
    import pandera.pandas as pandera

__all__ = [
    "CONTRACTS",
    "EXPECTED",
    "TEXT_DTYPE",
    "ColumnContract",
    "Mask",
    "TableContract",
    "UnknownTableError",
    "Violations",
    "contract_of",
    "empty_frame",
    "missing_column",
    "property_columns",
    "quoted",
    "row_finding",
    "validate",
    "violations",
]

Mask = npt.NDArray[np.bool_]

EXPECTED: Final[Mapping[Kind, str]] = {
    "id": "text that is not empty",
    "word": "text that is not empty",
    "time": "an ISO 8601 time with a zone, such as 2024-05-01T09:30:00Z",
    "number": "a plain number, such as 1250.5",
}
_EXAMPLES: Final = 3
_LONGEST_QUOTE: Final = 60


class UnknownTableError(LeadScoringError):
    """A table was asked for that the input contract does not know."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(f"a CRM table is one of {', '.join(TABLE_NAMES)}; found {table!r}; use one of those names")


@dataclass(frozen=True)
class Violations:
    """What breaks a contract, and which rows of the frame do (by position)."""

    findings: tuple[Finding, ...]
    offending: Mask


def contract_of(table: str) -> TableContract:
    """Return the contract of one table, or raise ``UnknownTableError``."""
    try:
        return CONTRACTS[table]
    except KeyError:
        raise UnknownTableError(table) from None


def empty_frame(table: str) -> pd.DataFrame:
    """Return a frame without rows that has every contract column in its dtype."""
    contract = contract_of(table)
    return pd.DataFrame({column.name: pd.Series([], dtype=column.dtype) for column in contract.columns})


def property_columns(table: str, frame: pd.DataFrame) -> list[str]:
    """Return the property columns of a frame in their order; a table without properties has none."""
    contract = contract_of(table)
    return [str(name) for name in frame.columns if name not in contract.names] if contract.has_properties else []


def validate(table: str, frame: pd.DataFrame) -> list[Finding]:
    """Say where a typed frame breaks its table's contract; an empty list means that it holds."""
    return list(violations(table, frame).findings)


def violations(
    table: str, frame: pd.DataFrame, *, origin: str | None = None, row_numbers: npt.NDArray[np.int64] | None = None
) -> Violations:
    """Check a typed frame; ``origin`` is what messages call the table, ``row_numbers`` what they call its rows."""
    from pandera.errors import SchemaErrors  # here: importing pandera takes half a second

    contract = contract_of(table)
    rows = np.arange(1, len(frame) + 1) if row_numbers is None else row_numbers
    place = origin or table
    offending = np.zeros(len(frame), dtype=np.bool_)
    try:
        _schema(table).validate(frame, lazy=True)
    except SchemaErrors as failures:
        broken = {(failure.reason_code.name, _subject(failure)) for failure in failures.schema_errors}
    else:
        return Violations(_missing_any_of(contract, frame, place), offending)
    findings = list(_missing_any_of(contract, frame, place))
    missing = {name for reason, name in broken if reason == "COLUMN_NOT_IN_DATAFRAME"}
    mistyped = {name for reason, name in broken if reason == "WRONG_DATATYPE"}
    for column in contract.columns:
        if column.name in missing:
            findings.append(missing_column(contract, column.name, frame.columns, place))
        elif column.name in mistyped:
            findings.append(
                Finding(
                    "error",
                    "wrong-type",
                    table,
                    f"{place}, column {column.name}: expected dtype {column.dtype}, found {frame[column.name].dtype}; "
                    f"convert it to {EXPECTED[column.kind]}",
                    column.name,
                    max(len(frame), 1),
                )
            )
        elif column.name in frame and not column.nullable:
            blank = _blank(frame[column.name])
            if blank.any():
                offending |= blank
                findings.append(
                    row_finding(
                        contract,
                        column.name,
                        "missing-value",
                        place,
                        rows[blank],
                        what="is empty in",
                        expected=EXPECTED[column.kind],
                        remedy="fill it in or leave those rows out of the export",
                    )
                )
    if not missing & set(contract.key):
        repeated = _repeated(frame, contract.key) & ~offending
        if repeated.any():
            findings.append(_duplicate_finding(contract, frame, repeated, place, rows))
            offending |= repeated
    return Violations(tuple(findings), offending)


def missing_column(contract: TableContract, name: str, found: Sequence[str] | pd.Index, place: str) -> Finding:
    """Return the finding for a required column that is not there."""
    names = [str(column) for column in found]
    hint = ""
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        hint = "; the values seem to be separated by something other than a comma"
    wanted = " or ".join(contract.any_of) if name in contract.any_of else name
    return Finding(
        "error",
        "missing-column",
        contract.table,
        f"{place}: column {wanted} is required ({contract.column(name).meaning}); "
        f"found {', '.join(names[:12]) or 'no column'}{hint}; add the column to the export",
        name,
    )


def row_finding(
    contract: TableContract,
    column: str,
    code: str,
    place: str,
    rows: npt.NDArray[np.int64],
    *,
    what: str,
    expected: str,
    remedy: str,
    values: Sequence[object] | None = None,
) -> Finding:
    """Return one error about ``rows`` of a column; ``values`` are those found in the first few of them."""
    shown = [f"row {row}" for row in rows[:_EXAMPLES].tolist()]
    if values is not None:
        shown = [f"{row}: {quoted(column, value)}" for row, value in zip(shown, values, strict=False)]
    return Finding(
        "error",
        code,
        contract.table,
        f"{place}, column {column}: {what} {len(rows)} row(s) ({'; '.join(shown)}); expected {expected}; {remedy}",
        column,
        len(rows),
        tuple(shown),
    )


def quoted(column: str, value: object) -> str:
    """Quote a value for a message, unless it may be personal.

    >>> quoted("amount", "12,5"), quoted("email", "ada"), quoted("contact_id", "ada@example.org")
    ("'12,5'", '(not shown: personal)', '(not shown: personal)')
    """
    text = str(value)
    if column in ("email", "name") or "@" in text:
        return "(not shown: personal)"
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


@cache
def _schema(table: str) -> pandera.DataFrameSchema:
    import pandera.pandas as pandera  # here: importing pandera takes half a second

    contract = CONTRACTS[table]
    filled = pandera.Check(lambda values: ~_blank(values).any(), name="filled", ignore_na=False)
    columns = {
        column.name: pandera.Column(
            column.dtype,
            nullable=True,
            required=column.required,
            checks=None if column.nullable else filled,
            description=column.meaning,
        )
        for column in contract.columns
    }
    distinct = pandera.Check(lambda frame: not _repeated(frame, contract.key).any(), name="key", ignore_na=False)
    return pandera.DataFrameSchema(columns, checks=distinct, name=table, description=contract.meaning)


def _subject(failure: Any) -> str:
    if failure.reason_code.name == "COLUMN_NOT_IN_DATAFRAME":
        return str(
            failure.failure_cases if isinstance(failure.failure_cases, str) else failure.failure_cases.iloc[0, 0]
        )
    return str(getattr(failure.schema, "name", ""))


def _missing_any_of(contract: TableContract, frame: pd.DataFrame, place: str) -> tuple[Finding, ...]:
    if not contract.any_of or set(contract.any_of) & set(frame.columns):
        return ()
    return (missing_column(contract, contract.any_of[0], frame.columns, place),)


def _blank(values: pd.Series) -> Mask:
    blank = values.isna().to_numpy(dtype=np.bool_)
    if isinstance(values.dtype, pd.StringDtype):
        blank = blank | (values == "").to_numpy(dtype=np.bool_)
    return blank


def _repeated(frame: pd.DataFrame, key: Sequence[str]) -> Mask:
    if not set(key) <= set(frame.columns):
        return np.zeros(len(frame), dtype=np.bool_)
    if len(key) == 1 and pc.count_distinct(pa.array(frame[key[0]], from_pandas=True), mode="all").as_py() == len(frame):
        # Nearly always so, and Arrow sees it several times faster than pandas.
        return np.zeros(len(frame), dtype=np.bool_)
    return frame.duplicated(subset=list(key)).to_numpy(dtype=np.bool_)


def _duplicate_finding(
    contract: TableContract, frame: pd.DataFrame, repeated: Mask, place: str, rows: npt.NDArray[np.int64]
) -> Finding:
    key = list(contract.key)
    values = [
        ", ".join(str(value) for value in row)
        for row in frame.loc[repeated, key].head(_EXAMPLES).itertuples(index=False)
    ]
    return row_finding(
        contract,
        key[0],
        "duplicate-key",
        place,
        rows[repeated],
        what=f"{' + '.join(key)} already seen in an earlier row, in",
        expected="each key once",
        remedy="keep one of them",
        values=values,
    )
