"""Reasons as they are published: each row's families by size, with the features that moved most, as JSON.

What to say is found for all rows at once by a compiled kernel; saying it is one look-up per phrase.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numba import njit, prange

from features.catalogue import FAMILY_WORDS, Feature
from models.boosting import FloatArray
from models.trees import Int64Array

Compared = Callable[[int, float], str]

SHOWN_FEATURES: Final = 3
OTHER: Final = "other"
_UNITS: Final = 1e12
"""Effects are rounded to one part of this."""
_NOISE: Final = 5e-12
_CHUNK_ROWS: Final = 10_000
_MOST_PHRASES: Final = 100_000


def write_reasons(
    *,
    effects: FloatArray,
    base_rate: float,
    probability: FloatArray,
    values: FloatArray,
    contract: Sequence[Feature],
    families: Sequence[str],
    family: Int64Array,
    compared: Compared | None = None,
) -> list[str]:
    """Return one JSON text for each row of ``effects`` (n, features).

    A family is told by its largest feature, with what ``compared`` says of a column and its value.

    Effects are rounded to 1e-12, and what rounding leaves goes to the largest family, so that base_rate plus the
    families' effects is the probability, and a family's features add up to the family. NaN and infinities are refused.
    """
    if not (np.isfinite(effects).all() and np.isfinite(probability).all() and np.isfinite(base_rate)):
        raise ValueError("effects, probabilities and the base rate must be finite; some are not")
    phrases = _Phrases(contract, families, compared)
    alphabetical = np.argsort(np.argsort(np.array(families, dtype=object))).astype(np.int64)
    written: list[str] = []
    for start in range(0, len(effects), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        ranked = _rank(np.ascontiguousarray(effects[rows]), family, alphabetical, base_rate, probability[rows])
        written += phrases.texts(*ranked, values=values[rows])
    return written


class _Phrases:
    """The pieces that texts are put together from, each made once."""

    def __init__(self, contract: Sequence[Feature], families: Sequence[str], compared: Compared | None) -> None:
        self._contract = contract
        self._compared = compared
        self._families = len(families)
        self._heads = [f'{{"family":{_json(name)},"effect":' for name in families]
        self._words = [f',"words":{_json(FAMILY_WORDS[name])[:-1]}' for name in families]
        self._known: list[dict[float, tuple[str, str]]] = [{} for _ in contract]
        self._missing = [self._phrase(column, np.nan) for column in range(len(contract))]
        self._other = '{"feature":' + _json(OTHER) + ',"value":null,"words":"everything else here","effect":'

    def texts(
        self,
        order: Int64Array,
        totals: FloatArray,
        members: Int64Array,
        parts: FloatArray,
        rest: FloatArray,
        *,
        values: FloatArray,
    ) -> list[str]:
        """Return each row's text."""
        # Flat lists, in the order of writing: nested ones cost more than all the writing.
        members = np.take_along_axis(members, order[:, :, None], axis=1)
        shown = members >= 0
        told, leads = self._features(
            members[shown].tolist(),
            values[np.arange(len(values))[:, None, None], members][shown].tolist(),
            np.take_along_axis(parts, order[:, :, None], axis=1)[shown].tolist(),
        )
        entries = []
        at = 0
        for place, total, count, left in zip(
            order.ravel().tolist(),
            np.take_along_axis(totals, order, axis=1).ravel().tolist(),
            shown.sum(axis=2).ravel().tolist(),
            np.take_along_axis(rest, order, axis=1).ravel().tolist(),
            strict=True,
        ):
            features = told[at : at + count]
            lead = f" ({leads[at]})" if count else ""
            if left:
                features.append(f"{self._other}{left!r}}}")
            at += count
            entries.append(
                f'{self._heads[place]}{total!r}{self._words[place]}{lead}","features":[{",".join(features)}]}}'
            )
        width = self._families
        return [f"[{','.join(entries[start : start + width])}]" for start in range(0, len(entries), width)]

    def _features(self, columns: list[int], values: list[float], effects: list[float]) -> tuple[list[str], list[str]]:
        """Return the features' texts and the words of each."""
        told, leads = [], []
        for column, value, effect in zip(columns, values, effects, strict=True):
            if value != value:
                start, words = self._missing[column]
            else:
                known = self._known[column]
                phrase = known.get(value)
                if phrase is None:
                    if len(known) >= _MOST_PHRASES:
                        known.clear()
                    phrase = known[value] = self._phrase(column, value)
                start, words = phrase
            told.append(f"{start}{effect!r}}}")
            leads.append(words)
        return told, leads

    def _phrase(self, column: int, value: float) -> tuple[str, str]:
        """Return how a feature's text begins, and the words for a family that it leads."""
        feature = self._contract[column]
        words = feature.describe(value)
        told = {"feature": feature.name, "value": _plain(value, feature), "words": words}
        beside = "" if self._compared is None else self._compared(column, value)
        return f'{_json(told)[:-1]},"effect":', _json(f"{words}; {beside}" if beside else words)[1:-1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: float, feature: Feature) -> float | str | None:
    if value != value:
        return None
    return feature.levels[int(value)] if feature.is_category else round(value, 6)


@njit(cache=True, parallel=True)
def _rank(effects, family, alphabetical, base_rate, probability):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Return the families' order and totals, each one's largest features with their effects, and what is left."""
    rows, columns = effects.shape
    families = alphabetical.shape[0]
    order = np.empty((rows, families), dtype=np.int64)
    totals = np.zeros((rows, families))
    members = np.full((rows, families, SHOWN_FEATURES), -1)
    parts = np.zeros((rows, families, SHOWN_FEATURES))
    rest = np.zeros((rows, families))
    for row in prange(rows):
        hidden = np.zeros(families, dtype=np.int64)
        whole = 0.0
        for column in range(columns):
            effect = effects[row, column]
            place = family[column]
            totals[row, place] += effect
            whole += effect
            if effect == 0.0:
                continue
            # Into the family's list by size; between equals the earlier column stands first.
            at = SHOWN_FEATURES
            while at > 0 and (members[row, place, at - 1] < 0 or abs(parts[row, place, at - 1]) < abs(effect)):
                at -= 1
            if members[row, place, SHOWN_FEATURES - 1] >= 0:
                hidden[place] += 1
            for later in range(SHOWN_FEATURES - 1, at, -1):
                members[row, place, later] = members[row, place, later - 1]
                parts[row, place, later] = parts[row, place, later - 1]
            if at < SHOWN_FEATURES:
                members[row, place, at] = column
                parts[row, place, at] = effect
        largest = np.argmax(np.abs(totals[row]))
        totals[row, largest] += probability[row] - base_rate - totals[row].sum()
        for place in range(families):
            totals[row, place] = np.rint(totals[row, place] * _UNITS) / _UNITS + 0.0
            left = totals[row, place]
            for shown in range(SHOWN_FEATURES):
                parts[row, place, shown] = np.rint(parts[row, place, shown] * _UNITS) / _UNITS + 0.0
                left -= parts[row, place, shown]
            if hidden[place] or abs(left) > _NOISE:
                rest[row, place] = np.rint(left * _UNITS) / _UNITS + 0.0
            # By size; between equals by name.
            at = place
            while at > 0 and (
                abs(totals[row, order[row, at - 1]]) < abs(totals[row, place])
                or (
                    abs(totals[row, order[row, at - 1]]) == abs(totals[row, place])
                    and alphabetical[order[row, at - 1]] > alphabetical[place]
                )
            ):
                order[row, at] = order[row, at - 1]
                at -= 1
            order[row, at] = place
    return order, totals, members, parts, rest
