"""What is read of HubSpot, and the settings that widen or narrow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.sources.hubspot.client import ConnectionSettings

ObjectKind = Literal["contacts", "companies", "deals"]
EngagementKind = Literal["calls", "emails", "meetings", "tasks", "notes"]
OBJECT_KINDS: Final[tuple[ObjectKind, ...]] = ("contacts", "companies", "deals")
# What HubSpot calls the columns of the CRM tables.
CONTRACT_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "contacts": {"associatedcompanyid": "company_id", "hubspot_owner_id": "owner_id", "hs_analytics_source": "source"},
    "companies": {},
    "deals": {
        "amount": "amount",
        "closedate": "expected_close_at",
        "deal_currency_code": "currency",
        "hubspot_owner_id": "owner_id",
    },
}


class ContentSettings(BaseModel):
    """What is read of HubSpot, through whichever door it is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contact_properties: tuple[str, ...] = Field(
        default=("jobtitle", "industry", "country", "numemployees", "annualrevenue", "hs_persona"),
        description="Properties of contacts, each read with its history.",
    )
    company_properties: tuple[str, ...] = Field(
        default=("industry", "country", "numberofemployees", "annualrevenue", "type"),
        description="Properties of companies, each read with its history.",
    )
    deal_properties: tuple[str, ...] = Field(
        default=("dealtype", "hs_priority"), description="Further properties of deals, each read with its history."
    )
    pipelines: tuple[str, ...] = Field(default=(), description="Ids of the pipelines to read; empty for all.")
    engagements: tuple[EngagementKind, ...] = Field(
        default=("calls", "emails", "meetings", "tasks", "notes"), description="Kinds of engagements to read."
    )
    email_events: bool = Field(default=True, description="Read opens and clicks of marketing e-mails.")
    form_types: dict[str, str] = Field(
        default={}, description="Activity type by form name or id; form_submission for all others."
    )
    page_types: dict[str, str] = Field(
        default={}, description="Activity type by a part of the page's address; page_view for all others."
    )


class HubSpotSettings(ContentSettings, ConnectionSettings):
    """What to read of an account, and how often to read again what no change tells of."""

    email_events_days: float = Field(default=730, gt=0, description="How far back the first reading of them goes.")
    web_events: bool = Field(
        default=False, description="Read page views: Enterprise only, and one request for each changed contact."
    )
    lanes: int = Field(default=4, ge=1, le=8, description="How many kinds of objects are read at the same time.")
    index_lag_minutes: float = Field(default=5, ge=1, description="Search is not believed about the last minutes.")
    overlap_minutes: float = Field(default=10, ge=1, description="What each reading repeats of the one before.")
    sweep_days: float = Field(
        default=1, gt=0, description="How often contacts, companies and deals are listed for deletions and new links."
    )
    relink_days: float = Field(default=7, gt=0, description="How often the links of engagements are read again.")


@dataclass(frozen=True)
class Kind:
    """One kind of object: which properties are read, of which with their history, and which links are followed."""

    name: str
    modified: str
    properties: tuple[str, ...]
    history: tuple[str, ...]
    links: tuple[str, ...]
    scope: str
    table: str

    @property
    def tracked(self) -> tuple[str, ...]:
        """Return all properties that are read."""
        return tuple(dict.fromkeys((*self.properties, *self.history)))

    @property
    def page(self) -> int:
        """Return how many objects one request may return."""
        return 50 if self.history else 100


def kinds_of(settings: ContentSettings) -> tuple[Kind, ...]:
    """Return the kinds to read, in the order in which they are read."""
    chosen = {
        "contacts": settings.contact_properties,
        "companies": settings.company_properties,
        "deals": settings.deal_properties,
    }
    always: dict[str, tuple[str, ...]] = {
        "contacts": (
            "email",
            "hs_additional_emails",
            "hs_calculated_form_submissions",
            "hs_calculated_merged_vids",
            "createdate",
        ),
        "companies": ("createdate",),
        "deals": ("dealname", "pipeline", "createdate"),
    }
    links: dict[str, tuple[str, ...]] = {"contacts": (), "companies": (), "deals": ("contacts", "companies")}
    objects = tuple(
        Kind(
            name=name,
            modified="lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate",
            properties=(*always[name], "hs_merged_object_ids"),
            history=tuple(
                dict.fromkeys((*(["dealstage"] if name == "deals" else []), *CONTRACT_NAMES[name], *chosen[name]))
            ),
            links=links[name],
            scope=f"crm.objects.{name}.read",
            table=name,
        )
        for name in OBJECT_KINDS
    )
    return (*objects, *(_ENGAGEMENTS[name] for name in settings.engagements))


def _engagement(name: EngagementKind, *, properties: tuple[str, ...] = (), history: tuple[str, ...] = ()) -> Kind:
    return Kind(
        name=name,
        modified="hs_lastmodifieddate",
        properties=("hs_timestamp", "hs_createdate", "hubspot_owner_id", *properties),
        history=history,
        links=("contacts", "deals"),
        scope="sales-email-read" if name == "emails" else "crm.objects.contacts.read",
        table="activities",
    )


# Outcomes are edited after the event, so they are read with their history.
_ENGAGEMENTS: Final[Mapping[str, Kind]] = {
    "calls": _engagement(
        "calls", properties=("hs_call_direction", "hs_call_duration"), history=("hs_call_disposition",)
    ),
    "emails": _engagement("emails", properties=("hs_email_direction",)),
    "meetings": _engagement("meetings", properties=("hs_meeting_start_time",), history=("hs_meeting_outcome",)),
    "tasks": _engagement("tasks", properties=("hs_task_status", "hs_task_type", "hs_task_completion_date")),
    "notes": _engagement("notes"),
}
