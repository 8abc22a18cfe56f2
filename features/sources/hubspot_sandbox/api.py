"""The sandbox's API: HubSpot's paths of every version that Leadline speaks, answered from an account."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from features.sources.hubspot_sandbox.account import MODIFIED, TYPE_IDS, Account, PropertyRule, Record, Refused
from features.sources.hubspot_sandbox.answers import (
    Problem,
    Reply,
    batch_json,
    links_json,
    not_found,
    object_json,
    property_json,
)
from features.sources.hubspot_sandbox.limits import Meter, Plan

LONGEST_URL: Final = 15_000
MOST_SEARCHED: Final = 10_000
_VERSION: Final = r"(?:v[134]|20\d\d-\d\d(?:-beta)?)"
_SCOPES: Final = {"owners": "crm.objects.owners.read", "forms": "forms", "events": "business-intelligence"}


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    headers: Mapping[str, str]
    length: int

    def one(self, name: str, default: str = "") -> str:
        """Return a query parameter that is given once."""
        return self.query.get(name, [default])[0]

    def many(self, name: str) -> list[str]:
        """Return a query parameter that holds names, separated by commas or repeated."""
        return [part for text in self.query.get(name, []) for part in text.split(",") if part]

    @property
    def is_search(self) -> bool:
        """Say whether the limit of searches applies."""
        return self.path.endswith("/search")


@dataclass
class Api:
    """Answers requests. ``missing`` are scopes that the token lacks; ``calls`` remembers what was asked."""

    account: Account
    token: str = "sandbox"  # noqa: S105 - opens nothing but an invented account
    plan: Plan = field(default_factory=Plan)
    missing: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.meter = Meter(self.plan, self.account.now)

    def answer(self, request: Request) -> Reply:
        """Return the answer to a request; what it changes is changed."""
        self.calls.append((request.method, request.path))
        if request.length > LONGEST_URL:
            return Reply(414, {"status": "error", "message": "URI Too Long"})
        if request.path.startswith("/oauth/"):
            return Reply(200, {"access_token": self.token, "expires_in": 1800, "token_type": "bearer"})
        if request.headers.get("authorization") != f"Bearer {self.token}":
            body = {"status": "error", "message": "Authentication credentials not found.", "category": "EXPIRED_AUTH"}
            return Reply(401, body)
        refused = self.meter.count(search=request.is_search)
        if refused is not None:
            return Reply(429, refused[0], refused[1])
        try:
            reply = self._route(request)
        except Problem as problem:
            reply = problem.reply
        headers = {} if request.is_search else self.meter.headers()
        return Reply(reply.status, reply.body, {**headers, **reply.headers}, reply.raw)

    def _route(self, request: Request) -> Reply:
        for method, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, request.path) if method == request.method else None
            if found:
                parts = {name: TYPE_IDS.get(text, text) for name, text in found.groupdict().items()}
                self._check_scope(request.path, parts)
                reply: Reply = handler(self, request, **parts)
                return reply
        raise Problem(404, f"No path {request.path}", category="OBJECT_NOT_FOUND")

    def _check_scope(self, path: str, parts: Mapping[str, str]) -> None:
        area = "email" if path.startswith("/email/") else path.split("/")[2]
        wanted = {_SCOPES.get(area, ""), "content" if area == "email" else ""}
        kind = parts.get("kind")
        if kind in ("contacts", "companies", "deals"):
            writing = path.endswith("/batch/update")
            wanted.add(f"crm.objects.{kind}.{'write' if writing else 'read'}")
        elif kind == "emails":
            wanted.add("sales-email-read")
        lacking = wanted & self.missing
        if lacking:
            raise Problem(403, f"This app lacks the scope {min(lacking)}", category="MISSING_SCOPES")

    def _known_kind(self, kind: str) -> str:
        if kind not in self.account.objects:
            raise Problem(404, f"Unable to infer object type from: {kind}", category="OBJECT_NOT_FOUND")
        return kind

    def list_objects(self, request: Request, kind: str) -> Reply:
        """Answer a page of all objects, in the order of ids."""
        self._known_kind(kind)
        history = request.many("propertiesWithHistory")
        limit = _bounded(request.one("limit", "10"), 50 if history else 100)
        archived = request.one("archived") == "true"
        order, after = self.account.order[kind], int(request.one("after", "0"))
        records = (self.account.objects[kind][number] for number in islice(order, bisect_right(order, after - 1), None))
        page = list(islice((one for one in records if (one.archived_at is not None) == archived), limit + 1))
        results = [
            object_json(
                self.account,
                kind,
                record,
                properties=request.many("properties"),
                history=history,
                associations=request.many("associations"),
            )
            for record in page[:limit]
        ]
        more = {"paging": {"next": {"after": str(page[limit].id), "link": "?"}}} if len(page) > limit else {}
        return Reply(200, {"results": results} | more)

    def read_batch(self, request: Request, kind: str) -> Reply:
        """Answer the objects with the given ids; what is not there is named in a 207."""
        self._known_kind(kind)
        history = request.body.get("propertiesWithHistory", [])
        ids = [one["id"] for one in request.body["inputs"]]
        _at_most(ids, 50 if history else 100)
        archived = request.one("archived") == "true"
        found = {
            text: record
            for text in ids
            if (record := self.account.objects[kind].get(int(text))) and (record.archived_at is not None) == archived
        }
        results = [
            object_json(self.account, kind, record, properties=request.body.get("properties", []), history=history)
            for record in found.values()
        ]
        missing = [text for text in ids if text not in found]
        return batch_json(self.account, results, [not_found(missing)] if missing else [])

    def update_batch(self, request: Request, kind: str) -> Reply:
        """Write to objects: a value that breaks a rule refuses the whole batch, an unknown id only itself."""
        self._known_kind(kind)
        inputs = request.body["inputs"]
        _at_most(inputs, 100)
        objects = self.account.objects[kind]
        there = [one for one in inputs if int(one["id"]) in objects and objects[int(one["id"])].archived_at is None]
        for one in there:
            try:
                self.account.check_write(kind, int(one["id"]), one["properties"])
            except Refused as refused:
                raise Problem(400, str(refused), category=refused.category) from refused
        written = [
            self.account.write(kind, int(one["id"]), one["properties"], source_type="INTEGRATION", source_id="leadline")
            for one in there
        ]
        missing = [one["id"] for one in inputs if one not in there]
        results = [
            object_json(self.account, kind, record, properties=list(one["properties"]))
            for record, one in zip(written, there, strict=True)
        ]
        return batch_json(self.account, results, [not_found(missing)] if missing else [])

    def search(self, request: Request, kind: str) -> Reply:
        """Answer the objects that pass all filters of one group, sorted by one property."""
        self._known_kind(kind)
        limit = _bounded(str(request.body.get("limit", 10)), 200)
        after = int(request.body.get("after") or 0)
        if after + limit > MOST_SEARCHED:
            raise Problem(400, f"The maximum number of results is {MOST_SEARCHED}")
        filters = [one for group in request.body.get("filterGroups", []) for one in group["filters"]]
        first = max((int(one["value"]) for one in filters if _is_keyset(one)), default=0)
        tests = [_test_of(one) for one in filters if not _is_keyset(one)]
        found = [
            record for record in self.account.searched(kind, after=first) if all(passes(record) for passes in tests)
        ]
        for sort in request.body.get("sorts", [])[:1]:
            # The specification says text, the guides say objects; both work.
            plain = {"propertyName": sort} if isinstance(sort, str) else sort
            found.sort(
                key=lambda record: _comparable(record, plain["propertyName"]),
                reverse=plain.get("direction") == "DESCENDING",
            )
        page = found[after : after + limit]
        results = [
            object_json(self.account, kind, record, properties=request.body.get("properties", [])) for record in page
        ]
        body: dict[str, Any] = {"total": len(found), "results": results}
        if after + limit < len(found):
            body["paging"] = {"next": {"after": str(after + limit)}}
        return Reply(200, body)

    def read_links(self, request: Request, kind: str, to: str) -> Reply:
        """Answer what the given objects are linked to; those without a link are named in a 207."""
        inputs = request.body["inputs"]
        _at_most(inputs, 1000)
        ids = [int(one["id"]) for one in inputs]
        some = [number for number in ids if self.account.linked(kind, number, to)]
        results = [links_json(self.account, kind, number, to) for number in some]
        lonely = [str(number) for number in ids if number not in set(some)]
        error = {"category": "OBJECT_NOT_FOUND", "message": f"No {to} is associated", "context": {"fromIds": lonely}}
        return batch_json(self.account, results, [{"status": "error"} | error] if lonely else [])

    def list_properties(self, _request: Request, kind: str) -> Reply:
        """Answer all property definitions."""
        rules = self.account.properties[self._known_kind(kind)].values()
        return Reply(200, {"results": [property_json(rule) for rule in rules]})

    def create_property(self, request: Request, kind: str) -> Reply:
        """Add a property."""
        body, known = request.body, self.account.properties[self._known_kind(kind)]
        if body["name"] in known:
            raise Problem(409, f'Property "{body["name"]}" already exists', category="OBJECT_ALREADY_EXISTS")
        if body["groupName"] not in self.account.groups[kind]:
            raise Problem(400, f"Property group {body['groupName']} does not exist")
        if body["name"].startswith("hs_") or body["name"] != body["name"].lower():
            raise Problem(400, f'"{body["name"]}" is not an allowed name')
        options = tuple(option["value"] for option in body.get("options", []))
        if body["type"] == "enumeration" and not options:
            raise Problem(400, "An enumeration must have options")
        rule = PropertyRule(body["name"], body["type"], body["fieldType"], body["groupName"], body["label"], options)
        self.account.define(kind, [rule])
        return Reply(201, property_json(rule))

    def list_groups(self, _request: Request, kind: str) -> Reply:
        """Answer all property groups."""
        names = sorted(self.account.groups[self._known_kind(kind)])
        return Reply(200, {"results": [_group_json(name, name) for name in names]})

    def create_group(self, request: Request, kind: str) -> Reply:
        """Add a property group."""
        name = request.body["name"]
        if name in self.account.groups[self._known_kind(kind)]:
            raise Problem(409, f"Property group {name} already exists", category="OBJECT_ALREADY_EXISTS")
        self.account.groups[kind].add(name)
        return Reply(201, _group_json(name, request.body["label"]))

    def list_pipelines(self, _request: Request, kind: str) -> Reply:
        """Answer the pipelines of deals with their stages."""
        return Reply(200, {"results": self.account.pipelines if kind == "deals" else []})

    def list_owners(self, request: Request) -> Reply:
        """Answer a page of the owners."""
        archived = request.one("archived") == "true"
        owners = [owner for owner in self.account.owners if owner["archived"] == archived]
        return _page_of(owners, request, 500)

    def list_forms(self, request: Request) -> Reply:
        """Answer a page of the form definitions."""
        return _page_of(self.account.forms, request, 500)

    def list_email_events(self, request: Request) -> Reply:
        """Answer a page of marketing e-mail events, newest first."""
        limit, start = _bounded(request.one("limit", "100"), 1000), int(request.one("offset", "0"))
        low, high = int(request.one("startTimestamp", "0")), int(request.one("endTimestamp", str(2**62)))
        wanted = request.one("eventType")
        found = [
            event
            for event in self.account.email_events
            if low <= event["created"] < high and wanted in ("", event["type"])
        ]
        found.sort(key=lambda event: (-event["created"], event["id"]))
        more = start + limit < len(found)
        body = {"events": found[start : start + limit], "hasMore": more, "offset": str(start + limit)}
        return Reply(200, body)

    def list_web_events(self, request: Request) -> Reply:
        """Answer a page of one contact's web events."""
        since = request.one("occurredAfter", "")
        events = self.account.web_events.get(int(request.one("objectId", "0")), [])
        return _page_of([event for event in events if event["occurredAt"] > since], request, 100)


