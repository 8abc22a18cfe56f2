"""How a tool lays HubSpot's objects out in tables: which table holds what, and what its columns are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Names = tuple[str, ...]
ENGAGEMENTS: Final = "engagements"
"""Stands for whichever kind of engagement an id belongs to: they share their ids."""


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one kind. Of several tables all that are there are read.

    ``prefixes`` stand before a property's name in its column; ``others`` are further names of single properties;
    ``document`` is a column that holds all properties as JSON; ``lists`` are columns that hold the ids of linked
    objects, by their kind; ``deleted`` are flags.
    """

    kind: str
    tables: Names
    key: Names = ("id",)
    prefixes: Names = ("",)
    others: Mapping[str, Names] = field(default_factory=dict)
    document: str | None = None
    lists: Mapping[str, Names] = field(default_factory=dict)
    created: Names = ()
    updated: Names = ()
    deleted: Names = ()
    order: Names = ()


@dataclass(frozen=True)
class HistoryTable:
    """Past values: of which object, which property, the value, from when on, and who wrote it.

    Without the column ``name`` all of it is the history of ``always``.
    """

    kind: str
    tables: Names
    key: Names
    value: Names
    at: Names
    name: Names = ()
    source: Names = ()
    always: str | None = None


@dataclass(frozen=True)
class LinkTable:
    """Links between objects of two kinds; ``type`` is HubSpot's number of the kind of link."""

    kind: str
    to: str
    tables: Names
    key: Names
    target: Names
    type: Names = ()


@dataclass(frozen=True)
class MergeTable:
    """Who was merged into whom."""

    kind: str
    tables: Names
    winner: Names
    loser: Names


@dataclass(frozen=True)
class FormTable:
    """Which contact submitted which form when."""

    tables: Names
    contact: Names
    form: Names
    at: Names


@dataclass(frozen=True)
class EventTable:
    """Events of marketing e-mails; ``machine`` is the flag of those that no person caused."""

    tables: Names
    key: Names
    type: Names
    at: Names
    recipient: Names
    machine: Names


@dataclass(frozen=True)
class DefinitionTables:
    """Pipelines with their stages, owners with their teams, and forms.

    Stages and teams lie in tables of their own, which name the row above them, or as JSON in a column.
    """

    pipelines: Names
    pipeline_key: Names
    stages: Names | None
    stage_key: Names
    stage_parent: tuple[Names, Names]
    stage_list: Names
    owners: Names
    owner_key: Names
    teams: Literal["json", "rows", "membership"]
    forms: Names
    form_key: Names


@dataclass(frozen=True)
class Layout:
    """All that one tool leaves behind, as far as it is read."""

    tool: str
    objects: tuple[ObjectTable, ...]
    history: tuple[HistoryTable, ...]
    links: tuple[LinkTable, ...]
    merges: tuple[MergeTable, ...]
    definitions: DefinitionTables
    forms: FormTable | None = None
    events: EventTable | None = None
