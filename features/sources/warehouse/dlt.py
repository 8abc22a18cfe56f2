"""What dlt's verified HubSpot source leaves behind. It loads no engagements and no e-mail events."""

from __future__ import annotations

from typing import Final

from features.sources.warehouse.layouts import DefinitionTables, HistoryTable, Layout, LinkTable, ObjectTable

_KINDS: Final = ("contacts", "companies", "deals")


def _links(kind: str, to: str, table: str, *, key: str, target: str) -> LinkTable:
    return LinkTable(kind, to, (table,), key=(key,), target=(target,))


DLT: Final = Layout(
    tool="dlt",
    objects=tuple(
        ObjectTable(
            kind,
            (kind,),
            key=("id", "hs_object_id"),
            updated=("lastmodifieddate", "hs_lastmodifieddate"),
            deleted=("is_deleted",),
        )
        for kind in _KINDS
    ),
    history=(
        *(
            HistoryTable(
                kind,
                (f"{kind}_property_history",),
                key=("object_id",),
                name=("property_name",),
                value=("value",),
                at=("timestamp",),
                source=("source_type",),
            )
            for kind in _KINDS
        ),
        # The latest entry into each stage, for those who load no history.
        HistoryTable(
            "deals",
            ("stages_timing_deals",),
            key=("id",),
            value=("stage",),
            at=("hs_date_entered_x", "hs_date_entered_"),
            always="dealstage",
        ),
    ),
    links=(
        _links("deals", "contacts", "contacts__deals", key="deals_id", target="value"),
        _links("deals", "companies", "companies__deals", key="deals_id", target="value"),
        _links("contacts", "companies", "companies__contacts", key="contacts_id", target="value"),
    ),
    merges=(),
    definitions=DefinitionTables(
        pipelines=("pipelines_deals",),
        pipeline_key=("id",),
        stages=("pipelines_deals__stages",),
        stage_key=("id",),
        stage_parent=(("_dlt_parent_id",), ("_dlt_id",)),
        stage_list=(),
        owners=("owners",),
        owner_key=("id",),
        teams="rows",
        forms=(),
        form_key=(),
    ),
)