def _group_json(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "label": label, "displayOrder": -1, "archived": False}


def _bounded(text: str, most: int) -> int:
    if not text.isdigit() or not 0 < int(text) <= most:
        raise Problem(400, f"limit must be 1 to {most}; found {text}")
    return int(text)


def _at_most(inputs: Sequence[Any], most: int) -> None:
    if len(inputs) > most:
        raise Problem(400, f"The maximum number of inputs supported in this batch request is {most}")
    ids = [one["id"] if isinstance(one, Mapping) else one for one in inputs]
    if len(set(ids)) < len(ids):
        raise Problem(400, "Duplicate IDs found in batch input")


def _page_of(items: Sequence[Any], request: Request, most: int) -> Reply:
    limit, start = _bounded(request.one("limit", "100"), most), int(request.one("after", "0"))
    more = {"paging": {"next": {"after": str(start + limit)}}} if start + limit < len(items) else {}
    return Reply(200, {"results": list(items[start : start + limit])} | more)


def _comparable(record: Record, name: str) -> float:
    if name == "hs_object_id":
        return record.id
    if name in ("lastmodifieddate", "hs_lastmodifieddate"):
        return record.updated_at.timestamp() * 1000
    return _number(record.values.get(name) or "0")


def _number(text: str) -> float:
    """Read a number or an instant, in milliseconds, as search compares them."""
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000


