"""The properties that scores are written to: made where they are missing, checked where they are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.errors import LeadScoringError
from features.sources.hubspot.client import HubSpotClient, RefusedRequestError
from serving.writeback.fields import FIELDS, WriteBackSettings, WrittenField

_LABEL = "Leadline scores"


class UnfitPropertyError(LeadScoringError):
    """A property of that name is in HubSpot and cannot hold the score."""

    def __init__(self, *, question: str, name: str, found: str, expected: str) -> None:
        self.question, self.name = question, name
        super().__init__(
            f"the property {name} of {question} in HubSpot must be {expected}; it is {found}. Remove or rename it "
            "there, or choose another writeback.prefix."
        )


def missing_properties(client: HubSpotClient, *, question: str, settings: WriteBackSettings) -> list[WrittenField]:
    """Return the properties that are still to be made; raise ``UnfitPropertyError`` if one cannot hold its score."""
    there = {one["name"]: one for one in client.get(client.paths.properties(question))["results"]}
    missing = []
    for field in FIELDS[question]:
        name = field.name(settings)
        if name in there:
            _check(there[name], field, question=question, name=name)
        else:
            missing.append(field)
    return missing


def make_properties(
    client: HubSpotClient, missing: list[WrittenField], *, question: str, settings: WriteBackSettings
) -> None:
    """Make the group and the properties; safe to repeat."""
    if not missing:
        return
    path = client.paths.properties(question)
    _make(client, f"{path}/groups", {"name": settings.prefix, "label": _LABEL})
    for field in missing:
        body: dict[str, Any] = {
            "name": field.name(settings),
            "label": field.label,
            "type": field.type,
            "fieldType": field.field_type,
            "groupName": settings.prefix,
        }
        if field.options:
            body["options"] = [
                {
                    "label": option.replace("_", " ").capitalize(),
                    "value": option,
                    "displayOrder": place,
                    "hidden": False,
                }
                for place, option in enumerate(field.options)
            ]
        _make(client, path, body)


def _make(client: HubSpotClient, path: str, body: Mapping[str, Any]) -> None:
    try:
        client.post(path, dict(body))
    except RefusedRequestError as error:
        # It is there already: the answer to an earlier try was lost, or a group outlived its properties.
        if error.status != 409:
            raise


def _check(found: Mapping[str, Any], field: WrittenField, *, question: str, name: str) -> None:
    metadata = found.get("modificationMetadata") or {}
    if metadata.get("readOnlyValue") or found.get("calculated"):
        raise UnfitPropertyError(question=question, name=name, found="read only", expected="writable")
    if found["type"] != field.type:
        raise UnfitPropertyError(question=question, name=name, found=f"a {found['type']}", expected=f"a {field.type}")
    lacking = sorted(set(field.options) - {option["value"] for option in found.get("options") or []})
    if lacking:
        raise UnfitPropertyError(
            question=question,
            name=name,
            found="one without these",
            expected=f"a choice that has the options {', '.join(lacking)}",
        )
