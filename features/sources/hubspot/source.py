"""HubSpot as a source: bring the landing up to date, then read the CRM tables from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from features.findings import Finding
from features.sources.hubspot.client import Credentials, HubSpotClient
from features.sources.hubspot.crm_tables import crm_tables
from features.sources.hubspot.kinds import HubSpotSettings
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.pace import Clock
from features.sources.hubspot.sync import Sync
from features.tables import CrmTables

LANDING_FILE: Final = "hubspot.db"


def landing_file(home: Path) -> Path:
    """Return where a home keeps what was read of HubSpot."""
    return home / "warehouse" / LANDING_FILE


@dataclass(frozen=True)
class HubSpotSource:
    """A HubSpot account. ``now`` tells up to when to read; ``tell`` is told how far the reading has come."""

    settings: HubSpotSettings
    credentials: Credentials
    file: Path
    now: Callable[[], datetime]
    tell: Callable[[str], None]
    clock: Clock | None = None

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Read what is new, and return all tables; raises a ``HubSpotError`` if HubSpot cannot be read to the end."""
        with closing(Landing(self.file)) as landing:
            client = HubSpotClient(settings=self.settings, credentials=self.credentials, clock=self.clock)
            with closing(client):
                skipped = Sync(
                    client=client, landing=landing, settings=self.settings, now=self.now(), tell=self.tell
                ).run()
            tables, findings = crm_tables(landing, self.settings)
        return tables, [*skipped, *findings]
