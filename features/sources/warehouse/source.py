"""A warehouse as a source: read what a tool landed of HubSpot the way the API's answers are, or the CRM tables."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from features.findings import Finding
from features.sources.hubspot.crm_tables import crm_tables
from features.sources.hubspot.landing import Landing
from features.sources.warehouse.airbyte import AIRBYTE
from features.sources.warehouse.database import Database, open_database
from features.sources.warehouse.dlt import DLT
from features.sources.warehouse.filling import fill
from features.sources.warehouse.fivetran import FIVETRAN
from features.sources.warehouse.lacking import lacking
from features.sources.warehouse.layouts import Layout
from features.sources.warehouse.plain import read_plain
from features.sources.warehouse.settings import WarehouseSettings
from features.tables import CrmTables

LAYOUTS: Final = {"fivetran": FIVETRAN, "airbyte": AIRBYTE, "dlt": DLT}


@dataclass(frozen=True)
class WarehouseSource:
    """A schema of a database; ``address`` is the URL that leads to it. Nothing is written there, and nothing kept."""

    settings: WarehouseSettings
    address: SecretStr | None

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables and what the landing lacks; raises a ``WarehouseError`` if it cannot be read."""
        schema = f"the schema {self.settings.in_schema}" if self.settings.in_schema else "the schema"
        with closing(open_database(self.address, schema=self.settings.in_schema)) as database:
            if self.settings.landing == "leadline":
                return read_plain(database, prefix=self.settings.table_prefix, schema=schema)
            return self._read_landing(database, LAYOUTS[self.settings.landing], schema=schema)

    def _read_landing(self, database: Database, layout: Layout, *, schema: str) -> tuple[CrmTables, list[Finding]]:
        with closing(Landing(None)) as landing:
            filled = fill(landing, database, layout, self.settings, prefix=self.settings.table_prefix)
            found = list(lacking(filled, layout, self.settings, schema=schema))
            tables, findings = crm_tables(landing, self.settings)
        return _without(tables, filled.histories), [*found, *findings]


def _without(tables: CrmTables, histories: frozenset[str]) -> CrmTables:
    """Name tables as absent that the landing has no source for: they are not merely empty."""
    empty = [
        name
        for name, there in (
            ("property_history", bool(histories)),
            ("deal_contacts", not tables["deal_contacts"].empty),
            ("deal_stage_history", not tables["deal_stage_history"].empty),
        )
        if not there and name not in tables.absent
    ]
    return CrmTables(frames=tables.frames, absent=(*tables.absent, *empty))
