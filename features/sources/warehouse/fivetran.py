"""What Fivetran's HubSpot connector leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from features.sources.warehouse.layouts import (
    ENGAGEMENTS,
    DefinitionTables,
    EventTable,
    FormTable,
    HistoryTable,
    Layout,
    LinkTable,
    MergeTable,
    Names,
    ObjectTable,
)

_PROPERTY: Final = ("property_",)
_DELETED: Final = ("_fivetran_deleted", "is_deleted")
# Connectors from before 2023 have these columns instead of those of the properties.
_OLDER: Final[Mapping[str, Names]] = {
    "hs_timestamp": ("timestamp", "start_time"),
    "hs_createdate": ("created_at",),
    "hs_task_completion_date": ("completion_date",),
    "hs_call_duration": ("duration_milliseconds",),
    "hs_email_direction": ("type",),
    "hubspot_owner_id": ("owner_id",),
}


def _engagement(kind: str, table: str) -> ObjectTable:
    return ObjectTable(
        kind, (table,), key=("engagement_id", "id"), prefixes=_PROPERTY, others=_OLDER, deleted=("_fivetran_deleted",)
    )


def _history(kind: str, one: str) -> HistoryTable:
    return HistoryTable(
        kind,
        (f"{one}_property_history",),
        key=(f"{one}_id",),
        name=("name",),
        value=("value",),
        at=("timestamp", "timestamp_instant", "_fivetran_start"),
        source=("source",),
    )


_TABLES: Final = {
    "calls": "engagement_call",
    "emails": "engagement_email",
    "meetings": "engagement_meeting",
    "tasks": "engagement_task",
    "notes": "engagement_note",
}

FIVETRAN: Final = Layout(
    tool="Fivetran",
    objects=(
        ObjectTable("contacts", ("contact",), prefixes=_PROPERTY, deleted=_DELETED),
        ObjectTable("companies", ("company",), prefixes=_PROPERTY, deleted=_DELETED),
        ObjectTable(
            "deals",
            ("deal",),
            key=("deal_id", "id"),
            prefixes=_PROPERTY,
            others={
                "pipeline": ("deal_pipeline_id",),
                "dealstage": ("deal_pipeline_stage_id",),
                "hubspot_owner_id": ("owner_id",),
            },
            deleted=_DELETED,
        ),
        *(_engagement(kind, table) for kind, table in _TABLES.items()),
    ),
    history=(
        # The stages have a table of their own; where it is missing, they are among the other properties.
        HistoryTable(
            "deals",
            ("deal_stage",),
            key=("deal_id",),
            value=("value",),
            at=("date_entered", "_fivetran_start"),
            source=("source",),
            always="dealstage",
        ),
        _history("contacts", "contact"),
        _history("companies", "company"),
        _history("deals", "deal"),
    ),
    links=(
        LinkTable("deals", "contacts", ("deal_contact",), key=("deal_id",), target=("contact_id",)),
        LinkTable("deals", "companies", ("deal_company",), key=("deal_id",), target=("company_id",), type=("type_id",)),
        LinkTable(ENGAGEMENTS, "contacts", ("engagement_contact",), key=("engagement_id",), target=("contact_id",)),
        LinkTable(ENGAGEMENTS, "deals", ("engagement_deal",), key=("engagement_id",), target=("deal_id",)),
    ),
    merges=(
        MergeTable(
            "contacts", ("contact_merge_audit",), winner=("canonical_vid", "contact_id"), loser=("vid_to_merge",)
        ),
        MergeTable("deals", ("merged_deal",), winner=("deal_id",), loser=("merged_deal_id",)),
    ),
    definitions=DefinitionTables(
        pipelines=("deal_pipeline",),
        pipeline_key=("pipeline_id",),
        stages=("deal_pipeline_stage",),
        stage_key=("stage_id",),
        stage_parent=(("pipeline_id",), ("pipeline_id",)),
        stage_list=(),
        owners=("owner",),
        owner_key=("owner_id",),
        teams="membership",
        forms=("form",),
        form_key=("guid",),
    ),
    forms=FormTable(("contact_form_submission",), contact=("contact_id",), form=("form_id",), at=("timestamp",)),
    events=EventTable(
        ("email_event",),
        key=("id",),
        type=("type",),
        at=("created",),
        recipient=("recipient",),
        machine=("filtered_event",),
    ),
)
