"""What an account defines: its pipelines, owners and forms, and which of the configured properties it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from features.findings import Finding
from features.sources.hubspot.kinds import OBJECT_KINDS, ObjectKind
from features.sources.hubspot.reading import Reading

Definitions = list[Mapping[str, Any]]


def read_definitions(reading: Reading) -> None:
    """Read all definitions anew: they are few."""
    reads: tuple[tuple[str, str, Callable[[], Definitions]], ...] = (
        ("pipelines", "stages", lambda: reading.client.get(reading.client.paths.pipelines())["results"]),
        ("owners", "owners", lambda: _owners(reading)),
        ("forms", "activities", lambda: _forms(reading)),
    )
    for name, table, read in reads:
        reading.optional(name, table, partial(_keep, reading, name, read))
    for kind in OBJECT_KINDS:
        reading.optional(f"properties of {kind}", kind, partial(_check_properties, reading, kind))


def _keep(reading: Reading, name: str, read: Callable[[], Definitions]) -> None:
    found = read()
    with reading.landing.page():
        reading.landing.keep_fact(name, found)


def _owners(reading: Reading) -> Definitions:
    path = reading.client.paths.owners()
    found = [*reading.client.pages(path, {}), *reading.client.pages(path, {"archived": "true"})]
    # No addresses: what is not needed is not kept.
    return [{part: one.get(part) for part in ("id", "firstName", "lastName", "teams")} for one in found]


def _forms(reading: Reading) -> Definitions:
    return [
        {"id": one["id"], "name": one.get("name")} for one in reading.client.pages(reading.client.paths.forms(), {})
    ]


def _check_properties(reading: Reading, kind: ObjectKind) -> None:
    """Say which configured properties the account does not have: HubSpot itself ignores them silently."""
    known = {one["name"] for one in reading.client.get(reading.client.paths.properties(kind))["results"]}
    setting = {
        "contacts": "contact_properties",
        "companies": "company_properties",
        "deals": "deal_properties",
    }[kind]
    wanted: tuple[str, ...] = getattr(reading.settings, setting)
    for name in wanted:
        if name not in known:
            message = f"HubSpot has no property {name!r} of {kind}; correct it in source.{setting}, or remove it"
            reading.findings.append(Finding("warning", "unknown-property", kind, message, column=name))
