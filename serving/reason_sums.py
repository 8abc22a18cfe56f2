"""Whether the reasons of many rows keep the contract, by a compiled reader of the one form in which we write them.

It says yes only where it is sure. A text in another form of JSON, or one that breaks the contract, is left to be looked
at with a full reader, which costs ten times as much and says what is wrong.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit

from serving.arrow_text import arrow_text, text_bytes
from serving.contract_json import TOLERANCE

_FAMILY: Final = np.frombuffer(b'{"family":', dtype=np.uint8)
_EFFECT: Final = np.frombuffer(b',"effect":', dtype=np.uint8)
_WORDS: Final = np.frombuffer(b',"words":', dtype=np.uint8)
_FEATURES: Final = np.frombuffer(b',"features":[', dtype=np.uint8)
_FEATURE: Final = np.frombuffer(b'{"feature":', dtype=np.uint8)
_VALUE: Final = np.frombuffer(b',"value":', dtype=np.uint8)
_NULL: Final = np.frombuffer(b"null", dtype=np.uint8)
_TRUE: Final = np.frombuffer(b"true", dtype=np.uint8)
_FALSE: Final = np.frombuffer(b"false", dtype=np.uint8)
_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_OPEN: Final = ord("[")
_CLOSE: Final = ord("]")
_END: Final = ord("}")
_BACKSLASH: Final = ord("\\")
_ESCAPES: Final = np.frombuffer(b'"\\/bfnrt', dtype=np.uint8)
_MOST_DIGITS: Final = 18


def surely_add_up(texts: pd.Series[str], *, probability: pd.Series[float], base_rate: pd.Series[float]) -> Any:
    """Return which of these texts are surely reasons as the contract has them, sorted and with all their sums right."""
    wanted, begun = probability.to_numpy(dtype="float64"), base_rate.to_numpy(dtype="float64")
    sure, row = [], 0
    for part in arrow_text(texts):
        offsets, data = text_bytes(part)
        rows = slice(row, row + len(part))
        sure.append(_hold(data, offsets, wanted[rows], begun[rows]))
        row += len(part)
    return np.concatenate(sure)


@njit(cache=True, nogil=True)
def _hold(data, offsets, probability, base_rate):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Look at each text."""
    rows = offsets.shape[0] - 1
    sure = np.zeros(rows, dtype=np.bool_)
    for row in range(rows):
        total, place = _families(data, offsets[row], offsets[row + 1])
        if place != offsets[row + 1]:
            continue
        if np.isnan(probability[row]):
            sure[row] = offsets[row + 1] - offsets[row] == 2
        else:
            sure[row] = abs(base_rate[row] + total - probability[row]) <= TOLERANCE
    return sure


@njit(cache=True, nogil=True)
def _families(data, at, end):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Read a list of families; return the sum of their effects and the place after it, -1 where in doubt."""
    if at >= end or data[at] != _OPEN:
        return 0.0, -1
    at += 1
    if at < end and data[at] == _CLOSE:
        return 0.0, at + 1
    total, largest = 0.0, np.inf
    while True:
        at = _text(data, _word(data, at, end, _FAMILY), end)
        effect, at = _number(data, _word(data, at, end, _EFFECT), end)
        at = _text(data, _word(data, at, end, _WORDS), end)
        within, at = _parts(data, _word(data, at, end, _FEATURES), end)
        if at < 0 or abs(effect) > largest or not abs(within - effect) <= TOLERANCE:
            return 0.0, -1
        total += effect
        largest = abs(effect)
        if at + 1 >= end or data[at] != _END:
            return 0.0, -1
        if data[at + 1] == _CLOSE:
            return total, at + 2
        if data[at + 1] != _COMMA:
            return 0.0, -1
        at += 2


@njit(cache=True, nogil=True)
def _parts(data, at, end):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Read a family's features; return the sum of their effects and the place after the list."""
    if at < 0 or at >= end:
        return 0.0, -1
    if data[at] == _CLOSE:
        return 0.0, at + 1
    total = 0.0
    while True:
        at = _text(data, _word(data, at, end, _FEATURE), end)
        at = _value(data, _word(data, at, end, _VALUE), end)
        at = _text(data, _word(data, at, end, _WORDS), end)
        effect, at = _number(data, _word(data, at, end, _EFFECT), end)
        total += effect
        if at < 0 or at + 1 >= end or data[at] != _END:
            return 0.0, -1
        if data[at + 1] == _CLOSE:
            return total, at + 2
        if data[at + 1] != _COMMA:
            return 0.0, -1
        at += 2


@njit(cache=True, nogil=True)
def _word(data, at, end, word):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Return the place after a word that must stand here."""
    if at < 0 or at + word.shape[0] > end:
        return -1
    for place in range(word.shape[0]):
        if data[at + place] != word[place]:
            return -1
    return at + word.shape[0]


@njit(cache=True, nogil=True)
def _text(data, at, end):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Return the place after a text in quotation marks; one with a code point in digits is in doubt."""
    if at < 0 or at >= end or data[at] != _QUOTE:
        return -1
    at += 1
    while at < end:
        byte = data[at]
        if byte == _QUOTE:
            return at + 1
        if byte < 32:
            return -1
        if byte == _BACKSLASH:
            at += 1
            known = False
            for place in range(_ESCAPES.shape[0]):
                known |= at < end and data[at] == _ESCAPES[place]
            if not known:
                return -1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _value(data, at, end):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Return the place after a text, a number, or a word of JSON."""
    if at < 0 or at >= end:
        return -1
    first = data[at]
    if first == _QUOTE:
        return _text(data, at, end)
    if first == _NULL[0]:
        return _word(data, at, end, _NULL)
    if first == _TRUE[0]:
        return _word(data, at, end, _TRUE)
    if first == _FALSE[0]:
        return _word(data, at, end, _FALSE)
    return _number(data, at, end)[1]


@njit(cache=True, nogil=True)
def _number(data, at, end):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Read a number as JSON has it, exactly to its last digits but one; return it and the place after it."""
    if at < 0 or at >= end:
        return 0.0, -1
    sign = 1.0
    if data[at] == ord("-"):
        sign, at = -1.0, at + 1
    begun, mantissa, exponent, digits = at, 0.0, 0, 0
    while at < end and 48 <= data[at] <= 57:
        if digits < _MOST_DIGITS:
            mantissa, digits = mantissa * 10.0 + (data[at] - 48), digits + (mantissa > 0.0 or data[at] > 48)
        else:
            exponent += 1
        at += 1
    if at == begun or (data[begun] == 48 and at > begun + 1):
        return 0.0, -1
    if at < end and data[at] == ord("."):
        at, begun = at + 1, at + 1
        while at < end and 48 <= data[at] <= 57:
            if digits < _MOST_DIGITS:
                mantissa, digits = mantissa * 10.0 + (data[at] - 48), digits + (mantissa > 0.0 or data[at] > 48)
                exponent -= 1
            at += 1
        if at == begun:
            return 0.0, -1
    if at < end and (data[at] == ord("e") or data[at] == ord("E")):
        at += 1
        direction = 1
        if at < end and (data[at] == ord("-") or data[at] == ord("+")):
            direction, at = (-1 if data[at] == ord("-") else 1), at + 1
        begun, told = at, 0
        while at < end and 48 <= data[at] <= 57 and at - begun < 4:
            told, at = told * 10 + (data[at] - 48), at + 1
        if at == begun or (at < end and 48 <= data[at] <= 57):
            return 0.0, -1
        exponent += direction * told
    return sign * mantissa * 10.0**exponent, at