def _is_keyset(condition: Mapping[str, Any]) -> bool:
    """Say whether a filter asks for higher ids, which the account has in order."""
    return (condition["propertyName"], condition["operator"]) == ("hs_object_id", "GT")


def _test_of(condition: Mapping[str, Any]) -> Callable[[Record], bool]:
    """Return what a filter asks of a record; a property that is not set passes none but its own test."""
    name, operator = condition["propertyName"], condition["operator"]
    if operator == "NOT_HAS_PROPERTY":
        return lambda record: record.values.get(name) is None
    low = _number(condition["value"]) if "value" in condition else 0.0
    high = _number(condition["highValue"]) if "highValue" in condition else low
    if name in MODIFIED.values() and operator == "BETWEEN":
        # What every reading of changes asks of all objects.
        since, until = (datetime.fromtimestamp(edge / 1000, tz=UTC) for edge in (low, high))
        return lambda record: since <= record.updated_at <= until and name in record.values
    compare = _OPERATORS[operator]
    return lambda record: record.values.get(name) is not None and compare(_comparable(record, name), low, high)


_OPERATORS: Final[Mapping[str, Callable[[float, float, float], bool]]] = {
    "HAS_PROPERTY": lambda value, low, high: True,
    "EQ": lambda value, low, high: value == low,
    "GT": lambda value, low, high: value > low,
    "GTE": lambda value, low, high: value >= low,
    "LT": lambda value, low, high: value < low,
    "LTE": lambda value, low, high: value <= low,
    "BETWEEN": lambda value, low, high: low <= value <= high,
}
_KIND: Final = r"(?P<kind>[\w-]+)"
_ROUTES: Final[tuple[tuple[str, str, Callable[..., Reply]], ...]] = tuple(
    (method, pattern.replace("VERSION", _VERSION).replace("KIND", _KIND), handler)
    for method, pattern, handler in (
        ("GET", "/crm/(?:VERSION/objects|objects/VERSION)/KIND", Api.list_objects),
        ("POST", "/crm/(?:VERSION/objects|objects/VERSION)/KIND/batch/read", Api.read_batch),
        ("POST", "/crm/(?:VERSION/objects|objects/VERSION)/KIND/batch/update", Api.update_batch),
        ("POST", "/crm/(?:VERSION/objects|objects/VERSION)/KIND/search", Api.search),
        (
            "POST",
            r"/crm/(?:VERSION/associations|associations/VERSION)/KIND/(?P<to>[\w-]+)/batch/read",
            Api.read_links,
        ),
        ("GET", "/crm/(?:VERSION/properties|properties/VERSION)/KIND", Api.list_properties),
        ("POST", "/crm/(?:VERSION/properties|properties/VERSION)/KIND", Api.create_property),
        ("GET", "/crm/(?:VERSION/properties|properties/VERSION)/KIND/groups", Api.list_groups),
        ("POST", "/crm/(?:VERSION/properties|properties/VERSION)/KIND/groups", Api.create_group),
        ("GET", "/crm/(?:VERSION/pipelines|pipelines/VERSION)/KIND", Api.list_pipelines),
        ("GET", "/crm/(?:VERSION/owners|owners/VERSION)/?", Api.list_owners),
        ("GET", "/marketing/(?:VERSION/forms|forms/VERSION)/?", Api.list_forms),
        ("GET", "/email/public/v1/events", Api.list_email_events),
        ("GET", "/events/(?:v3/events|event-occurrences/VERSION)/?", Api.list_web_events),
    )
)
