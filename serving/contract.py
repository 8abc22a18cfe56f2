"""The check that every row of a batch is what the published contract promises."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import numpy as np
import pandas as pd

from features.errors import LeadScoringError
from serving.arrow_text import arrow_text, text_bytes
from serving.contract_columns import CONTRACT_VERSION, CONTRACTS, Column, Contract
from serving.contract_json import TOLERANCE, read_reasons, total_of_change, total_of_points, total_of_reasons

__all__ = [
    "CONTRACTS",
    "CONTRACT_VERSION",
    "Column",
    "Contract",
    "ContractError",
    "check_rows",
    "conform",
    "contract_of",
    "read_reasons",
]

# Below, reading each text takes less time than loading Numba.
_WORTH_COMPILING: Final = 20_000


class ContractError(LeadScoringError):
    """A frame is not what the published contract promises; names the column, the row and the value."""

    def __init__(
        self, message: str, *, question: str, column: str | None = None, row: str | None = None, value: object = None
    ) -> None:
        self.question = question
        self.column = column
        self.row = row
        self.value = value
        super().__init__(message)


def contract_of(question: str) -> Contract:
    """Return the contract of ``contacts`` or ``deals``; raise ``ContractError`` for any other word."""
    if question not in CONTRACTS:
        raise ContractError(
            f"a question must be one of {', '.join(CONTRACTS)}; found {question!r}. Use one of these words.",
            question=question,
        )
    return CONTRACTS[question]


def conform(question: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame in the contract's order and dtypes, or raise ``ContractError``.

    The stamped columns (``batch_id``, ``scored_at``) may be there or not, but together. A NUL in text becomes
    U+FFFD, since PostgreSQL cannot hold one, and minus zero becomes zero.
    """
    contract = contract_of(question)
    stamped = {column.name for column in contract.columns if column.stamped}
    given = [str(name) for name in frame.columns]
    wanted = contract.names if stamped & set(given) else contract.unstamped_names
    later = [column.name for column in contract.columns if column.since != "1.0" and column.name not in given]
    frame = frame.assign(**dict.fromkeys(later))
    given += later
    unknown = sorted(set(given) - set(wanted))
    missing = [name for name in wanted if name not in given]
    if unknown or missing or len(given) != len(wanted):
        doubled = sorted({name for name in given if given.count(name) > 1})
        raise ContractError(
            f"a frame of {question} must hold exactly the columns of contract {CONTRACT_VERSION}; "
            f"missing: {missing or 'none'}, unknown: {unknown or 'none'}, doubled: {doubled or 'none'}. "
            "Add, drop or rename these columns before publishing.",
            question=question,
            column=(missing or unknown or doubled)[0],
        )
    columns = {
        column.name: _cast(contract, frame, column).reset_index(drop=True)
        for column in contract.columns
        if column.name in wanted
    }
    rows = pd.DataFrame(columns)
    ids = rows[contract.id_column]
    for column in contract.columns:
        if column.name in wanted and not column.nullable:
            _refuse(contract, rows, rows[column.name].isna(), column.name, "must not be empty")
    _refuse(contract, rows, ids == "", contract.id_column, "must not be empty")
    return rows


