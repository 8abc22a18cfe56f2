"""Fill a sandbox account from CRM tables, the way their facts would have come to lie in HubSpot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pandas as pd

from features.sources.hubspot.instants import iso
from features.sources.hubspot_sandbox.account import KINDS, MODIFIED, Account, PropertyRule
from features.tables import CrmTables

HUBSPOT_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "contacts": {"owner_id": "hubspot_owner_id", "source": "hs_analytics_source", "company_id": "associatedcompanyid"},
    "companies": {},
    "deals": {
        "owner_id": "hubspot_owner_id",
        "expected_close_at": "closedate",
        "currency": "deal_currency_code",
        "name": "dealname",
    },
}
_KEYS: Final = {"contacts": "contact_id", "companies": "company_id", "deals": "deal_id"}
_FORMS: Final = {"form_submission": "Newsletter", "demo_request": "Demo request", "webinar": "Webinar"}
_PAGES: Final = {"page_view": "https://sandbox.example/blog", "pricing_view": "https://sandbox.example/pricing"}
_MAIL: Final = {"email_open": "OPEN", "email_click": "CLICK"}
_READ_ONLY: Final = ("hs_object_id", "createdate", "hs_createdate", "hs_lastmodifieddate", "lastmodifieddate")
_ENGAGEMENT: Final = {
    "calls": ("hs_call_direction", "hs_call_disposition", "hs_call_duration"),
    "meetings": ("hs_meeting_outcome", "hs_meeting_start_time", "hs_meeting_end_time"),
    "emails": ("hs_email_direction", "hs_email_status"),
    "tasks": ("hs_task_status", "hs_task_type", "hs_task_completion_date"),
    "notes": (),
}


@dataclass(frozen=True)
class Filled:
    """Which id each object of the tables has in the account, by kind."""

    contacts: dict[str, int] = field(default_factory=dict)
    companies: dict[str, int] = field(default_factory=dict)
    deals: dict[str, int] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)


def fill(account: Account, tables: CrmTables) -> Filled:
    """Put all tables into an empty account."""
    filled = Filled()
    _fill_owners(account, tables, filled)
    account.pipelines.extend(_pipelines(tables["stages"]))
    histories = _histories(tables)
    for kind in ("companies", "contacts", "deals"):
        _fill_objects(account, tables, kind, filled, histories)
    _fill_links(account, tables, filled)
    _fill_activities(account, tables["activities"], filled)
    _define(account)
    return filled


def _fill_owners(account: Account, tables: CrmTables, filled: Filled) -> None:
    for place, owner in enumerate(_rows(tables["owners"]), start=1):
        filled.owners[owner["owner_id"]] = str(500 + place)
        first, _, last = (owner["name"] or "").partition(" ")
        account.owners.append(
            {
                "id": str(500 + place),
                "email": f"seller{place}@sandbox.example",
                "firstName": first,
                "lastName": last,
                "type": "PERSON",
                "archived": False,
                "createdAt": "2020-01-01T00:00:00.000Z",
                "updatedAt": "2020-01-01T00:00:00.000Z",
                "teams": [{"id": "1", "name": owner["team"], "primary": True}] if owner["team"] else [],
            }
        )


def _pipelines(stages: pd.DataFrame) -> Iterator[dict[str, Any]]:
    born = "2020-01-01T00:00:00.000Z"
    for place, (pipeline, rows) in enumerate(stages.groupby("pipeline", sort=False)):
        yield {
            "id": str(pipeline),
            "label": str(pipeline),
            "displayOrder": place,
            "archived": False,
            "createdAt": born,
            "updatedAt": born,
            "stages": [
                {
                    "id": stage["stage"],
                    "label": stage["label"],
                    "displayOrder": int(stage["position"]),
                    "metadata": {
                        "probability": str(stage["probability"]),
                        "isClosed": "false" if stage["outcome"] == "open" else "true",
                    },
                    "archived": False,
                    "createdAt": born,
                    "updatedAt": born,
                    "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                }
                for stage in _rows(rows)
            ],
        }


def _histories(tables: CrmTables) -> dict[tuple[str, str], list[tuple[str, Any, datetime]]]:
    found: dict[tuple[str, str], list[tuple[str, Any, datetime]]] = {}
    for row in _rows(tables["property_history"]):
        key = row["object_type"], row["object_id"]
        found.setdefault(key, []).append((row["property"], row["value"], row["known_at"]))
    for row in _rows(tables["deal_stage_history"]):
        found.setdefault(("deal", row["deal_id"]), []).append(("dealstage", row["stage"], row["entered_at"]))
    return found


def _fill_objects(
    account: Account,
    tables: CrmTables,
    kind: str,
    filled: Filled,
    histories: Mapping[tuple[str, str], list[tuple[str, Any, datetime]]],
) -> None:
    names, key = HUBSPOT_NAMES[kind], _KEYS[kind]
    ids: dict[str, int] = getattr(filled, kind)
    for row in _rows(tables[kind]):
        own, made = row.pop(key), row.pop("created_at")
        past = histories.get((key.removesuffix("_id"), own), [])
        dated = {name for name, _, _ in past}
        stated = {
            names.get(name, name): _text(filled, name, value)
            for name, value in row.items()
            if name not in dated and value is not None
        }
        ids[own] = account.create(kind, stated, at=made)
        for name, value, at in past:
            account.write(kind, ids[own], {names.get(name, name): _text(filled, name, value)}, at=at)


def _text(filled: Filled, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name == "owner_id":
        return filled.owners.get(str(value), str(value))
    if name == "company_id":
        return str(filled.companies.get(value, value))
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _fill_links(account: Account, tables: CrmTables, filled: Filled) -> None:
    for row in _rows(tables["deal_contacts"]):
        account.link("deals", filled.deals[row["deal_id"]], "contacts", filled.contacts[row["contact_id"]])
    for kind in ("contacts", "deals"):
        frame, ids = tables[kind], getattr(filled, kind)
        for own, company in zip(frame[_KEYS[kind]], frame["company_id"], strict=True):
            if company in filled.companies:
                account.link(kind, ids[own], "companies", filled.companies[company], primary=True)


def _fill_activities(account: Account, activities: pd.DataFrame, filled: Filled) -> None:
    account.forms.extend({"id": _guid(kind), "name": name} for kind, name in _FORMS.items())
    submitted: dict[str, list[str]] = {}
    mails = {own: account.objects["contacts"][number].values.get("email") for own, number in filled.contacts.items()}
    for row in _rows(activities):
        kind, contact = row["type"], row["contact_id"]
        millis = int(row["occurred_at"].timestamp() * 1000)
        if kind in _FORMS and contact in filled.contacts:
            submitted.setdefault(contact, []).append(f"{_guid(kind)}::{millis}")
        elif kind in _PAGES and contact in filled.contacts:
            account.web_events.setdefault(filled.contacts[contact], []).append(
                {
                    "id": row["activity_id"],
                    "eventType": "e_visited_page",
                    "objectType": "CONTACT",
                    "objectId": str(filled.contacts[contact]),
                    "occurredAt": iso(row["occurred_at"]),
                    "properties": {"hs_url": _PAGES[kind]},
                }
            )
        elif kind in _MAIL and mails.get(contact):
            event = {"id": row["activity_id"], "created": millis, "type": _MAIL[kind], "recipient": mails[contact]}
            account.email_events.append(event | {"filteredEvent": False})
        elif kind in ("call", "meeting", "email_reply", "email_sent", "note", "task"):
            _add_engagement(account, row, filled)
    for contact, parts in submitted.items():
        record = account.objects["contacts"][filled.contacts[contact]]
        last = max(int(part.rpartition(":")[2]) for part in parts) / 1000
        value = ";".join(parts)
        at = datetime.fromtimestamp(last, tz=record.created_at.tzinfo)
        account.write("contacts", record.id, {"hs_calculated_form_submissions": value}, at=at, source_type="CALCULATED")


def _add_engagement(account: Account, row: Mapping[str, Any], filled: Filled) -> None:
    kind = {"email_reply": "emails", "email_sent": "emails"}.get(row["type"], f"{row['type']}s")
    happened, inbound = row["occurred_at"], row["direction"] == "inbound"
    values = {"hs_timestamp": iso(happened), "hubspot_owner_id": filled.owners.get(row["owner_id"])}
    if kind == "calls":
        duration = row["duration_seconds"]
        values |= {
            "hs_call_direction": "INBOUND" if inbound else "OUTBOUND",
            "hs_call_disposition": row["outcome"],
            "hs_call_duration": None if duration is None else str(round(duration * 1000)),
        }
    elif kind == "meetings":
        values |= {"hs_meeting_outcome": row["outcome"], "hs_meeting_start_time": iso(happened)}
    elif kind == "emails":
        values |= {"hs_email_direction": "INCOMING_EMAIL" if inbound else "EMAIL"}
    elif kind == "tasks":
        values |= {"hs_task_status": "COMPLETED", "hs_task_completion_date": iso(happened)}
    number = account.create(kind, values, at=max(happened, row["known_at"] or happened))
    for to_kind, own in (("contacts", row["contact_id"]), ("deals", row["deal_id"])):
        ids: dict[str, int] = getattr(filled, to_kind)
        if own in ids:
            account.link(kind, number, to_kind, ids[own])


def _define(account: Account) -> None:
    for kind in KINDS:
        used = {name for record in account.objects[kind].values() for name in record.values}
        used |= {*_ENGAGEMENT.get(kind, ()), MODIFIED[kind], "hs_merged_object_ids"}
        group = f"{kind}information"
        account.define(
            kind,
            [PropertyRule(name, "string", "text", group, name, read_only=name in _READ_ONLY) for name in sorted(used)],
        )


def _guid(kind: str) -> str:
    return f"00000000-0000-4000-8000-{sorted(_FORMS).index(kind):012d}"


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows as plain values; missing is None."""
    columns = [[None if pd.isna(value) else value for value in frame[name].astype(object)] for name in frame.columns]
    for values in zip(*columns, strict=True):
        yield {
            name: value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
            for name, value in zip(frame.columns, values, strict=True)
        }
