"""Engagements, form submissions, e-mail events and page views as activities, each with both of its times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final
from urllib.parse import urlsplit

from features.sources.hubspot.columns import Columns
from features.sources.hubspot.instants import iso_of
from features.sources.hubspot.kinds import ContentSettings, kinds_of
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.merging import Survivors
from features.sources.hubspot.streams import EMAIL_TYPES

COLUMNS: Final = (
    "activity_id",
    "occurred_at",
    "type",
    "contact_id",
    "deal_id",
    "known_at",
    "direction",
    "outcome",
    "name",
    "owner_id",
    "duration_seconds",
)
_TYPES: Final = {"calls": "call", "meetings": "meeting", "notes": "note", "tasks": "task"}
_EMAILS: Final = {
    "EMAIL": ("email_sent", "outbound"),
    "INCOMING_EMAIL": ("email_reply", "inbound"),
    "FORWARDED_EMAIL": ("email_forwarded", None),
}
_EMAIL_EVENTS: Final = {
    "OPEN": ("email_open", "inbound"),
    "CLICK": ("email_click", "inbound"),
    "BOUNCE": ("email_bounce", None),
    "SPAMREPORT": ("email_spam_report", "inbound"),
    "STATUSCHANGE": ("email_subscription_change", "inbound"),
}
OUTCOMES: Final = {"calls": "hs_call_disposition", "meetings": "hs_meeting_outcome"}
# HubSpot's own call outcomes go by these ids in every account.
_DISPOSITIONS: Final = {
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "busy",
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "connected",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "left live message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "left voicemail",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "no answer",
    "17b47fee-58de-441e-a44c-c6300d46f273": "wrong number",
}
_ENGAGEMENTS: Final = """
SELECT r.id, r.created_at, r.properties,
    (SELECT json_group_array(json_array(h.at, h.value)) FROM history h
        WHERE h.kind = r.kind AND h.id = r.id AND h.property = ?),
    (SELECT group_concat(l.to_id) FROM links l WHERE l.kind = r.kind AND l.id = r.id AND l.to_kind = 'contacts'),
    (SELECT group_concat(l.to_id) FROM links l WHERE l.kind = r.kind AND l.id = r.id AND l.to_kind = 'deals')
