"""The columns of a row that are JSON: read, and checked to have their shape and to add up."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import orjson

TOLERANCE: Final = 1e-9
PARTS: Final = ("facts", "time", "model", "calibration")
"""What the change of a probability is split into, in this order."""

_NUMBERS: Final = frozenset({int, float})
_NAMES: Final = frozenset({"feature", "value", "words"})


def read_reasons(text: str) -> list[dict[str, Any]]:
    """Return the reasons of one row; raise ``ValueError`` saying what must hold if they are not a JSON list."""
    reasons = _read(text, "list")
    if not isinstance(reasons, list):
        raise ValueError("must be a JSON list")
    return reasons


def read_change(text: str) -> dict[str, Any]:
    """Return why one row changed; raise ``ValueError`` saying what must hold if it is not a JSON object."""
    change = _read(text, "object")
    if not isinstance(change, dict):
        raise ValueError("must be a JSON object")
    return change


def read_json(text: str) -> Any:
    """Return the value of a JSON column; raise ``ValueError`` if it is not JSON."""
    return _read(text, "value")


def _read(text: str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _slowly_read(text, what)


def _slowly_read(text: str, what: str) -> Any:
    """Read what the fast reader refuses: half of a surrogate pair, which is JSON, or what is none, to say why."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"must be a JSON {what} ({error})") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def total_of_reasons(reasons: list[dict[str, Any]]) -> float:
    """Return the sum of the families' effects, each of which has its shape, its place and the sum of its features."""
    largest, total = float("inf"), 0.0
    for reason in reasons:
        try:
            effect, family, parts = reason["effect"], reason["family"], reason["features"]
            named, within = "words" in reason, 0.0
            for part in parts:
                number = part["effect"]
                named = named and type(number) in _NUMBERS and part.keys() >= _NAMES
                within += number
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                "must hold family, effect, words and features, each feature its feature, value, words and effect"
            ) from error
        if not named or type(effect) not in _NUMBERS:
            raise ValueError(f"must give words, and effects as numbers, in family {family!r}")
        if not abs(within - effect) <= TOLERANCE:
            raise ValueError(
                f"must add up in family {family!r}: its features sum to {within!r}, its effect is {effect!r}"
            )
        if abs(effect) > largest:
            raise ValueError(f"must be sorted by size, largest first; family {family!r} is out of place")
        largest = abs(effect)
        total += effect
    return total


def total_of_points(text: str) -> float:
    """Return the sum of the lines that gave an object its points, each of which has its shape."""
    lines = read_reasons(text)
    try:
        named = all(line.keys() >= {"criterion", "group", "words"} for line in lines)
        points = [line["points"] for line in lines]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("must hold criterion, group, points and words in each line") from error
    if not named or not all(type(one) in _NUMBERS for one in points):
        raise ValueError("must hold criterion, group, words and points as a number in each line")
    return float(sum(points))


def total_of_change(text: str) -> float:
    """Return the difference that a change explains, whose parts, if it was split, add up to it.

    The families of a part, where it has any, add up to the part.
    """
    change = read_change(text)
    try:
        difference, parts, told = change["difference"], change["parts"], {"since", "words"} <= change.keys()
        names = tuple(part["part"] for part in parts)
        effects = [part["effect"] for part in parts]
        families = [[one["effect"] for one in part["families"]] for part in parts]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            "must hold since, difference, words and parts, each part its part, effect, words and families"
        ) from error
    if not told or not all(type(one) in _NUMBERS for one in (difference, *effects)):
        raise ValueError("must hold since and words, and difference and effects as numbers")
    if parts and names != PARTS:
        raise ValueError(f"must have the parts {', '.join(PARTS)}, or none; found {', '.join(map(str, names))}")
    if parts and not abs(sum(effects) - difference) <= TOLERANCE:
        raise ValueError(f"must add up: the parts sum to {sum(effects)!r}, the difference is {difference!r}")
    for name, effect, within in zip(names, effects, families, strict=True):
        if within and not abs(sum(within) - effect) <= TOLERANCE:
            raise ValueError(f"must add up in part {name!r}: its families sum to {sum(within)!r}, not {effect!r}")
    return float(difference)
