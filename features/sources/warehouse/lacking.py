"""What a landing lacks, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from features.findings import Finding
from features.sources.hubspot.kinds import OBJECT_KINDS, ContentSettings
from features.sources.warehouse.filling import Filled
from features.sources.warehouse.layouts import ENGAGEMENTS, Layout

CODE: Final = "landing-lacks"
_SETTINGS: Final[Mapping[str, str]] = {
    "contacts": "contact_properties",
    "companies": "company_properties",
    "deals": "deal_properties",
}


def lacking(filled: Filled, layout: Layout, settings: ContentSettings, *, schema: str) -> Iterator[Finding]:
    """Say what is not in the schema, what that costs, and what to load."""
    tables = {one.kind: one.tables[0] for one in layout.objects}
    if not {tables["contacts"], tables["deals"]} & filled.tables:
        message = (
            f"neither {tables['contacts']} nor {tables['deals']} is in {schema}, where {layout.tool} should have left "
            "them; correct source.schema, source.table_prefix or source.landing"
        )
        yield Finding("error", "missing-table", "contacts", message)
        return
    for name, column in filled.unusable:
        yield _finding("warning", "activities", f"the table {name} has no column {column}, so it is not used")
    if tables["deals"] in filled.tables:
        yield from _deals(filled, layout)
    yield from _properties(filled, layout, tables)
    yield from _behaviour(filled, layout, settings)


def _deals(filled: Filled, layout: Layout) -> Iterator[Finding]:
    definitions = layout.definitions
    needed = [names[0] for names in (definitions.pipelines, definitions.stages or ()) if names]
    absent = [name for name in needed if name not in filled.tables]
    if absent:
        message = (
            f"{' and '.join(absent)} must be there because deals are: won and lost come from what a stage means, never "
            f"from its name. Let {layout.tool} load them."
        )
        yield Finding("error", "missing-table", "stages", message)
    histories = [one.tables[0] for one in layout.history if one.kind == "deals"]
    if filled.dated is None:
        message = (
            f"nothing tells when deals entered their stages: load {' or '.join(histories)}, or the properties "
            "hs_v2_date_entered_... of the stages. Without them no deal can be labelled."
        )
        yield Finding("error", "missing-table", "deal_stage_history", message)
    elif filled.dated == "columns" or "timing" in filled.dated:
        message = (
            f"{histories[0]} has no stage of a deal, so only the latest entry into each stage is known: deals that "
            "went back and forth look as if they had not"
        )
        yield _finding("warning", "deal_stage_history", message)
    for link in layout.links:
        if link.kind == "deals" and link.to == "contacts" and link.tables[0] not in filled.tables:
            message = f"{link.tables[0]} is not there: contacts cannot be labelled by their deals; load it"
            yield _finding("warning", "deal_contacts", message)


def _properties(filled: Filled, layout: Layout, tables: Mapping[str, str]) -> Iterator[Finding]:
    for kind in OBJECT_KINDS:
        if tables[kind] not in filled.tables:
            continue
        history = next(one.tables[0] for one in layout.history if one.kind == kind and one.always is None)
        if kind not in filled.histories:
            message = (
                f"{history} is not there or has none of the configured properties: properties of {kind} show "
                "today's value, perhaps written after the outcome, and count only where "
                f"properties.{kind}.safe vouches for them"
            )
            yield _finding("warning", kind, message)
        absent = filled.missing.get(kind, ())
        if absent:
            message = (
                f"{tables[kind]} has no column for {', '.join(absent)}; load them, or remove those of your own from "
                f"source.{_SETTINGS[kind]}"
            )
            yield _finding("info", kind, message, count=len(absent))
    if not any(merge.tables[0] in filled.tables for merge in layout.merges):
        message = (
            "no table tells who was merged into whom, only the property hs_merged_object_ids, if it was loaded: what "
            "merged contacts did may be left out"
        )
        yield _finding("info", "contacts", message)


def _behaviour(filled: Filled, layout: Layout, settings: ContentSettings) -> Iterator[Finding]:
    engagements = {one.kind: one.tables[0] for one in layout.objects if one.kind in settings.engagements}
    absent = [kind for kind in settings.engagements if engagements.get(kind) not in filled.tables]
    if absent and len(absent) == len(settings.engagements):
        message = (
            f"{layout.tool} has left no {', '.join(absent)}: behaviour features rest on forms and marketing e-mails "
            "alone, if these are there, and what sellers and contacts said to each other is not seen"
        )
        yield _finding("warning", "activities", message, count=len(absent))
    elif absent:
        yield _finding("info", "activities", f"{', '.join(absent)} are not there and are left out", count=len(absent))
    if set(absent) < set(settings.engagements):
        message = (
            "outcomes of calls and meetings are left out: they are told later than the event, and it is not told when"
        )
        yield _finding("info", "activities", message)
        for link in layout.links:
            if link.kind == ENGAGEMENTS and link.tables[0] not in filled.tables:
                yield _finding(
                    "warning", "activities", f"{link.tables[0]} is not there: engagements count for no {link.to}"
                )
    if settings.email_events and (layout.events is None or layout.events.tables[0] not in filled.tables):
        yield _finding("info", "activities", f"{layout.tool} has left no events of marketing e-mails")
    if layout.forms is None or layout.forms.tables[0] not in filled.tables:
        message = "form submissions are read from the property hs_calculated_form_submissions alone, if it was loaded"
        yield _finding("info", "activities", message)
    yield _finding("info", "activities", "page views are not read from a warehouse")


def _finding(severity: Literal["warning", "info"], table: str, message: str, *, count: int = 1) -> Finding:
    return Finding(severity, CODE, table, message, count=count)
