"""Objects, links and errors in the words of HubSpot's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from features.sources.hubspot.instants import iso
from features.sources.hubspot_sandbox.account import PRIMARY, UNLABELED, Account, PropertyRule, Record

DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "deals": ("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id"),
}


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its JSON body or the bytes sent instead, and further headers."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None


class Problem(Exception):  # noqa: N818 - an answer, not a fault of ours
    """An error answer."""

    def __init__(self, status: int, message: str, *, category: str = "VALIDATION_ERROR") -> None:
        self.reply = Reply(status, {"status": "error", "message": message, "category": category})
        super().__init__(message)


def object_json(
    account: Account,
    kind: str,
    record: Record,
    *,
    properties: Sequence[str],
    history: Sequence[str] = (),
    associations: Sequence[str] = (),
) -> dict[str, Any]:
    """Return an object; unknown properties are left out, as HubSpot does, and unset ones are null."""
    names = [*properties, *history] or DEFAULTS.get(kind, ("hs_object_id", "hs_createdate", "hs_lastmodifieddate"))
    plain: dict[str, Any] = {
        "id": str(record.id),
        "properties": {
            name: record.values.get(name)
            for name in dict.fromkeys((*names, "hs_object_id"))
            if name in account.properties[kind] or name in record.values
        },
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.updated_at),
        "archived": record.archived_at is not None,
    }
    if record.archived_at is not None:
        plain["archivedAt"] = iso(record.archived_at)
    if history:
        plain["propertiesWithHistory"] = {
            name: [entry.to_json() for entry in reversed(record.history[name])]
            for name in history
            if name in record.history
        }
    linked = {to: _inline_links(account, kind, record.id, to) for to in associations}
    if any(linked.values()):
        plain["associations"] = {to: found for to, found in linked.items() if found}
    return plain


def _inline_links(account: Account, kind: str, record_id: int, to: str) -> dict[str, Any]:
    words = f"{_one(kind)}_to_{_one(to)}"
    results = []
    for target, primary in account.linked(kind, record_id, to).items():
        if primary and (kind, to) in PRIMARY:
            results.append({"id": str(target), "type": words})
        results.append({"id": str(target), "type": f"{words}_unlabeled" if (kind, to) in PRIMARY else words})
    return {"results": results} if results else {}


def links_json(account: Account, kind: str, record_id: int, to: str) -> dict[str, Any]:
    """Return what one object is linked to, as the associations API tells it."""
    targets = []
    for target, primary in account.linked(kind, record_id, to).items():
        types = [{"category": "HUBSPOT_DEFINED", "typeId": UNLABELED.get((kind, to), 1), "label": None}]
        if primary and (kind, to) in PRIMARY:
            types.insert(0, {"category": "HUBSPOT_DEFINED", "typeId": PRIMARY[kind, to], "label": "Primary"})
        targets.append({"toObjectId": str(target), "associationTypes": types})
    return {"from": {"id": str(record_id)}, "to": targets}


def property_json(rule: PropertyRule) -> dict[str, Any]:
    """Return a property's definition."""
    return {
        "name": rule.name,
        "label": rule.label,
        "type": rule.type,
        "fieldType": rule.field_type,
        "groupName": rule.group,
        "description": "",
        "options": [
            {"label": option, "value": option, "displayOrder": place, "hidden": False}
            for place, option in enumerate(rule.options)
        ],
        "calculated": rule.read_only,
        "modificationMetadata": {
            "archivable": not rule.read_only,
            "readOnlyDefinition": rule.read_only,
            "readOnlyValue": rule.read_only,
        },
    }


def batch_json(account: Account, results: Sequence[Any], errors: Sequence[Mapping[str, Any]] = ()) -> Reply:
    """Return the answer to a batch: 200, or 207 with what failed."""
    moment = iso(account.now())
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": list(results),
        "startedAt": moment,
        "completedAt": moment,
    }
    if errors:
        body |= {"numErrors": len(errors), "errors": list(errors)}
    return Reply(207 if errors else 200, body)


def not_found(ids: Sequence[str]) -> dict[str, Any]:
    """Return the part of a 207 that names ids that are not there."""
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": list(ids)},
    }


def _one(kind: str) -> str:
    return "company" if kind == "companies" else kind.removesuffix("s")
