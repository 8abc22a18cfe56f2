"""What every source of CRM tables must be able to do."""

from __future__ import annotations

from typing import Protocol

from features.findings import Finding
from features.tables import CrmTables


class Source(Protocol):
    """Something that delivers the CRM tables of DESIGN §4."""

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables and what was found wrong with them while reading.

        Tables with findings of severity ``error`` may lack the offending rows; the caller decides.
        """
        ...
