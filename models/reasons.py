"""Reasons as they are published: each row's families by size, with the features that moved most, as JSON.

What to say is found for all rows at once by a compiled kernel; each phrase is made once, and Arrow puts them together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit, prange

from features.catalogue import FAMILY_WORDS, Feature
from models.boosting import FloatArray
from models.property_tests import BoolArray
from models.trees import Int64Array

Compared = Callable[[int, float], str]

SHOWN_FEATURES: Final = 3
OTHER: Final = "other"
_UNITS: Final = 1e12
"""Effects are rounded to one part of this."""
_NOISE: Final = 5e-12
_CHUNK_ROWS: Final = 10_000
_MOST_PHRASES: Final = 1_000_000
_TEXT: Final = pa.string()


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
    """The pieces that texts are put together from, each made once, and Arrow to put many together at a time."""

    def __init__(self, contract: Sequence[Feature], families: Sequence[str], compared: Compared | None) -> None:
        self._contract = contract
        self._compared = compared
        self._heads = pa.array([f'{{"family":{_json(name)},"effect":' for name in families], _TEXT)
        self._words = pa.array([f',"words":{_json(FAMILY_WORDS[name])[:-1]}' for name in families], _TEXT)
        self._known: dict[tuple[int, float], tuple[str, str]] = {}
        self._spoken = [
            (_json(one.name), _json(one.words)[1:-1], "" if one.is_category else self._beside(column, 0.0))
            for column, one in enumerate(contract)
        ]
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
        members = np.take_along_axis(members, order[:, :, None], axis=1)
        parts = np.take_along_axis(parts, order[:, :, None], axis=1)
        totals, rest = (np.take_along_axis(numbers, order, axis=1) for numbers in (totals, rest))
        code, starts, leads = self._coded(members, values)
        entries: list[Any] = []
        for rank in range(order.shape[1]):
            own = members[:, rank]
            features = [
                self._feature(starts, code[:, rank, shown], parts[:, rank, shown], own[:, shown] >= 0, after=shown > 0)
                for shown in range(SHOWN_FEATURES)
            ]
            others = self._after(self._other, _numbers(rest[:, rank]), "}", where=rest[:, rank] != 0.0)
            led = own[:, 0] >= 0
            lead = _where(led, pc.binary_join_element_wise(" (", leads.take(pa.array(code[:, rank, 0])), ")", ""))
            comma = _where(led & (rest[:, rank] != 0.0), ",")
            entries += [
                "[" if rank == 0 else ",",
                self._heads.take(pa.array(order[:, rank])),
                _numbers(totals[:, rank]),
                self._words.take(pa.array(order[:, rank])),
                lead,
                '","features":[',
                *features,
                comma,
                others,
                "]}",
            ]
        written: list[str] = pc.binary_join_element_wise(*entries, "]", "").to_pylist()
        return written

    def _feature(self, starts: Any, code: Int64Array, effect: FloatArray, there: BoolArray, *, after: bool) -> Any:
        text = pc.binary_join_element_wise("," if after else "", starts.take(pa.array(code)), _numbers(effect), "}", "")
        return _where(there, text)

    def _after(self, *pieces: Any, where: BoolArray) -> Any:
        return _where(where, pc.binary_join_element_wise(*pieces, ""))

    def _coded(self, members: Int64Array, values: FloatArray) -> tuple[Int64Array, Any, Any]:
        """Return which phrase stands in each place (0 where none does), and the phrases: beginnings and leads."""
        there = members >= 0
        columns = members[there]
        own = values[np.arange(len(values))[:, None, None], members][there]
        number, distinct = pd.factorize(own)
        pair, pairs = pd.factorize(columns * (len(distinct) + 1) + number + 1)
        if len(self._known) > _MOST_PHRASES:
            self._known.clear()
        starts, leads = [], []
        for column, place in zip(
            (pairs // (len(distinct) + 1)).tolist(), (pairs % (len(distinct) + 1)).tolist(), strict=True
        ):
            if place == 0:
                start, lead = self._missing[column]
            else:
                key = (column, float(distinct[place - 1]))
                phrase = self._known.get(key)
                if phrase is None:
                    phrase = self._known[key] = self._phrase(*key)
                start, lead = phrase
            starts.append(start)
            leads.append(lead)
        code = np.zeros(members.shape, dtype=np.int64)
        code[there] = pair
        return code, pa.array(starts or [""], _TEXT), pa.array(leads or [""], _TEXT)

    def _phrase(self, column: int, value: float) -> tuple[str, str]:
        """Return how a feature's text begins, and the words for a family that it leads."""
        feature = self._contract[column]
        name, words, beside = self._spoken[column]
        if feature.is_category or not np.isfinite(value):
            # Only these hold words of the data, and of a category the comparison hangs on the value.
            beside = self._beside(column, value)
            told, plain = _json(feature.format(value))[1:-1], _json(_plain(value, feature))
        else:
            told, plain = feature.format(value), repr(round(value, 6) + 0.0)
        said = f"{words}: {told}"
        return f'{{"feature":{name},"value":{plain},"words":"{said}","effect":', said + beside

    def _beside(self, column: int, value: float) -> str:
        compared = "" if self._compared is None else self._compared(column, value)
        return f"; {_json(compared)[1:-1]}" if compared else ""


def _numbers(values: FloatArray) -> Any:
    """Write numbers as the shortest text that reads back as them."""
    return pc.cast(pa.array(np.ascontiguousarray(values)), _TEXT)


def _where(flags: BoolArray, text: Any) -> Any:
    return pc.if_else(pa.array(flags), text, "")


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Half of a surrogate pair is no UTF-8, and is written as JSON can write it.
    return text if text.isascii() or _is_utf8(text) else json.dumps(value, separators=(",", ":"), allow_nan=False)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
