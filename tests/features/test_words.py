"""Words as numbers: the same places that a plain search finds, whatever the words are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.words import TEXT, Words, places_among

texts = st.lists(st.none() | st.text("ab\u00e9", max_size=20), max_size=30)


@settings(max_examples=100, deadline=None)
@given(values=texts, wanted=texts, cut=st.integers(0, 3), kind=st.sampled_from([pa.string(), TEXT, pa.string_view()]))
def test_places_are_those_of_a_plain_search(
    values: list[str | None], wanted: list[str | None], cut: int, kind: pa.DataType
) -> None:
    # slices begin within their buffers, and a column may come in chunks
    column = pa.chunked_array([pa.array(values, kind).slice(cut), pa.array(values, kind)])
    known = pa.array([None, *wanted], kind).slice(1)

    found = places_among(column, known)

    plain = [-1 if one is None or one not in wanted else wanted.index(one) for one in [*values[cut:], *values]]
    assert found.tolist() == plain


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 40])
def test_words_that_differ_in_one_letter_are_different(length: int) -> None:
    words = ["x" * place + "y" + "x" * (length - place - 1) for place in range(length)]

    assert places_among(pa.array([*words, "x" * length]), pa.array(words)).tolist() == [*range(length), -1]


def test_many_rows_are_found_by_several_threads() -> None:
    numbers = np.random.default_rng(0).integers(0, 2_000, 500_000)
    words = pa.array([f"contact {number}" for number in range(1_000)])

    found = places_among(pa.array(np.char.add("contact ", numbers.astype(str))), words)

    np.testing.assert_array_equal(found, np.where(numbers < 1_000, numbers, -1))


def test_rows_take_the_places_of_their_words() -> None:
    words = Words(np.array([1, 0, -1, 2], dtype=np.int32), pa.array(["call", "mail", "fax"]))

    assert words.among(["mail", "call"])[words.places].tolist() == [0, 1, -1, -1]
