"""What people are shown of why: at most three reasons up and three down, and what is left of the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

EACH_WAY: Final = 3
REST: Final = "everything else"


def each_way(reasons: Sequence[Mapping[str, Any]], *, most: int = EACH_WAY) -> list[Mapping[str, Any]]:
    """Return at most ``most`` that raise and as many that lower, the largest first.

    >>> [one["effect"] for one in each_way([{"effect": 3}, {"effect": -2}, {"effect": 1}, {"effect": 0}], most=1)]
    [3, -2]
    """
    up = [one for one in reasons if one["effect"] > 0][:most]
    down = [one for one in reasons if one["effect"] < 0][:most]
    return sorted([*up, *down], key=lambda one: -abs(one["effect"]))


def with_rest(reasons: Sequence[Mapping[str, Any]], *, most: int = EACH_WAY) -> list[dict[str, Any]]:
    """Return words and effect of what is shown, and of what is left as one, so that all add up.

    >>> with_rest([{"words": "was in touch", "effect": 0.2}, {"words": "its size", "effect": 0.0}])
    [{'words': 'was in touch', 'effect': 0.2}]
    """
    shown = each_way(reasons, most=most)
    told = [{"words": one["words"], "effect": one["effect"]} for one in shown]
    if len(shown) < sum(one["effect"] != 0 for one in reasons):
        rest = sum(one["effect"] for one in reasons) - sum(one["effect"] for one in shown)
        told.append({"words": REST, "effect": rest})
    return told


def as_reasons(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines that gave points in the shape of reasons, whose effect is the points."""
    return [{"words": one["words"], "effect": one["points"]} for one in lines]
