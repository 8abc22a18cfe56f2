"""What changed a score, as it is published: four parts in words, with the features that moved most, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from features.catalogue import FAMILY_WORDS, Feature, entry_of
from features.feature_contract import FeatureContract
from models.boosting import FloatArray
from models.contact_scoring import RULE

SHOWN_FAMILIES: Final = 3
LEAST_TOLD: Final = 0.0005
"""What is smaller shows as no tenth of a percentage point."""
OTHER: Final = "other"
CORRECTED: Final = "corrected"
_REWRITTEN: Final = "the CRM now tells the time before otherwise"
_SHOWN_PHRASES: Final = 3
_DIGITS: Final = 12
_NOISE: Final = 5e-12
_TOLD_UNITS: Final = ("category", "count", "money", "number")
"""A fact is told by what it is, rather than by the days and shares that follow from it."""
_BEHAVIOUR: Final = frozenset({"activities", "directions", "outcomes"})


@dataclass(frozen=True)
class Step:
    """One step from world to world: each feature's effect (n, features) and its value on both sides."""

    features: Sequence[Feature]
    effects: FloatArray
    before: FloatArray
    after: FloatArray

    @cached_property
    def changed(self) -> np.ndarray:
        """Say which values differ (n, features)."""
        return np.asarray((self.before != self.after) & ~(np.isnan(self.before) & np.isnan(self.after)))


def write_unsplit(*, previous: FloatArray, probability: FloatArray, since: pd.Timestamp, why: str) -> list[str]:
    """Return the change of each row that cannot be split, with the reason in place of the parts."""
    return [
        _json(_head(since, now - was) | {"words": f"not split: {why}", "parts": []})
        for was, now in zip(previous.tolist(), probability.tolist(), strict=True)
    ]


def write_change(
    *,
    previous: FloatArray,
    probability: FloatArray,
    since: pd.Timestamp,
    days: float,
    contract: FeatureContract,
    corrected: FloatArray,
    facts: Step,
    time: Step,
    model: FloatArray,
    calibration: FloatArray,
    exchange: tuple[str, str],
) -> list[str]:
    """Return one JSON text for each row: since when, the difference, it in words, and its four parts.

    A part's families add up to it, and the parts to the difference. ``corrected`` is what today's tables say of the
    earlier moment less what was published then; it belongs to the facts. ``exchange`` says what was exchanged of the
    model and of its calibration. Effects are rounded to 1e-12, and what rounding leaves goes to the largest part.
    """
    news = _News(facts, contract)
    texts = []
    for row, (was, now) in enumerate(zip(previous.tolist(), probability.tolist(), strict=True)):
        new_facts = _families(facts, row)
        if abs(corrected[row]) > _NOISE:
            new_facts.append(_family(CORRECTED, float(corrected[row]), _REWRITTEN))
        passed = _families(time, row)
        quiet = not facts.changed[row].any()
        happened = [news.of(row), _REWRITTEN if abs(corrected[row]) >= LEAST_TOLD else ""]
        told = ", ".join(one for one in happened if one)
        parts = [
            _part("facts", new_facts, told or ("nothing new" if quiet else "facts about others")),
            _part("time", passed, f"{_days(days)} {'without anything new' if quiet else 'passed'}"),
            _part("model", [_family(OTHER, float(model[row]), "")], exchange[0]),
            _part("calibration", [_family(OTHER, float(calibration[row]), "")], exchange[1]),
        ]
        _close(parts, now - was)
        texts.append(_json(_head(since, now - was) | {"words": in_words(parts), "parts": parts}))
    return texts


def in_words(parts: Sequence[Mapping[str, Any]]) -> str:
    """Say the parts that show in tenths of a percentage point, the largest first.

    >>> in_words([{"words": "new: 1 × meeting", "effect": 0.041}, {"words": "6 days passed", "effect": -0.01}])
    '+4.1 percentage points: new: 1 × meeting; -1.0: 6 days passed'
    """
    told = sorted((one for one in parts if abs(one["effect"]) >= LEAST_TOLD), key=lambda one: -abs(one["effect"]))
    return "; ".join(
        f"{100 * one['effect']:+.1f}{' percentage points' if place == 0 else ''}: {one['words']}"
        for place, one in enumerate(told)
    )


class _News:
    """What became known, in words: new activities by kind, then other facts that changed, those that moved most."""

    def __init__(self, facts: Step, contract: FeatureContract) -> None:
        self._facts = facts
        self._kinds = _columns_of_kinds(facts.features, contract.kinds)
        self._behaviour = np.array([_is_behaviour(one) for one in facts.features], dtype=bool)

    def of(self, row: int) -> str:
        """Return at most three phrases, the largest first; nothing where nothing moved the score."""
        facts = self._facts
        moved = facts.changed[row] & (facts.effects[row] != 0)
        phrases = self._activities(row) if moved[self._behaviour].any() else []
        places = np.flatnonzero(moved & ~self._behaviour).tolist()
        plain = [place for place in places if facts.features[place].unit in _TOLD_UNITS] or places
        if not phrases and not plain:
            plain = np.flatnonzero(moved).tolist()
        best: dict[str, int] = {}
        for place in plain:
            # Of the stage and of what follows from it, the stage is told.
            family = facts.features[place].name if _is_rule(facts.features[place]) else facts.features[place].family
            if family not in best or self._weight(row, place) > self._weight(row, best[family]):
                best[family] = place
        phrases += [
            (abs(float(facts.effects[row, place])), _from_to(facts.features[place], facts, row, place))
            for place in best.values()
        ]
        phrases.sort(key=lambda one: (-one[0], one[1]))
        return ", ".join(words for _, words in phrases[:_SHOWN_PHRASES])

    def _weight(self, row: int, place: int) -> tuple[bool, float]:
        return self._facts.features[place].is_category, abs(float(self._facts.effects[row, place]))

    def _activities(self, row: int) -> list[tuple[float, str]]:
        facts, new = self._facts, []
        for kind, (columns, place) in self._kinds.items():
            if place is None:
                continue
            count = np.nan_to_num(facts.after[row, place]) - np.nan_to_num(facts.before[row, place])
            if count > 0:
                own = float(np.abs(facts.effects[row, columns]).sum())
                new.append((own, count, kind.replace("_", " ")))
        if not new:
            return []
        new.sort(key=lambda one: (-one[0], -one[1], one[2]))
        told = ", ".join(f"{count:.0f} × {kind}" for _, count, kind in new[:_SHOWN_PHRASES])
        more = sum(count for _, count, _ in new[_SHOWN_PHRASES:])
        weight = float(np.abs(facts.effects[row, self._behaviour]).sum())
        return [(weight, f"new: {told}" + (f" and {more:.0f} × other" if more else ""))]