FROM records r WHERE r.kind = ? AND r.archived_at IS NULL ORDER BY r.id
"""


def gather_activities(
    landing: Landing,
    settings: ContentSettings,
    *,
    contacts: Survivors,
    deals: Survivors,
    contact_ids: set[int],
    deal_ids: set[int],
) -> Any:
    """Return the raw columns of the table ``activities``; what concerns no kept contact or deal is left out."""
    columns = Columns(COLUMNS)
    for kind in kinds_of(settings):
        if kind.table == "activities":
            for row in landing.rows(_ENGAGEMENTS, (OUTCOMES.get(kind.name, ""), kind.name)):
                people = _kept(row[4], contacts, contact_ids)
                chances = _kept(row[5], deals, deal_ids)
                if people or chances:
                    _add_engagement(columns, kind.name, row, people, chances)
    addresses = _add_forms(columns, landing, settings, contacts, contact_ids)
    for event_type in EMAIL_TYPES:
        name, direction = _EMAIL_EVENTS[event_type]
        for subject, key, at in _events(landing, f"email {event_type}"):
            if subject in addresses:
                columns.add(f"email:{key}", at, name, addresses[subject], *_plain(at, direction))
    for subject, key, at, body in landing.rows(
        "SELECT subject, key, at, body FROM events WHERE stream = 'web' ORDER BY subject, at, key"
    ):
        contact = contacts.of(int(subject))
        if contact in contact_ids:
            page = _page(json.loads(body))
            word = next((part for part in settings.page_types if part in page), None)
            name = "page_view" if word is None else settings.page_types[word]
            columns.add(f"web:{key}", at, name, str(contact), *_plain(at, "inbound", page))
    return columns.table()


def _add_engagement(columns: Columns, kind: str, row: tuple[Any, ...], people: list[int], chances: list[int]) -> None:
    number, values = row[0], json.loads(row[2])
    logged = iso_of(values.get("hs_createdate") or row[1])
    happened = iso_of(values.get("hs_timestamp")) or logged
    name, direction, duration = _TYPES.get(kind, kind), None, None
    if kind == "emails":
        name, direction = _EMAILS.get(values.get("hs_email_direction", "EMAIL"), _EMAILS["EMAIL"])
    elif kind == "calls":
        direction = (values.get("hs_call_direction") or "").lower() or None
        duration = _seconds(values.get("hs_call_duration"))
    elif kind == "tasks":
        # What HubSpot calls the time of a task is when it is due; it happened when it was done.
        happened = iso_of(values.get("hs_task_completion_date"))
        if happened is None:
            return
    if happened is None or logged is None:
        return
    known = max(happened, logged)
    told = sorted((iso_of(at) or "", value) for at, value in json.loads(row[3] or "[]"))
    at_first = [value for at, value in told if at <= known]
    later = [(at, value) for at, value in told if at > known and value]
    owner = values.get("hubspot_owner_id")
    direction = direction if direction in ("inbound", "outbound") else None
    for place, (person, chance) in enumerate(zip_longest(people, chances)):
        mark = f"{kind}:{number}" if place == 0 else f"{kind}:{number}:{place}"
        concerned = (None if person is None else str(person), None if chance is None else str(chance))
        outcome = _outcome(at_first[-1]) if at_first else None
        columns.add(mark, happened, name, *concerned, known, direction, outcome, None, owner, duration)
        if later:
            # An outcome that was told later is a fact of its own, known from then on.
            at, value = later[-1]
            columns.add(
                f"{mark}:outcome", at, f"{name}_outcome", *concerned, at, direction, _outcome(value), None, owner, None
            )


def _add_forms(
    columns: Columns, landing: Landing, settings: ContentSettings, contacts: Survivors, contact_ids: set[int]
) -> dict[str, str]:
    """Add form submissions, which HubSpot tells in a property of the contact; return contacts by their addresses."""
    names = {form["id"]: form["name"] for form in landing.fact("forms") or []}
    addresses: dict[str, str] = {}
    for number, properties in landing.rows("SELECT id, properties FROM records WHERE kind = 'contacts' ORDER BY id"):
        contact, values = contacts.of(number), json.loads(properties)
        if contact not in contact_ids:
            continue
        for address in (values.get("email"), *(values.get("hs_additional_emails") or "").split(";")):
            if address:
                addresses[address.strip().lower()] = str(contact)
        if contact != number:
            continue
        for place, part in enumerate(filter(None, (values.get("hs_calculated_form_submissions") or "").split(";"))):
            form, _, stamp = part.rpartition(":")
            if not stamp.isdigit():
                continue
            guid = form.partition(":")[0]
            name = names.get(guid)
            kind = settings.form_types.get(guid) or settings.form_types.get(name or "") or "form_submission"
            at = iso_of(stamp)
            columns.add(f"form:{number}:{place}", at, kind, str(contact), *_plain(at, "inbound", name))
    return addresses


def _plain(at: str | None, direction: str | None, name: str | None = None) -> tuple[str | None, ...]:
    """Return the columns from ``deal_id`` on of an activity that is known once it happens."""
    return None, at, direction, None, name, None, None


def _events(landing: Landing, stream: str) -> Iterator[tuple[str, str, str]]:
    query = "SELECT subject, key, at FROM events WHERE stream = ? ORDER BY subject, at, key"
    return ((row[0], row[1], row[2]) for row in landing.rows(query, (stream,)))


def _kept(text: str | None, alive: Survivors, ids: set[int]) -> list[int]:
    found = {alive.of(int(part)) for part in (text or "").split(",") if part}
    return sorted(found & ids)


def _page(url: str | None) -> str:
    # What follows the path may hold addresses.
    parts = urlsplit(url or "")
    return f"{parts.netloc}{parts.path}"


def _outcome(value: str | None) -> str | None:
    return _DISPOSITIONS.get(value or "", value) or None


def _seconds(millis: str | None) -> str | None:
    return None if not millis else str(float(millis) / 1000)
