"""What an account defines: its pipelines, owners and forms, and which of the configured properties it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from features.findings import Finding
from features.sources.hubspot.kinds import OBJECT_KINDS, ObjectKind

if TYPE_CHECKING:
    from features.sources.hubspot.sync import Sync

Definitions = list[Mapping[str, Any]]


def read_definitions(sync: Sync) -> None:
    """Read all definitions anew: they are few."""
    reads: tuple[tuple[str, str, Callable[[], Definitions]], ...] = (
        ("pipelines", "stages", lambda: sync.client.get(sync.client.paths.pipelines())["results"]),
        ("owners", "owners", lambda: _owners(sync)),
        ("forms", "activities", lambda: _forms(sync)),
    )
    for name, table, read in reads:
        sync.optional(name, table, partial(_keep, sync, name, read))
    for kind in OBJECT_KINDS:
        sync.optional(f"properties of {kind}", kind, partial(_check_properties, sync, kind))


def _keep(sync: Sync, name: str, read: Callable[[], Definitions]) -> None:
    found = read()
    with sync.landing.page():
        sync.landing.keep_fact(name, found)


def _owners(sync: Sync) -> Definitions:
    path = sync.client.paths.owners()
    found = [*sync.client.pages(path, {}), *sync.client.pages(path, {"archived": "true"})]
    # No addresses: what is not needed is not kept.
    return [{part: one.get(part) for part in ("id", "firstName", "lastName", "teams")} for one in found]


def _forms(sync: Sync) -> Definitions:
    return [{"id": one["id"], "name": one.get("name")} for one in sync.client.pages(sync.client.paths.forms(), {})]


def _check_properties(sync: Sync, kind: ObjectKind) -> None:
    """Say which configured properties the account does not have: HubSpot itself ignores them silently."""
    known = {one["name"] for one in sync.client.get(sync.client.paths.properties(kind))["results"]}
    setting = {
        "contacts": "contact_properties",
        "companies": "company_properties",
        "deals": "deal_properties",
    }[kind]
    wanted: tuple[str, ...] = getattr(sync.settings, setting)
    for name in wanted:
        if name not in known:
            message = f"HubSpot has no property {name!r} of {kind}; correct it in source.{setting}, or remove it"
            sync.findings.append(Finding("warning", "unknown-property", kind, message, column=name))