def _columns_of_kinds(features: Sequence[Feature], kinds: Sequence[str]) -> dict[str, tuple[list[int], int | None]]:
    """Return, by kind of activity, the columns about it and the one that counts it farthest back, if there is any."""
    found: dict[str, tuple[list[int], int | None]] = {}
    by_length = sorted(kinds, key=len, reverse=True)
    best: dict[str, float] = {}
    for place, feature in enumerate(features):
        rest = feature.name.removeprefix("days_since_")
        kind = next((one for one in by_length if rest == one or rest.startswith(f"{one}_")), None)
        if kind is None or not _is_behaviour(feature) or "{kind}" not in entry_of(feature.name).name:
            continue
        columns = found.setdefault(kind, ([], None))[0]
        columns.append(place)
        ending = rest.removeprefix(f"{kind}_")
        reach = np.inf if ending == "total" else float(ending[:-1]) if ending[:-1].replace(".", "").isdigit() else 0.0
        if reach > best.get(kind, 0.0):
            best[kind], found[kind] = reach, (columns, place)
    return found


def _is_rule(feature: Feature) -> bool:
    return feature.name.startswith(RULE)


def _is_behaviour(feature: Feature) -> bool:
    if _is_rule(feature):
        return False
    return not _BEHAVIOUR.isdisjoint(entry_of(feature.name).needs)


def _families(step: Step, row: int) -> list[dict[str, Any]]:
    """Return the families of a step that moved most, in words, and the rest as one."""
    effects = step.effects[row]
    totals: dict[str, float] = {}
    lead: dict[str, int] = {}
    for place in np.flatnonzero(effects).tolist():
        family = step.features[place].family
        totals[family] = totals.get(family, 0.0) + float(effects[place])
        if family not in lead or abs(effects[place]) > abs(effects[lead[family]]):
            lead[family] = place
    order = sorted(totals, key=lambda name: (-abs(totals[name]), name))
    told = [
        _family(
            name, totals[name], f"{FAMILY_WORDS[name]} ({_from_to(step.features[lead[name]], step, row, lead[name])})"
        )
        for name in order[:SHOWN_FAMILIES]
    ]
    rest = sum(totals[name] for name in order[SHOWN_FAMILIES:])
    return [*told, _family(OTHER, rest, "everything else")] if rest else told


def _from_to(feature: Feature, step: Step, row: int, place: int) -> str:
    if _is_rule(feature):
        gained = float(step.after[row, place] - step.before[row, place])
        return f"{gained:+g} {feature.words}"
    before, after = feature.format(step.before[row, place]), feature.format(step.after[row, place])
    return f"{feature.words}: {before}" if before == after else f"{feature.words}: {before} → {after}"


def _family(name: str, effect: float, words: str) -> dict[str, Any]:
    return {"family": name, "effect": round(effect, _DIGITS) + 0.0, "words": words}


def _part(name: str, families: list[dict[str, Any]], words: str) -> dict[str, Any]:
    plain = [one for one in families if one["words"]]
    total = round(sum(one["effect"] for one in families), _DIGITS) + 0.0
    return {"part": name, "effect": total, "words": words, "families": plain}


def _close(parts: list[dict[str, Any]], difference: float) -> None:
    """Give what rounding left to the largest part, and in it to its largest family."""
    left = difference - sum(one["effect"] for one in parts)
    largest = max(parts, key=lambda one: abs(one["effect"]))
    largest["effect"] = round(largest["effect"] + left, _DIGITS) + 0.0
    for part in parts:
        if part["families"]:
            lead = max(part["families"], key=lambda one: abs(one["effect"]))
            within = part["effect"] - sum(one["effect"] for one in part["families"])
            lead["effect"] = round(lead["effect"] + within, _DIGITS) + 0.0


def _head(since: pd.Timestamp, difference: float) -> dict[str, Any]:
    return {"since": since.isoformat().replace("+00:00", "Z"), "difference": round(difference, _DIGITS) + 0.0}


def _days(days: float) -> str:
    """Say a span of time.

    >>> [_days(value) for value in (0.25, 1.0, 6.04, 30.0)]
    ['6 hours', '1 day', '6 days', '30 days']
    """
    if days < 1:
        hours = round(24 * days)
        return "1 hour" if hours == 1 else f"{hours} hours"
    whole = round(days)
    return "1 day" if whole == 1 else f"{whole} days"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
