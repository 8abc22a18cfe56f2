"""HubSpot's paths in each version that Leadline speaks; the version is named here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Version = Literal["2026-09", "2026-03", "v3"]
API_VERSION: Final[Version] = "2026-09"

EMAIL_EVENTS: Final = "/email/public/v1/events"


@dataclass(frozen=True)
class Paths:
    """The paths of one version.

    >>> Paths("2026-09").objects("deals"), Paths("v3").links("deals", "contacts")
    ('/crm/objects/2026-09/deals', '/crm/v4/associations/deals/contacts/batch/read')
    """

    version: Version = API_VERSION

    def objects(self, kind: str) -> str:
        """All objects of a kind; ``/search`` and ``/batch/...`` lie below."""
        return f"{self._crm('objects')}/{kind}"

    def links(self, kind: str, to: str) -> str:
        """Links between objects, many at once."""
        return f"{self._crm('associations', legacy='v4')}/{kind}/{to}/batch/read"

    def properties(self, kind: str) -> str:
        """Property definitions; ``/groups`` lies below."""
        return f"{self._crm('properties')}/{kind}"

    def pipelines(self) -> str:
        """The pipelines of deals."""
        return f"{self._crm('pipelines')}/deals"

    def owners(self) -> str:
        """The owners."""
        return self._crm("owners")

    def forms(self) -> str:
        """Form definitions, which have no stable path in 2026-09."""
        return "/marketing/forms/2026-09-beta" if self.version == "2026-09" else "/marketing/v3/forms"

    def web_events(self) -> str:
        """Web events of one object."""
        return "/events/v3/events" if self.version == "v3" else f"/events/event-occurrences/{self.version}"

    def token(self) -> str:
        """Where a refresh token is exchanged."""
        return "/oauth/v1/token" if self.version == "v3" else f"/oauth/{self.version}/token"

    def _crm(self, area: str, *, legacy: str = "v3") -> str:
        return f"/crm/{legacy}/{area}" if self.version == "v3" else f"/crm/{area}/{self.version}"
