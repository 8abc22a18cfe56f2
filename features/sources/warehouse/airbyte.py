"""What Airbyte's HubSpot connector leaves behind, in typed tables."""

from __future__ import annotations

from typing import Final

from features.sources.warehouse.layouts import (
    DefinitionTables,
    EventTable,
    FormTable,
    HistoryTable,
    Layout,
    MergeTable,
    ObjectTable,
)

_KINDS: Final = ("contacts", "companies", "deals")
_ENGAGEMENTS: Final = ("calls", "emails", "meetings", "tasks", "notes")
_ONE: Final = {"contacts": "contact", "companies": "company", "deals": "deal"}
_LINKS: Final = {"contacts": ("contacts",), "companies": ("companies",), "deals": ("deals",)}


def _objects(kind: str, stream: str, *linked: str) -> ObjectTable:
    return ObjectTable(
        kind,
        (stream, f"{stream}_archived"),
        prefixes=("properties_",),
        document="properties",
        lists={to: _LINKS[to] for to in linked},
        created=("createdAt",),
        updated=("updatedAt",),
        deleted=("archived", "_ab_cdc_deleted_at"),
        # Where syncs append, the last version of an object counts.
        order=("_airbyte_extracted_at", "_airbyte_emitted_at"),
    )


AIRBYTE: Final = Layout(
    tool="Airbyte",
    objects=(
        _objects("contacts", "contacts"),
        _objects("companies", "companies"),
        _objects("deals", "deals", "contacts", "companies"),
        *(_objects(kind, f"engagements_{kind}", "contacts", "deals") for kind in _ENGAGEMENTS),
    ),
    history=tuple(
        HistoryTable(
            kind,
            (f"{kind}_property_history",),
            key=(f"{_ONE[kind]}Id", "canonical-vid", "vid", "objectId"),
            name=("property", "name"),
            value=("value",),
            at=("timestamp",),
            source=("sourceType", "source"),
        )
        for kind in _KINDS
    ),
    links=(),
    merges=(MergeTable("contacts", ("contacts_merged_audit",), winner=("canonical-vid",), loser=("vid-to-merge",)),),
    definitions=DefinitionTables(
        pipelines=("deal_pipelines",),
        pipeline_key=("pipelineId", "id"),
        stages=None,
        stage_key=("stageId", "id"),
        stage_parent=((), ()),
        stage_list=("stages",),
        owners=("owners", "owners_archived"),
        owner_key=("id",),
        teams="json",
        forms=("forms",),
        form_key=("id", "guid"),
    ),
    forms=FormTable(
        ("contacts_form_submissions",), contact=("canonical-vid", "vid"), form=("form-id",), at=("timestamp",)
    ),
    events=EventTable(
        ("email_events",),
        key=("id",),
        type=("type",),
        at=("created",),
        recipient=("recipient",),
        machine=("filteredEvent",),
    ),
)
