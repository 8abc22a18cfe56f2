"""What every source of CRM tables must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from features.findings import Finding
from features.parts import Part, whole_part
from features.tables import CrmTables


class Source(Protocol):
    """Something that delivers the CRM tables of DESIGN §4."""

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables and what was found wrong with them while reading.

        Tables with findings of severity ``error`` may lack the offending rows; the caller decides.
        """
        ...


@runtime_checkable
class PartedSource(Protocol):
    """A source that can deliver its activities in parts, so that nobody need hold, or read again, all of them."""

    def read_without_activities(self) -> tuple[CrmTables, list[Finding]]:
        """As ``read``, but the activities are empty; they are not absent if there are parts of them."""
        ...

    def activity_parts(self) -> Sequence[Part]:
        """Return the parts of the activities, none if the source has no such table; reads no row."""
        ...


def read_in_parts(source: Source) -> tuple[CrmTables, list[Finding], Sequence[Part]]:
    """Return the tables, what was found wrong, and the activities in parts: one, if the source knows no others."""
    if isinstance(source, PartedSource):
        return *source.read_without_activities(), source.activity_parts()
    tables, findings = source.read()
    parts = [whole_part(tables["activities"])] if tables.has("activities") else []
    return tables.without_activities(), findings, parts
