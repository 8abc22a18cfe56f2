"""The account behind the sandbox: objects with their history, links, definitions, and what is written to them."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from features.sources.hubspot.instants import iso

KINDS: Final = ("contacts", "companies", "deals", "calls", "emails", "meetings", "tasks", "notes")
TYPE_IDS: Final = {"0-1": "contacts", "0-2": "companies", "0-3": "deals"}
MODIFIED: Final = {kind: "lastmodifieddate" if kind == "contacts" else "hs_lastmodifieddate" for kind in KINDS}
PRIMARY: Final = {("contacts", "companies"): 1, ("deals", "companies"): 5}
UNLABELED: Final = {
    ("contacts", "companies"): 279,
    ("contacts", "deals"): 4,
    ("deals", "contacts"): 3,
    ("deals", "companies"): 341,
    ("emails", "contacts"): 198,
    ("notes", "contacts"): 202,
    ("tasks", "contacts"): 204,
    ("calls", "contacts"): 194,
    ("meetings", "contacts"): 200,
    ("emails", "deals"): 210,
    ("notes", "deals"): 214,
    ("tasks", "deals"): 216,
    ("calls", "deals"): 206,
    ("meetings", "deals"): 212,
}


@dataclass(frozen=True)
class Entry:
    """One value of a property: what it was from then on, and who said so."""

    value: str
    at: datetime
    source_type: str
    source_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as HubSpot writes it."""
        plain = {"value": self.value, "timestamp": iso(self.at), "sourceType": self.source_type}
        return plain | ({"sourceId": self.source_id} if self.source_id else {})


@dataclass
class Record:
    """One object; ``history`` holds its entries oldest first."""

    id: int
    created_at: datetime
    updated_at: datetime
    values: dict[str, str | None] = field(default_factory=dict)
    history: dict[str, list[Entry]] = field(default_factory=dict)
    archived_at: datetime | None = None


@dataclass(frozen=True)
class PropertyRule:
    """What the account knows of a property; ``options`` are the values that an enumeration allows."""

    name: str
    type: str
    field_type: str
    group: str
    label: str
    options: tuple[str, ...] = ()
    read_only: bool = False


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The account refuses a write; ``category`` and the message are HubSpot's."""

    def __init__(self, message: str, *, category: str = "VALIDATION_ERROR") -> None:
        self.category = category
        super().__init__(message)


