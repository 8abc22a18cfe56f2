"""What objects are linked to, as a list tells it in passing or the associations API on demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from features.sources.hubspot.client import HubSpotClient, next_cursor
from features.sources.hubspot.kinds import Kind

PRIMARY_TYPES: Final = frozenset({1, 5})
"""HubSpot's numbers of the link of a contact, and of a deal, to its first company."""

# By object, what it is linked to, and whether that is the primary one.
Links = dict[int, dict[int, bool]]


@dataclass(frozen=True)
class InlineLinks:
    """Links by the kind they lead to; ``unfinished`` are objects that have more of them than a list tells."""

    links: Mapping[str, Links]
    unfinished: Mapping[str, Sequence[int]]


def inline_links(kind: Kind, found: Iterable[Mapping[str, Any]]) -> InlineLinks:
    """Return the links that objects of a list were given with."""
    linked: dict[str, Links] = {to: {} for to in kind.links}
    unfinished: dict[str, list[int]] = {to: [] for to in kind.links}
    for one in found:
        number, given = int(one["id"]), one.get("associations") or {}
        for to in kind.links:
            part = given.get(to) or {}
            targets = linked[to].setdefault(number, {})
            for result in part.get("results", []):
                primary = to == "companies" and not str(result.get("type")).endswith("_unlabeled")
                targets[int(result["id"])] = targets.get(int(result["id"]), False) or primary
            if next_cursor(part) is not None:
                unfinished[to].append(number)
    return InlineLinks(linked, unfinished)


def read_links(client: HubSpotClient, kind: Kind, to: str, ids: Sequence[int]) -> Links:
    """Ask for all links of objects to another kind, page by page for those that have many."""
    links: Links = {number: {} for number in ids}
    inputs: list[dict[str, str]] = [{"id": str(number)} for number in ids]
    while inputs:
        found = client.post(client.paths.links(kind.name, to), {"inputs": inputs}).body["results"]
        inputs = []
        for one in found:
            number, following = int(one["from"]["id"]), next_cursor(one)
            for target in one["to"]:
                types = {int(kind_of_link["typeId"]) for kind_of_link in target.get("associationTypes", [])}
                links[number][int(target["toObjectId"])] = to == "companies" and bool(types & PRIMARY_TYPES)
            if following is not None:
                inputs.append({"id": str(number), "after": following})
    return links
