"""Columns of words as numbers: each word is written once, and a row says which one it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from features.compiled import fixed, in_threads, processors, ranges

TEXT: Final = pa.large_string()
_WORTH_A_THREAD: Final = 200_000
_PACKED: Final = 8
"""Texts of no more bytes than this are their own key."""
_BLOCK: Final = 32
_NOTHING: Final = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True)
class Words:
    """A column: the place of each row's word in ``listed``, -1 where it is missing."""

    places: NDArray[np.int32]
    listed: pa.Array

    def among(self, wanted: Sequence[str] | pa.Array) -> NDArray[np.int32]:
        """Return the place of each listed word among the wanted ones, -1 for others, and -1 once more at the end.

        Indexed by ``places`` it gives each row's place among the wanted words, missing ones included.

        >>> Words(np.array([1, -1, 0], dtype=np.int32), pa.array(["call", "mail"])).among(["mail"]).tolist()
        [-1, 0, -1]
        """
        known = wanted if isinstance(wanted, pa.Array | pa.ChunkedArray) else pa.array(wanted, type=TEXT)
        return np.append(places_among(self.listed, known), np.int32(-1))


def places_among(
    values: pa.Array | pa.ChunkedArray, wanted: pa.Array | pa.ChunkedArray, *, threads: int | None = None
) -> NDArray[np.int32]:
    """Return the place of each text among the wanted ones, of equals the first; -1 for a missing or another text.

    By default one thread for each processor looks for them.

    >>> places_among(pa.array(["b", None, "c"]), pa.array(["a", "b"])).tolist()
    [1, -1, -1]
    """
    words = _Text.of(wanted.combine_chunks() if isinstance(wanted, pa.ChunkedArray) else wanted)
    # At most half full: a word is then found after a step or two.
    slots = np.zeros((1 << max(4, int(2 * len(wanted)).bit_length()), 2), dtype=np.uint64)
    _fill(words.offsets, words.data, words.valid, words.first, len(wanted), slots)
    found = np.empty(len(values), dtype=np.int32)
    begin = 0
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        text, into = _Text.of(chunk), found[begin : begin + len(chunk)]

        def find(first: int, end: int, text: _Text = text, into: NDArray[np.int32] = into) -> None:
            _find(
                text.offsets,
                text.data,
                text.valid,
                text.first,
                first,
                end,
                words.offsets,
                words.data,
                words.first,
                slots,
                into,
            )

        in_threads(find, ranges(len(chunk), parts=1 if len(chunk) < _WORTH_A_THREAD else threads or processors()))
        begin += len(chunk)
    return found


@dataclass(frozen=True)
class _Text:
    """The buffers of an Arrow column of text; ``valid`` is empty where nothing is missing."""

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]
    valid: NDArray[np.uint8]
    first: int

    @classmethod
    def of(cls, column: Any) -> _Text:
        text = column if column.type == TEXT else column.cast(TEXT)
        valid, offsets, data = text.buffers()
        return cls(
            offsets=fixed(np.zeros(1, dtype=np.int64) if offsets is None else np.frombuffer(offsets, dtype=np.int64)),
            data=fixed(_NOTHING if data is None else np.frombuffer(data, dtype=np.uint8)),
            valid=fixed(_NOTHING if valid is None or not text.null_count else np.frombuffer(valid, dtype=np.uint8)),
            first=text.offset,
        )


# The helpers are put in place of their calls: a call with arrays costs as much as the look-up.
# A slot holds a text's key, and its length and place + 1 in one number: nearly always one look into memory is enough.
@njit(cache=True, nogil=True)
def _fill(offsets, data, valid, first, count, slots):  # type: ignore[no-untyped-def]  # compiled by Numba
    mask = np.uint64(slots.shape[0] - 1)
    for row in range(count):
        if _is_missing(valid, first + row):
            continue
        begin, end = np.int64(offsets[first + row]), np.int64(offsets[first + row + 1])
        key = _key(data, begin, end)
        place = _mixed(key) & mask
        while slots[place, 1] != 0 and not _is_word(slots, place, key, data, begin, end, offsets, data, first):
            place = (place + np.uint64(1)) & mask
        if slots[place, 1] == 0:
            slots[place, 0] = key
            slots[place, 1] = np.uint64(end - begin) << np.uint64(32) | np.uint64(row + 1)


@njit(cache=True, nogil=True)
def _find(  # type: ignore[no-untyped-def]  # compiled by Numba
    offsets, data, valid, first, begin_row, end_row, word_offsets, word_data, word_first, slots, found
):
    mask = np.uint64(slots.shape[0] - 1)
    keys = np.empty(_BLOCK, dtype=np.uint64)
    places = np.empty(_BLOCK, dtype=np.uint64)
    for block in range(begin_row, end_row, _BLOCK):
        count = min(_BLOCK, end_row - block)
        # Several looks into memory are under way at once if none has to be understood before the next.
        touched = np.uint64(0)
        for step in range(count):
            row = first + block + step
            keys[step] = _key(data, np.int64(offsets[row]), np.int64(offsets[row + 1]))
            places[step] = _mixed(keys[step]) & mask
            touched |= slots[places[step], 1]
        for step in range(count):
            row = first + block + step
            found[block + step] = -1
            if touched == 0 or _is_missing(valid, row):
                continue
            begin, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
            place = places[step]
            while slots[place, 1] != 0:
                if _is_word(slots, place, keys[step], data, begin, end, word_offsets, word_data, word_first):
                    found[block + step] = np.int64(slots[place, 1] & np.uint64(0xFFFFFFFF)) - 1
                    break
                place = (place + np.uint64(1)) & mask


@njit(inline="always")
def _is_missing(valid, place):  # type: ignore[no-untyped-def]  # compiled by Numba
    return valid.shape[0] > 0 and (valid[place >> 3] >> (place & 7)) & 1 == 0


@njit(inline="always")
def _is_word(slots, place, key, data, begin, end, word_offsets, word_data, word_first):  # type: ignore[no-untyped-def]
    if slots[place, 0] != key or np.int64(slots[place, 1] >> np.uint64(32)) != end - begin:
        return False
    if end - begin <= _PACKED:
        return True
    start = np.int64(word_offsets[np.int64(slots[place, 1] & np.uint64(0xFFFFFFFF)) - 1 + word_first])
    at = np.int64(0)
    while at + 8 < end - begin:
        if _eight(data, begin + at) != _eight(word_data, start + at):
            return False
        at += 8
    return _eight(data, end - 8) == _eight(word_data, start + end - begin - 8)


@njit(inline="always")
def _key(data, begin, end):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Return what a text is told by: all of it if it is short, or else a hash."""
    if end - begin < _PACKED:
        key = np.uint64(0)
        for step in range(end - begin):
            key = key << np.uint64(8) | np.uint64(data[begin + step])
        return key
    key = _eight(data, end - 8)
    at = begin
    while at + 8 < end:
        key = _mixed(key) ^ _eight(data, at)
        at += 8
    return key


@njit(inline="always")
def _eight(data, at):  # type: ignore[no-untyped-def]  # compiled by Numba
    # Written out, and with an index that cannot be negative, it becomes one load.
    i = np.uint64(at)
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[i + np.uint64(7)]) << np.uint64(56)
    )


@njit(inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]  # compiled by Numba
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
