"""Small CRM tables for tests: give only the columns that the test is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from features.contracts import CONTRACTS, TEXT_DTYPE, empty_frame
from features.tables import TABLE_NAMES, TIME_DTYPE, CrmTables

Rows = Sequence[Mapping[str, Any]] | pd.DataFrame

DEFAULT_TIME: Final = "2024-01-01T00:00:00Z"

SALES_STAGES: Final[tuple[Mapping[str, Any], ...]] = (
    {"pipeline": "sales", "stage": "demo", "label": "Demo", "position": 1, "outcome": "open", "probability": 0.2},
    {"pipeline": "sales", "stage": "offer", "label": "Offer", "position": 2, "outcome": "open", "probability": 0.5},
    {"pipeline": "sales", "stage": "won", "label": "Won", "position": 3, "outcome": "won", "probability": 1.0},
    {"pipeline": "sales", "stage": "lost", "label": "Lost", "position": 4, "outcome": "lost", "probability": 0.0},
)

_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "contacts": {"contact_id": "c{row}", "created_at": DEFAULT_TIME},
    "companies": {"company_id": "o{row}", "created_at": DEFAULT_TIME},
    "activities": {"activity_id": "a{row}", "occurred_at": DEFAULT_TIME, "type": "email_open"},
    "deals": {"deal_id": "d{row}", "created_at": DEFAULT_TIME, "pipeline": "sales"},
    "deal_contacts": {"deal_id": "d{row}", "contact_id": "c{row}"},
    "deal_stage_history": {"deal_id": "d{row}", "stage": "demo", "entered_at": DEFAULT_TIME},
    "stages": {"pipeline": "sales", "stage": "s{row}", "label": "Stage", "position": 1, "outcome": "open"},
    "property_history": {"object_type": "contact", "object_id": "c{row}", "known_at": DEFAULT_TIME, "value": None},
    "owners": {"owner_id": "u{row}"},
}


def make_tables(**tables: Rows | None) -> CrmTables:
    """Build typed CRM tables; a table not given is empty and named in ``absent``.

    Each table is a list of dicts or a frame. A required value that a row does not give gets a default: ids count
    the rows from 1 (c1, o1, a1, d1, u1), times are ``DEFAULT_TIME``, the pipeline is ``sales``. Times may be
    ISO strings. ``stages=SALES_STAGES`` is a ready pipeline.
    """
    unknown = set(tables) - set(TABLE_NAMES)
    assert not unknown, f"no such table: {sorted(unknown)}"
    given = {name: rows for name, rows in tables.items() if rows is not None}
    frames = {name: make_frame(name, given[name]) if name in given else empty_frame(name) for name in TABLE_NAMES}
    return CrmTables(frames=frames, absent=tuple(name for name in TABLE_NAMES if name not in given))


def make_frame(table: str, rows: Rows) -> pd.DataFrame:
    """Build one typed frame as a source would deliver it."""
    given: Any = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    filled = [{**_defaults(table, number), **row} for number, row in enumerate(given, start=1)]
    names = list(rows.columns) if isinstance(rows, pd.DataFrame) else []
    raw = pd.DataFrame(
        filled, columns=list(dict.fromkeys([*names, *(name for row in filled for name in row)])), dtype=object
    )
    contract = CONTRACTS[table]
    typed: dict[str, pd.Series] = {}
    for column in contract.columns:
        values = raw[column.name] if column.name in raw else pd.Series([None] * len(raw), dtype=object)
        typed[column.name] = _typed(values, column.kind)
    extra = [name for name in raw.columns if name not in contract.names]
    assert contract.has_properties or not extra, f"{table} has no properties: {extra}"
    for name in extra:
        typed[str(name)] = _property(raw[name])
    return pd.DataFrame(typed, columns=[*contract.names, *map(str, extra)])


def _defaults(table: str, number: int) -> dict[str, Any]:
    return {
        name: default.format(row=number) if isinstance(default, str) else default
        for name, default in _DEFAULTS[table].items()
    }


def _typed(values: pd.Series, kind: str) -> pd.Series:
    if kind == "time":
        return pd.to_datetime(values, utc=True, format="ISO8601").astype(TIME_DTYPE)
    if kind == "number":
        return values.astype("float64")
    return _text(values)


def _property(values: pd.Series) -> pd.Series:
    if values.map(lambda value: isinstance(value, bool)).any():
        return _text(values.map(lambda value: str(value).lower() if isinstance(value, bool) else value))
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.astype("float64") if (numbers.notna() | values.isna()).all() else _text(values)


def _text(values: pd.Series) -> pd.Series:
    return pd.Series([np.nan if pd.isna(value) else str(value) for value in values], dtype=TEXT_DTYPE)
