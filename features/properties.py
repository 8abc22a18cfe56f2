"""Properties as they were at an as-of: from their history, or vouched for, or left out with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.errors import LeadScoringError
from features.fact_stream import fact_stream
from features.hubspot_properties import hubspot_reason
from features.protected import protected_reason
from features.tables import CrmTables
from features.visibility import Int64Array, codes, microseconds

ObjectType = Literal["contact", "company", "deal"]
TABLE_OF: Final[Mapping[ObjectType, str]] = {"contact": "contacts", "company": "companies", "deal": "deals"}
CONTRACT_COLUMNS: Final = frozenset(
    {"company_id", "owner_id", "source", "amount", "currency", "expected_close_at", "pipeline"}
)
STRUCTURE: Final = frozenset({"contact_id", "deal_id", "created_at", "pipeline", "merged_ids"})
_NOTHING: Final = np.array([None], dtype=object)


class SafeColumns(BaseModel):
    """Columns of one table that the user vouches for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    safe: tuple[str, ...] = Field(default=(), description="Known from the object's creation on and never edited later.")


class PropertySettings(BaseModel):
    """Which columns without history may be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contacts: SafeColumns = SafeColumns()
    companies: SafeColumns = SafeColumns()
    deals: SafeColumns = SafeColumns()

    def safe(self, object_type: ObjectType) -> tuple[str, ...]:
        """Return the vouched columns of one kind of object."""
        chosen: SafeColumns = getattr(self, TABLE_OF[object_type])
        return chosen.safe


class UnknownPropertyError(LeadScoringError):
    """The configuration vouches for a column that the table does not have."""

    def __init__(self, *, table: str, column: str, known: list[str]) -> None:
        self.table, self.column = table, column
        super().__init__(
            f"properties.{table}.safe names {column!r}, which the table {table} does not have; "
            f"it has {', '.join(known) or 'no properties'}. Correct the name or remove it."
        )


class MissingPropertyError(LeadScoringError):
    """A model uses a column that the table no longer has."""

    def __init__(self, *, table: str, column: str) -> None:
        self.table, self.column = table, column
        super().__init__(
            f"the model uses {table}.{column}, which the source no longer has, neither as a column nor in "
            "property_history; bring it back or train again."
        )


@dataclass(frozen=True)
class LeftOut:
    """Something of the input that no feature rests on, and why."""

    table: str
    column: str | None
    reason: str


@dataclass(frozen=True)
class PropertyValues:
    """One property as it stood at each snapshot; ``changes`` counts how often it had changed by then."""

    value: NDArray[np.object_]
    first: NDArray[np.object_]
    changes: NDArray[np.float64]


def usable_properties(
    *, tables: CrmTables, object_type: ObjectType, settings: PropertySettings
) -> tuple[list[str], list[LeftOut]]:
    """Return the columns that may be seen at an as-of, in table order, and those left out with the reason.

    A history is not enough for protected and personal attributes, and for what HubSpot writes after the outcome:
    those are used only if they are vouched for.
    """
    table = TABLE_OF[object_type]
    frame = tables[table]
    safe = settings.safe(object_type)
    columns = [name for name in frame.columns if name not in STRUCTURE and name != f"{object_type}_id"]
    for name in safe:
        if name not in columns:
            raise UnknownPropertyError(table=table, column=name, known=columns)
    with_history = history_properties(tables, object_type)
    usable, left_out = [], []
    for name in [*columns, *sorted(with_history - set(columns))]:
        if name in columns and frame[name].isna().all() and name not in with_history:
            continue
        reason = exclusion_reason(object_type=object_type, name=name)
        if name in safe or (name in with_history and reason is None):
            usable.append(name)
        elif reason is not None:
            left_out.append(LeftOut(table, name, reason))
        else:
            left_out.append(
                LeftOut(
                    table,
                    name,
                    "no history: the table shows today's value, perhaps written after "
                    f"the outcome; vouch for it in properties.{table}.safe if it is not",
                )
            )
    return usable, left_out


def exclusion_reason(*, object_type: ObjectType, name: str) -> str | None:
    """Return why a column of this name stays out unless it is vouched for, whatever history it has."""
    # The CRM's own identifiers and its deals' columns are known by the input contract.
    if name in CONTRACT_COLUMNS:
        return None
    return protected_reason(name) or hubspot_reason(object_type=object_type, name=name)


def property_at(
    *,
    tables: CrmTables,
    object_type: ObjectType,
    name: str,
    ids: pd.Index,
    objects: Int64Array,
    as_of: Int64Array,
    vouched: bool = True,
) -> PropertyValues:
    """Return a property at each (object, as-of): the newest value of its history, else the vouched column.

    Which of the two it is depends only on what was known at that as-of: a history that begins later changes nothing.
    A property that is not ``vouched`` for never comes from its column, even if nothing is known of its history.
    """
    table = TABLE_OF[object_type]
    has_history = name in history_properties(tables, object_type)
    column = np.full(len(ids), None, dtype=object)
    if vouched and name in tables[table]:
        column = tables[table].set_index(f"{object_type}_id")[name].reindex(ids).to_numpy(dtype=object)
    elif vouched and not has_history:
        raise MissingPropertyError(table=table, column=name)
    stated = np.append(column, _NOTHING)[objects]
    if not has_history:
        return PropertyValues(value=stated, first=stated, changes=np.zeros(len(objects)))
    written, begun = _from_history(
        tables=tables, object_type=object_type, name=name, ids=ids, objects=objects, as_of=as_of
    )
    return PropertyValues(
        value=np.where(begun, written.value, stated),
        first=np.where(begun, written.first, stated),
        changes=written.changes,
    )


def history_properties(tables: CrmTables, object_type: ObjectType) -> set[str]:
    """Return the properties of these objects that have a history."""
    history = tables["property_history"]
    return set(history.loc[history["object_type"] == object_type, "property"].unique())


def _from_history(
    *, tables: CrmTables, object_type: ObjectType, name: str, ids: pd.Index, objects: Int64Array, as_of: Int64Array
) -> tuple[PropertyValues, NDArray[np.bool_]]:
    """Return the values of the history alone, and where it had begun by the as-of."""
    history = tables["property_history"]
    rows = history.loc[(history["object_type"] == object_type) & (history["property"] == name)]
    stream = fact_stream(
        objects=codes(rows["object_id"], index=ids), times=microseconds(rows["known_at"]), object_count=len(ids)
    )
    written = rows["value"].to_numpy(dtype=object)[stream.rows]
    position = stream.last_before(objects=objects, as_of=as_of)
    first = np.where(position >= 0, stream.starts[np.maximum(objects, 0)], -1)
    or_nothing = np.append(written, _NOTHING)
    values = PropertyValues(
        value=or_nothing[position], first=or_nothing[first], changes=(position - first).astype(np.float64)
    )
    return values, position >= 0
