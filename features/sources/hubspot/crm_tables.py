"""The landed objects as the CRM tables of the input contract."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from features.contracts import empty_frame
from features.findings import Finding
from features.sources.casting import typed_table
from features.sources.hubspot.activities import gather_activities
from features.sources.hubspot.columns import Columns
from features.sources.hubspot.instants import iso_of
from features.sources.hubspot.kinds import CONTRACT_NAMES, OBJECT_KINDS, ContentSettings, Kind, kinds_of
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.merging import Survivors, landed_survivors
from features.tables import TABLE_NAMES, CrmTables

_KEYS: Final = {"contacts": "contact_id", "companies": "company_id", "deals": "deal_id"}
_OBJECT_TYPES: Final = {"contacts": "contact", "companies": "company", "deals": "deal"}


@dataclass(frozen=True)
class _Kept:
    """Which objects are in the tables, and who became whom."""

    ids: Mapping[str, set[int]]
    survivors: Mapping[str, Survivors]


def crm_tables(landing: Landing, settings: ContentSettings) -> tuple[CrmTables, list[Finding]]:
    """Return the tables of all that was landed, and what is odd about it."""
    kinds = {kind.name: kind for kind in kinds_of(settings)}
    findings: list[Finding] = []
    pipelines = _pipelines(landing, settings, findings)
    merged: dict[str, Survivors] = {name: landed_survivors(landing, name) for name in OBJECT_KINDS}
    kept = _Kept(ids={name: set() for name in OBJECT_KINDS}, survivors=merged)
    raw: dict[str, Any] = {}
    for name in OBJECT_KINDS:
        found = _objects(landing, kinds[name], kept, pipelines, findings)
        # An account that has none of them, or a token that may not read them: then there is no such table.
        if found.num_rows:
            raw[name] = found
    if "deals" in raw:
        raw["deal_contacts"] = _deal_contacts(landing, kept)
        raw["deal_stage_history"] = _stage_history(landing, kept)
    if landing.fact("pipelines") is not None:
        raw["stages"] = _stages(landing, kept, pipelines, findings)
    if raw:
        raw["property_history"] = _property_history(landing, kinds, kept)
    if landing.fact("owners") is not None:
        raw["owners"] = _owners(landing.fact("owners"))
    activities = gather_activities(
        landing,
        settings,
        contacts=merged["contacts"],
        deals=merged["deals"],
        contact_ids=kept.ids["contacts"],
        deal_ids=kept.ids["deals"],
    )
    if activities.num_rows or any(landing.fact(f"position of {name}") for name in settings.engagements):
        raw["activities"] = activities
    return _typed(raw, findings)


def _typed(raw: Mapping[str, Any], findings: list[Finding]) -> tuple[CrmTables, list[Finding]]:
    frames: dict[str, pd.DataFrame] = {}
    for table in TABLE_NAMES:
        if table not in raw:
            frames[table] = empty_frame(table)
            continue
        typed = typed_table(table=table, raw=raw[table], origin=f"HubSpot, {table}")
        frames[table] = typed.frame
        findings += typed.findings
    return CrmTables(frames=frames, absent=tuple(name for name in TABLE_NAMES if name not in raw)), findings


def _pipelines(landing: Landing, settings: ContentSettings, findings: list[Finding]) -> dict[str, Mapping[str, Any]]:
    """Return the pipelines that are read: those chosen, and of them those in which a deal can be won."""
    known = {one["id"]: one for one in landing.fact("pipelines") or []}
    for name in settings.pipelines:
        if name not in known:
            message = (
                f"HubSpot has no pipeline {name!r}; it has {', '.join(sorted(known)) or 'none'}. "
                "Correct source.pipelines."
            )
            findings.append(Finding("error", "unknown-pipeline", "stages", message))
    chosen = {name: one for name, one in known.items() if not settings.pipelines or name in settings.pipelines}
    for name, one in list(chosen.items()):
        if not any(outcome_of(stage) == "won" for stage in one["stages"]):
            del chosen[name]
            message = f"no stage of the pipeline {one['label']!r} ({name}) means won: its deals are left out"
            findings.append(Finding("warning", "pipeline-without-won", "stages", message))
    return chosen


def outcome_of(stage: Mapping[str, Any]) -> str:
    """Return what a stage means, from its probability and whether it closes a deal; never from its id or label.

    >>> outcome_of({"id": "closedwon", "metadata": {"probability": "0.9", "isClosed": "false"}})
    'open'
    """
    metadata = stage.get("metadata") or {}
    probability = _number(metadata.get("probability"))
    closed = str(metadata.get("isClosed", probability in (0.0, 1.0))).lower() == "true"
    if not closed or probability not in (0.0, 1.0):
        return "open"
    return "won" if probability == 1.0 else "lost"


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def _objects(
    landing: Landing, kind: Kind, kept: _Kept, pipelines: Mapping[str, Mapping[str, Any]], findings: list[Finding]
) -> Any:
    names = CONTRACT_NAMES[kind.name]
    extra = {"contacts": ["email"], "companies": [], "deals": ["pipeline", "name", "company_id"]}[kind.name]
    taken = {"dealstage", "created_at", _KEYS[kind.name], *extra, *names, *names.values()}
    stated = [name for name in kind.history if name not in taken]
    columns = Columns([_KEYS[kind.name], "created_at", *extra, *names.values(), *stated])
    survivors, companies = kept.survivors[kind.name], kept.survivors["companies"]
    closed = {stage["id"] for one in pipelines.values() for stage in one["stages"] if outcome_of(stage) != "open"}
    company_of = _companies_of_deals(landing, companies) if kind.name == "deals" else {}
    left_out = {"archived": 0, "elsewhere": 0}
    for number, created, archived, text in landing.rows(
        "SELECT id, created_at, archived_at, properties FROM records WHERE kind = ? ORDER BY id", (kind.name,)
    ):
        values = json.loads(text)
        if survivors.of(number) != number:
            continue
        if archived is not None and values.get("dealstage") not in closed:
            left_out["archived"] += 1
            continue
        if kind.name == "deals" and values.get("pipeline") not in pipelines:
            left_out["elsewhere"] += 1
            continue
        kept.ids[kind.name].add(number)
        columns.add(
            str(number),
            iso_of(values.get("createdate") or created),
            *_extra(kind.name, number, values, company_of),
            *(_stated(name, values.get(name), companies) for name in names),
            *(values.get(name) for name in stated),
        )
    if left_out["elsewhere"]:
        message = f"deals: {left_out['elsewhere']} lie in pipelines that are not read and are left out"
        findings.append(Finding("info", "deal-elsewhere", "deals", message, count=left_out["elsewhere"]))
    if left_out["archived"]:
        words = "open ones that were deleted" if kind.name == "deals" else "deleted ones"
        message = f"{kind.name}: {left_out['archived']} {words} in HubSpot are left out"
        findings.append(Finding("info", "deleted-object", kind.name, message, count=left_out["archived"]))
    return columns.table()


def _extra(kind: str, number: int, values: Mapping[str, str], company_of: Mapping[int, str]) -> tuple[str | None, ...]:
    if kind == "contacts":
        return (values.get("email"),)
    return (values.get("pipeline"), values.get("dealname"), company_of.get(number)) if kind == "deals" else ()


def _stated(name: str, value: str | None, companies: Survivors) -> str | None:
    if name == "associatedcompanyid" and value is not None and value.isdigit():
        return str(companies.of(int(value)))
    return iso_of(value) if name == "closedate" else value


def _companies_of_deals(landing: Landing, companies: Survivors) -> dict[int, str]:
    rows = landing.rows(
        "SELECT id, to_id FROM links WHERE kind = 'deals' AND to_kind = 'companies' ORDER BY id, is_primary, to_id DESC"
    )
    return {number: str(companies.of(company)) for number, company in rows}


def _deal_contacts(landing: Landing, kept: _Kept) -> Any:
    deals, contacts = kept.survivors["deals"], kept.survivors["contacts"]
    rows = landing.rows("SELECT id, to_id FROM links WHERE kind = 'deals' AND to_kind = 'contacts'")
    pairs = {(deals.of(deal), contacts.of(contact)) for deal, contact in rows}
    columns = Columns(["deal_id", "contact_id"])
    for deal, contact in sorted(pairs):
        if deal in kept.ids["deals"] and contact in kept.ids["contacts"]:
            columns.add(str(deal), str(contact))
    return columns.table()


def _stage_history(landing: Landing, kept: _Kept) -> Any:
    """Return each entry into a stage.

    A backfill is dated when it was written: what it says of the first stage began when the deal did, and was known
    from the backfill on.
    """
    columns = Columns(["deal_id", "stage", "entered_at", "known_at"])
    deals = kept.survivors["deals"]
    seen: set[tuple[int, str, str]] = set()
    begun: set[int] = set()
    for number, at, stage, source, created in landing.rows(
        "SELECT h.id, h.at, h.value, h.source, coalesce(json_extract(r.properties, '$.createdate'), r.created_at) "
        "FROM history h LEFT JOIN records r ON r.kind = h.kind AND r.id = h.id "
        "WHERE h.kind = 'deals' AND h.property = 'dealstage' ORDER BY h.id, h.at"
    ):
        deal = deals.of(number)
        if deal not in kept.ids["deals"] or not stage:
            continue
        entered = min(created, at) if source == "MIGRATION" and number not in begun and created else at
        begun.add(number)
        if (deal, stage, entered) not in seen:
            seen.add((deal, stage, entered))
            columns.add(str(deal), stage, entered, at)
    return columns.table()


def _stages(landing: Landing, kept: _Kept, pipelines: Mapping[str, Mapping[str, Any]], findings: list[Finding]) -> Any:
    columns = Columns(["pipeline", "stage", "label", "position", "outcome", "probability"])
    everywhere = {stage["id"] for one in landing.fact("pipelines") for stage in one["stages"]}
    for pipeline, one in pipelines.items():
        for place, stage in enumerate(sorted(one["stages"], key=lambda part: part.get("displayOrder", 0)), start=1):
            probability = _number((stage.get("metadata") or {}).get("probability"))
            columns.add(
                pipeline,
                stage["id"],
                stage.get("label") or stage["id"],
                str(place),
                outcome_of(stage),
                None if probability is None else str(probability),
            )
    deleted = sorted(
        {
            (pipeline, stage)
            for number, stage, pipeline in landing.rows(
                "SELECT h.id, h.value, json_extract(r.properties, '$.pipeline') FROM history h "
                "JOIN records r ON r.kind = h.kind AND r.id = h.id "
                "WHERE h.kind = 'deals' AND h.property = 'dealstage' AND h.value IS NOT NULL"
            )
            if number in kept.ids["deals"] and stage not in everywhere
        }
    )
    for pipeline, stage in deleted:
        columns.add(pipeline, stage, f"deleted stage {stage}", "0", "open", None)
    if deleted:
        names = ", ".join(stage for _, stage in deleted[:3])
        message = f"stages: {len(deleted)} stage(s) that HubSpot no longer has ({names}) count as open ones"
        findings.append(Finding("warning", "deleted-stage", "stages", message, count=len(deleted)))
    return columns.table()


def _property_history(landing: Landing, kinds: Mapping[str, Kind], kept: _Kept) -> Any:
    columns = Columns(["object_type", "object_id", "property", "value", "known_at"])
    for name in OBJECT_KINDS:
        wanted = {part: CONTRACT_NAMES[name].get(part, part) for part in kinds[name].history if part != "dealstage"}
        survivors, ids, companies = kept.survivors[name], kept.ids[name], kept.survivors["companies"]
        seen: set[tuple[int, str, str]] = set()
        merged = set(survivors.of_merged)
        for number, part, at, value in landing.rows(
            "SELECT id, property, at, value FROM history WHERE kind = ? ORDER BY id, property, at", (name,)
        ):
            owner = survivors.of(number)
            if part not in wanted or owner not in ids:
                continue
            if number in merged:
                # The survivor's history holds the others' entries as well.
                if (owner, part, at) in seen:
                    continue
                seen.add((owner, part, at))
            columns.add(_OBJECT_TYPES[name], str(owner), wanted[part], _stated(part, value, companies), at)
    return columns.table()


def _owners(found: Iterable[Mapping[str, Any]]) -> Any:
    columns = Columns(["owner_id", "name", "team"])
    seen: set[str] = set()
    for owner in found:
        if owner["id"] in seen:
            continue
        seen.add(owner["id"])
        teams = sorted(owner.get("teams") or [], key=lambda team: not team.get("primary"))
        name = " ".join(part for part in (owner.get("firstName"), owner.get("lastName")) if part)
        columns.add(owner["id"], name or None, teams[0].get("name") if teams else None)
    return columns.table()
