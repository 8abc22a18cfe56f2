"""One reading of an account: what all of its parts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from features.findings import Finding
from features.sources.hubspot.client import HubSpotClient, MissingScopeError, RefusedRequestError
from features.sources.hubspot.kinds import HubSpotSettings
from features.sources.hubspot.landing import Landing


def _say_nothing(_words: str) -> None:
    """Say nothing."""


@dataclass
class Reading:
    """One reading of an account at an instant. ``tell`` is told in words how far it has come."""

    client: HubSpotClient
    landing: Landing
    settings: HubSpotSettings
    now: datetime
    tell: Callable[[str], None] = _say_nothing
    findings: list[Finding] = field(default_factory=list)

    @property
    def horizon(self) -> datetime:
        """Return up to when search is believed."""
        return self.now - timedelta(minutes=self.settings.index_lag_minutes)

    def optional(self, stream: str, table: str, read: Callable[[], None]) -> None:
        """Read a stream; where the token or the tier does not allow it, say so and go on."""
        try:
            read()
        except MissingScopeError as error:
            message = f"{stream} of HubSpot are not read: {error} Without them the scores rest on the rest."
            self.findings.append(Finding("warning", "stream-skipped", table, message))
        except RefusedRequestError as error:
            if error.status != 404:
                raise
            message = f"{stream} of HubSpot are not read: the account does not have them ({error})"
            self.findings.append(Finding("info", "stream-skipped", table, message))

    def told(self, doing: str) -> None:
        """Tell how far the reading has come, and what is left of the day."""
        left = self.client.pace.daily_left
        day = "" if left is None else f", {left:,} left today"
        self.tell(f"{doing} ({self.client.requests:,} requests{day})")
