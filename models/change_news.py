"""What became known between two batches, in a few words: activities by kind, then other facts that moved the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.catalogue import Feature, entry_of
from features.feature_contract import FeatureContract
from models.contact_scoring import RULE
from models.worlds import Step

SHOWN: Final = 3
_TOLD_UNITS: Final = ("category", "count", "money", "number")
"""A fact is told by what it is, rather than by the days and shares that follow from it."""
_BEHAVIOUR: Final = frozenset({"activities", "directions", "outcomes"})


class News:
    """The phrases of the facts of a step; what all rows need is made once."""

    def __init__(self, facts: Step, contract: FeatureContract) -> None:
        self._facts = facts
        self._behaviour = np.array([_is_behaviour(one) for one in facts.features], dtype=bool)
        self._moved = facts.changed & (facts.effects != 0)
        kinds = _columns_of_kinds(facts.features, contract.kinds)
        self._kinds = [kind.replace("_", " ") for kind in kinds]
        counted = [count for _, count in kinds.values()]
        before, after = (np.nan_to_num(values[:, counted]) for values in (facts.before, facts.after))
        self._new = after - before
        self._weights = np.zeros(self._new.shape)
        for place, (columns, _) in enumerate(kinds.values()):
            self._weights[:, place] = np.abs(facts.effects[:, columns]).sum(axis=1)

    def of(self, row: int) -> str:
        """Return at most three phrases, the largest first; nothing where nothing moved the score."""
        facts, moved = self._facts, self._moved[row]
        phrases = self._activities(row) if moved[self._behaviour].any() else []
        places = np.flatnonzero(moved & ~self._behaviour).tolist()
        plain = [place for place in places if facts.features[place].unit in _TOLD_UNITS] or places
        if not phrases and not plain:
            plain = np.flatnonzero(moved).tolist()
        best: dict[str, int] = {}
        for place in plain:
            # Of the stage and of what follows from it, the stage is told.
            one = facts.features[place]
            family = one.name if one.name.startswith(RULE) else one.family
            if family not in best or self._weight(row, place) > self._weight(row, best[family]):
                best[family] = place
        phrases += [(abs(float(facts.effects[row, place])), facts.from_to(row, place)) for place in best.values()]
        phrases.sort(key=lambda one: (-one[0], one[1]))
        return ", ".join(words for _, words in phrases[:SHOWN])

    def _weight(self, row: int, place: int) -> tuple[bool, float]:
        return self._facts.features[place].is_category, abs(float(self._facts.effects[row, place]))

    def _activities(self, row: int) -> list[tuple[float, str]]:
        counts, weights = self._new[row].tolist(), self._weights[row].tolist()
        new = [
            (weight, count, kind) for weight, count, kind in zip(weights, counts, self._kinds, strict=True) if count > 0
        ]
        if not new:
            return []
        new.sort(key=lambda one: (-one[0], -one[1], one[2]))
        told = ", ".join(f"{count:.0f} × {kind}" for _, count, kind in new[:SHOWN])
        more = sum(count for _, count, _ in new[SHOWN:])
        weight = float(np.abs(self._facts.effects[row, self._behaviour]).sum())
        return [(weight, f"new: {told}" + (f" and {more:.0f} × other" if more else ""))]


def _columns_of_kinds(features: Sequence[Feature], kinds: Sequence[str]) -> dict[str, tuple[list[int], int]]:
    """Return, by kind of activity that is counted, the columns about it and the one that counts it farthest back."""
    by_length = sorted(kinds, key=len, reverse=True)
    columns: dict[str, list[int]] = {}
    best: dict[str, tuple[float, int]] = {}
    for place, feature in enumerate(features):
        rest = feature.name.removeprefix("days_since_")
        kind = next((one for one in by_length if rest == one or rest.startswith(f"{one}_")), None)
        if kind is None or not _is_behaviour(feature) or "{kind}" not in entry_of(feature.name).name:
            continue
        columns.setdefault(kind, []).append(place)
        ending = rest.removeprefix(f"{kind}_")
        reach = np.inf if ending == "total" else float(ending[:-1]) if ending[:-1].replace(".", "").isdigit() else 0.0
        if reach > best.get(kind, (0.0, 0))[0]:
            best[kind] = (reach, place)
    return {kind: (columns[kind], place) for kind, (_, place) in best.items()}


def _is_behaviour(feature: Feature) -> bool:
    return not feature.name.startswith(RULE) and not _BEHAVIOUR.isdisjoint(entry_of(feature.name).needs)