class Account:
    """All that one HubSpot account holds. ``now`` tells the time; equal calls give equal accounts.

    ``index_lag`` is how long a change takes until search sees it.
    """

    def __init__(self, *, now: Callable[[], datetime], index_lag: timedelta = timedelta(0)) -> None:
        self.now = now
        self.index_lag = index_lag
        self.objects: dict[str, dict[int, Record]] = {kind: {} for kind in KINDS}
        self.order: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self.links: dict[tuple[str, str], dict[int, dict[int, bool]]] = {}
        self.properties: dict[str, dict[str, PropertyRule]] = {kind: {} for kind in KINDS}
        self.groups: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.pipelines: list[dict[str, Any]] = []
        self.owners: list[dict[str, Any]] = []
        self.forms: list[dict[str, Any]] = []
        self.email_events: list[dict[str, Any]] = []
        self.web_events: dict[int, list[dict[str, Any]]] = {}
        # Writes that an administrator's rule forbids: by kind and id, the reason.
        self.forbidden: dict[str, dict[int, str]] = {}
        self._next_id = 1000

    def new_id(self) -> int:
        """Return an id that no object has had."""
        self._next_id += 1
        return self._next_id

    def create(
        self, kind: str, values: Mapping[str, str | None], *, at: datetime | None = None, source_type: str = "CRM_UI"
    ) -> int:
        """Add an object as it was made at an instant (now by default) and return its id."""
        moment = at or self.now()
        record = Record(id=self.new_id(), created_at=moment, updated_at=moment)
        self.objects[kind][record.id] = record
        insort(self.order[kind], record.id)
        made = "createdate" if kind in ("contacts", "companies", "deals") else "hs_createdate"
        record.values |= {"hs_object_id": str(record.id), made: iso(moment)}
        self.write(kind, record.id, values, at=moment, source_type=source_type)
        return record.id

    def write(
        self,
        kind: str,
        record_id: int,
        values: Mapping[str, str | None],
        *,
        at: datetime | None = None,
        source_type: str = "CRM_UI",
        source_id: str | None = None,
    ) -> Record:
        """Change properties of an object; a value that stays the same leaves no entry but touches the object."""
        record, moment = self.objects[kind][record_id], at or self.now()
        for name, value in values.items():
            known = record.history.setdefault(name, [])
            if not known or known[-1].value != (value or ""):
                insort(known, Entry(value or "", moment, source_type, source_id), key=lambda entry: entry.at)
            record.values[name] = known[-1].value or None
        self.touch(kind, record_id, at=moment)
        return record

    def touch(self, kind: str, record_id: int, *, at: datetime | None = None) -> None:
        """Mark an object as changed without changing anything, as HubSpot's monthly job does."""
        record = self.objects[kind][record_id]
        record.updated_at = max(record.updated_at, at or self.now())
        record.values[MODIFIED[kind]] = iso(record.updated_at)

    def archive(self, kind: str, record_id: int) -> None:
        """Move an object to the recycle bin."""
        self.objects[kind][record_id].archived_at = self.now()

    def erase(self, kind: str, record_id: int) -> None:
        """Delete an object for good, as the GDPR asks for."""
        del self.objects[kind][record_id]
        self.order[kind].remove(record_id)
        for links in self.links.values():
            links.pop(record_id, None)
            for targets in links.values():
                targets.pop(record_id, None)

    def merge(self, kind: str, winner: int, loser: int, *, new_id: bool = False) -> int:
        """Join two objects: histories are joined, the loser is gone; the id of the result is returned."""
        kept, gone = self.objects[kind][winner], self.objects[kind][loser]
        merged = {str(loser), *_ids(kept.values), *_ids(gone.values)}
        result = winner
        if new_id:
            result = self.create(kind, {}, at=min(kept.created_at, gone.created_at))
            merged.add(str(winner))
        record = self.objects[kind][result]
        for name in {*kept.history, *gone.history}:
            joined = sorted(kept.history.get(name, []) + gone.history.get(name, []), key=lambda entry: entry.at)
            record.history[name] = joined
            preferred = kept.values.get(name)
            record.values[name] = gone.values.get(name) if preferred is None else preferred
        for old in {winner, loser} - {result}:
            self._move_links(old, result)
            self.erase(kind, old)
        self.write(kind, result, {"hs_merged_object_ids": ";".join(sorted(merged, key=int))})
        return result

    def link(self, kind: str, record_id: int, to_kind: str, to_id: int, *, primary: bool = False) -> None:
        """Link two objects in both directions."""
        self.links.setdefault((kind, to_kind), {}).setdefault(record_id, {})[to_id] = primary
        self.links.setdefault((to_kind, kind), {}).setdefault(to_id, {})[record_id] = primary

    def linked(self, kind: str, record_id: int, to_kind: str) -> dict[int, bool]:
        """Return what an object is linked to, and which link is the primary one."""
        return self.links.get((kind, to_kind), {}).get(record_id, {})

    def alive(self, kind: str, *, archived: bool = False, after: int = 0) -> Iterator[Record]:
        """Yield the objects in the order of their ids, from the first one after an id on."""
        order = self.order[kind]
        for record_id in islice(order, bisect_right(order, after), None):
            record = self.objects[kind][record_id]
            if (record.archived_at is not None) == archived:
                yield record

    def searched(self, kind: str, *, after: int = 0) -> Iterator[Record]:
        """Yield the objects after an id that search knows in their present state."""
        limit = self.now() - self.index_lag
        return (record for record in self.alive(kind, after=after) if record.updated_at <= limit)

    def check_write(self, kind: str, record_id: int, values: Mapping[str, str]) -> None:
        """Raise ``Refused`` if a write breaks a property's rule or an administrator's."""
        for name, value in values.items():
            rule = self.properties[kind].get(name)
            if rule is None:
                raise Refused(f'Property values were not valid: Property "{name}" does not exist')
            if rule.read_only:
                raise Refused(f'Property values were not valid: "{name}" is a read only property')
            if value and rule.type == "number" and not _is_number(value):
                raise Refused(f'Property values were not valid: "{name}" was not a valid number')
            if value and rule.type == "enumeration" and value not in rule.options:
                raise Refused(f'Property values were not valid: "{name}" was not one of the allowed options')
        reason = self.forbidden.get(kind, {}).get(record_id)
        if reason is not None:
            raise Refused(reason)

    def define(self, kind: str, rules: Iterable[PropertyRule]) -> None:
        """Add property definitions."""
        for rule in rules:
            self.groups[kind].add(rule.group)
            self.properties[kind][rule.name] = rule

    def _move_links(self, old: int, new: int) -> None:
        for links in self.links.values():
            if old in links:
                links.setdefault(new, {}).update(links[old])
            for targets in links.values():
                if old in targets:
                    targets[new] = targets[old]


def _ids(values: Mapping[str, str | None]) -> list[str]:
    return [part for part in (values.get("hs_merged_object_ids") or "").split(";") if part]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "," not in text