def check_rows(question: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame as ``conform`` does, or raise ``ContractError`` at the first row that breaks the contract."""
    contract = contract_of(question)
    rows = conform(question, frame)
    ids = rows[contract.id_column]
    _refuse(contract, rows, ids.duplicated(keep="first"), contract.id_column, "must be named once in a batch")
    _refuse(
        contract, rows, ids.str.contains("\N{REPLACEMENT CHARACTER}"), contract.id_column, "must hold no NUL or U+FFFD"
    )
    for column in contract.columns:
        if column.kind == "probability":
            outside = (rows[column.name] < 0) | (rows[column.name] > 1)
            _refuse(contract, rows, outside, column.name, "must lie between 0 and 1")
        if column.choices:
            values = rows[column.name]
            strange = values.notna() & ~values.isin(column.choices)
            _refuse(contract, rows, strange, column.name, f"must be one of {', '.join(column.choices)}")
    for low, middle, high in contract.ranges:
        _refuse(contract, rows, rows[low] > rows[middle], low, f"must not lie above {middle}")
        _refuse(contract, rows, rows[high] < rows[middle], high, f"must not lie below {middle}")
        _refuse(contract, rows, rows[low] > rows[high], low, f"must not lie above {high}")
    _check_scored(contract, rows)
    _check_reasons(contract, rows)
    _check_points_and_change(contract, rows)
    return rows


def _check_scored(contract: Contract, rows: pd.DataFrame) -> None:
    probability = contract.probability
    scored = rows[probability].notna()
    told = rows["not_scored"].fillna("") != ""
    _refuse(contract, rows, ~scored & ~told, "not_scored", f"must say why where {probability} is null")
    _refuse(contract, rows, scored & told, "not_scored", f"must be null where {probability} is given")
    for name in ("model_version", "base_rate", "reasons"):
        _refuse(contract, rows, scored & rows[name].isna(), name, f"must be given where {probability} is")
    low, _, high = contract.ranges[0]
    for name in (low, high, "trend"):
        if name in contract.names:
            _refuse(contract, rows, ~scored & rows[name].notna(), name, f"must be null where {probability} is")


def _check_reasons(contract: Contract, rows: pd.DataFrame) -> None:
    names = [contract.id_column, contract.probability, "base_rate", "reasons"]
    left = rows.loc[rows["reasons"].notna(), names]
    if len(left) >= _WORTH_COMPILING:
        from serving.reason_sums import surely_add_up

        texts, probability, base_rate = (left[name] for name in ("reasons", contract.probability, "base_rate"))
        doubtful = ~surely_add_up(texts, probability=probability, base_rate=base_rate)
        # By place: pandas takes longer to pick no text at all by a mask than the look took.
        left = left.iloc[doubtful.nonzero()[0]]
    for row, probability, base_rate, text in left.itertuples(index=False):
        try:
            reasons = read_reasons(text)
            if np.isnan(probability):
                if reasons:
                    raise ValueError(f"must be null or an empty list where {contract.probability} is null")
                continue
            total = base_rate + total_of_reasons(reasons)
        except ValueError as error:
            _raise(contract, "reasons", row, text, str(error))
        if not abs(total - probability) <= TOLERANCE:
            _raise(
                contract,
                "reasons",
                row,
                total,
                f"must add up: base_rate + effects must be {contract.probability} {probability!r} to {TOLERANCE}",
            )


def _check_points_and_change(contract: Contract, rows: pd.DataFrame) -> None:
    """What was added later: the lines of the points add up to them, the parts of the change to the difference."""
    difference = rows[contract.probability] - rows[contract.previous]
    sums = (("points_reasons", rows["points"], total_of_points), ("change", difference, total_of_change))
    for name, wanted, total_of in sums:
        present = rows[name].notna()
        columns = (rows[contract.id_column], wanted, rows[name])
        known: dict[str, float] = {}
        for row, value, text in zip(*(column[present].tolist() for column in columns), strict=True):
            try:
                if np.isnan(value):
                    raise ValueError("must be null where there is nothing that it could add up to")
                # Many objects get their points by the same lines.
                total = known[text] = known[text] if text in known else total_of(text)
            except ValueError as error:
                _raise(contract, name, row, text, str(error))
            if not abs(total - value) <= TOLERANCE:
                _raise(contract, name, row, total, f"must add up to {value!r} to {TOLERANCE}")


def _cast(contract: Contract, frame: pd.DataFrame, column: Column) -> pd.Series[Any]:
    values: pd.Series[Any] = frame[column.name]
    if values.isna().all():
        return pd.Series(pd.array([None] * len(values), dtype=column.dtype), index=values.index, name=column.name)
    if column.kind in ("text", "json"):
        return _text(contract, frame, values)
    if column.kind == "time":
        zone = str(getattr(values.dtype, "tz", None))
        if zone != "UTC":
            _refuse(contract, frame, values.notna(), column.name, f"must be a time in UTC with its zone, not {zone}")
        return values.astype(column.dtype)
    if column.kind == "bool":
        _refuse(contract, frame, ~values.isin([True, False]) & values.notna(), column.name, "must be true or false")
        return values.astype(column.dtype)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        _refuse(contract, frame, values.notna(), column.name, "must be a number, in a column of a numeric dtype")
    numbers = pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), index=values.index) + 0.0
    _refuse(contract, frame, np.isinf(numbers), column.name, "must be finite")
    if column.kind == "integer":
        _refuse(contract, frame, numbers.notna() & (numbers % 1 != 0), column.name, "must be a whole number")
    return numbers.astype(column.dtype)


def _text(contract: Contract, frame: pd.DataFrame, values: pd.Series[Any]) -> pd.Series[Any]:
    if not isinstance(values.dtype, pd.StringDtype):
        strange = values.map(lambda value: not isinstance(value, str)).astype(bool) & values.notna()
        _refuse(contract, frame, strange, str(values.name), "must be text")
        values = values.astype("str")
    values = values.astype("str")
    return values.str.replace("\0", "\N{REPLACEMENT CHARACTER}", regex=False) if _may_hold_nul(values) else values


def _may_hold_nul(values: pd.Series[Any]) -> bool:
    return any(text_bytes(texts)[1].min(initial=1) == 0 for texts in arrow_text(values))


def _refuse(contract: Contract, frame: pd.DataFrame, broken: pd.Series[Any], column: str, must: str) -> None:
    flags = broken.fillna(False).to_numpy(dtype=bool)
    if flags.any():
        position = int(flags.argmax())
        row = frame[contract.id_column].iloc[position] if contract.id_column in frame.columns else position
        _raise(contract, column, str(row), frame[column].iloc[position], must, more=int(flags.sum()) - 1)


def _raise(contract: Contract, column: str, row: str, value: object, must: str, *, more: int = 0) -> NoReturn:
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
    others = f" (and {more} more rows)" if more else ""
    raise ContractError(
        f"{contract.question}.{column} {must}; row {contract.id_column}={row!r}{others} holds {shown}. "
        "Nothing was published; mend the step that made this column.",
        question=contract.question,
        column=column,
        row=row,
        value=value,
    )
