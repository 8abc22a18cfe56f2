"""What each CRM table of the input contract holds: columns, kinds, key, both times, meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

Kind = Literal["id", "word", "time", "number"]

TEXT_DTYPE: Final = pd.StringDtype(na_value=np.nan)
_DTYPES: Final[Mapping[Kind, Any]] = {
    "id": TEXT_DTYPE,
    "word": TEXT_DTYPE,
    "time": pd.DatetimeTZDtype("us", "UTC"),
    "number": np.dtype("float64"),
}


@dataclass(frozen=True)
class ColumnContract:
    """One column: ``required`` means it must exist, ``nullable`` that single values may be missing."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    nullable: bool = True
    allowed: tuple[str, ...] = ()

    @property
    def dtype(self) -> Any:
        """Return the pandas dtype that the column has in a typed frame."""
        return _DTYPES[self.kind]


@dataclass(frozen=True)
class TableContract:
    """One table: a fact counts from the later of its ``occurred`` and its ``known`` column."""

    table: str
    meaning: str
    columns: tuple[ColumnContract, ...]
    key: tuple[str, ...]
    occurred: str | None = None
    known: str | None = None
    has_properties: bool = False
    any_of: tuple[str, ...] = ()
    without_it: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all contract columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Return the names of the columns that must exist."""
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> ColumnContract:
        """Return the contract of one column."""
        return next(column for column in self.columns if column.name == name)


def _must(
    name: str, kind: Kind, meaning: str, *, nullable: bool = False, allowed: Sequence[str] = ()
) -> ColumnContract:
    return ColumnContract(name, kind, meaning, required=True, nullable=nullable, allowed=tuple(allowed))


def _may(name: str, kind: Kind, meaning: str, *, allowed: Sequence[str] = ()) -> ColumnContract:
    return ColumnContract(name, kind, meaning, allowed=tuple(allowed))


_TABLES: Final = (
    TableContract(
        table="contacts",
        meaning="People who may buy; every further column is a property.",
        columns=(
            _must("contact_id", "id", "the contact"),
            _must("created_at", "time", "when the contact entered the CRM"),
            _may("company_id", "id", "the company the contact works for"),
            _may("owner_id", "id", "the seller in charge"),
            _may("email", "word", "the e-mail address; personal, never shown"),
            _may("source", "word", "where the contact came from"),
            _may("merged_ids", "word", "contacts that were merged into this one, separated by semicolons"),
        ),
        key=("contact_id",),
        occurred="created_at",
        has_properties=True,
        without_it="contacts are not scored",
    ),
    TableContract(
        table="companies",
        meaning="Companies that contacts and deals belong to; every further column is a property.",
        columns=(
            _must("company_id", "id", "the company"),
            _must("created_at", "time", "when the company entered the CRM"),
        ),
        key=("company_id",),
        occurred="created_at",
        has_properties=True,
        without_it="company features are left out",
    ),
    TableContract(
        table="activities",
        meaning="Anything that a contact or a seller did, dated.",
        columns=(
            _must("activity_id", "id", "the activity"),
            _must("occurred_at", "time", "when it happened"),
            _must("type", "word", "what was done, such as email_open or meeting"),
            _may("contact_id", "id", "the contact concerned"),
            _may("deal_id", "id", "the deal concerned"),
            _may("known_at", "time", "when the CRM could know of it"),
            _may("direction", "word", "who acted: inbound or outbound", allowed=("inbound", "outbound")),
            _may("outcome", "word", "how it ended"),
            _may("name", "word", "the page, form or mail concerned; may be personal, never shown"),
            _may("owner_id", "id", "the seller who acted"),
            _may("duration_seconds", "number", "how long it took, in seconds"),
        ),
        key=("activity_id",),
        occurred="occurred_at",
        known="known_at",
        any_of=("contact_id", "deal_id"),
        without_it="behaviour features are left out",
    ),
    TableContract(
        table="deals",
        meaning="Chances to sell; every further column is a property.",
        columns=(
            _must("deal_id", "id", "the deal"),
            _must("created_at", "time", "when the deal was opened"),
            _must("pipeline", "word", "the pipeline that the deal runs through"),
            _may("amount", "number", "what the deal is worth, as the export says today"),
            _may("currency", "word", "the currency of the amount"),
            _may("expected_close_at", "time", "when the seller expects the deal to close"),
            _may("owner_id", "id", "the seller in charge"),
            _may("company_id", "id", "the company that would buy"),
            _may("name", "word", "the deal's name; may be personal, never shown"),
        ),
        key=("deal_id",),
        occurred="created_at",
        has_properties=True,
        without_it="deals are not scored and contacts cannot be labelled as won",
    ),
    TableContract(
        table="deal_contacts",
        meaning="Which contacts take part in which deals.",
        columns=(
            _must("deal_id", "id", "the deal"),
            _must("contact_id", "id", "the contact who takes part"),
            _may("role", "word", "the contact's part, such as decision maker"),
        ),
        key=("deal_id", "contact_id"),
        without_it="contacts cannot be labelled by their deals, and deal features about people are left out",
    ),
    TableContract(
        table="deal_stage_history",
        meaning="Each entry of a deal into a stage.",
        columns=(
            _must("deal_id", "id", "the deal"),
            _must("stage", "word", "the stage entered"),
            _must("entered_at", "time", "when it was entered"),
            _may("known_at", "time", "when the CRM could know of it"),
        ),
        key=("deal_id", "stage", "entered_at"),
        occurred="entered_at",
        known="known_at",
        without_it="deals cannot be labelled or scored",
    ),
    TableContract(
        table="stages",
        meaning="The stages of each pipeline; won and lost come from here alone.",
        columns=(
            _must("pipeline", "word", "the pipeline"),
            _must("stage", "word", "the stage as the history names it"),
            _must("label", "word", "the stage in words"),
            _must("position", "number", "its place in the pipeline"),
            _must("outcome", "word", "open, won or lost", allowed=("open", "won", "lost")),
            _may("probability", "number", "the manual probability of winning, 0 to 1"),
        ),
        key=("pipeline", "stage"),
        without_it="no deal can be told won or lost",
    ),
    TableContract(
        table="property_history",
        meaning="What a property was, from when on it was known.",
        columns=(
            _must("object_type", "word", "contact, company or deal", allowed=("contact", "company", "deal")),
            _must("object_id", "id", "the object"),
            _must("property", "word", "the property"),
            _must("value", "word", "its value from then on; missing means cleared", nullable=True),
            _must("known_at", "time", "when the value was known"),
        ),
        key=("object_type", "object_id", "property", "known_at"),
        known="known_at",
        without_it="properties count only where the configuration vouches for them as safe",
    ),
    TableContract(
        table="owners",
        meaning="The sellers.",
        columns=(
            _must("owner_id", "id", "the seller"),
            _may("name", "word", "the seller's name; personal, never shown"),
            _may("team", "word", "the seller's team"),
        ),
        key=("owner_id",),
        without_it="owners' teams are left out",
    ),
)

CONTRACTS: Final[Mapping[str, TableContract]] = MappingProxyType({contract.table: contract for contract in _TABLES})
