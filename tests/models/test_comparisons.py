"""What a value is compared with: worked out from a dozen rows."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import Feature, Question
from models.comparisons import (
    LEAST_ROWS,
    Comparison,
    compare_criteria,
    compare_features,
    criterion_words,
    feature_words,
)
from models.rules.replay import LogLine, Points

PAGES = Feature(name="pages_14d", family="their_activity", unit="count", words="pages in the last 14 days")
SILENCE = Feature(name="days_since_call", family="recency", unit="days", words="days since the last call")
SOURCE = Feature(name="source", family="profile", unit="category", words="source", levels=("fair", "web", "rare"))
NONE = float("nan")
WON = np.array([1.0] * 10 + [0.0] * 20)


def described(feature: Feature, won: list[float], others: list[float]) -> Comparison:
    """Repeat what the winners and the others have until there are enough of them."""
    values = np.array([*np.resize(won, 10), *np.resize(others, 20)])[:, None]
    (found,) = compare_features([feature], values=values, y_obs=WON, weight=np.ones(30))
    return found


def test_counts_are_compared_by_their_mean_since_most_are_zero() -> None:
    found = described(PAGES, [3.0, 4.0], [0.0, 0.0, 0.0, 2.0])

    assert found == Comparison(won=(3.5,), others=(0.5,))
    assert feature_words(PAGES, found, 4.0, question="contacts") == (
        "on average 3.5 among contacts who bought, 0.5 among others"
    )


def test_days_are_compared_by_their_median_and_by_what_most_lack() -> None:
    # Of the others six in ten were never called.
    found = described(SILENCE, [1.0, 2.0, 900.0, NONE, 2.0], [NONE, NONE, NONE, 40.0, 30.0])

    assert found == Comparison(won=(2.0,), others=(None,))
    assert feature_words(SILENCE, found, NONE, question="deals") == (
        "typically 2.0 among deals that were won, never among others"
    )


def test_a_count_that_nobody_has_is_told_as_what_is_missing() -> None:
    found = described(PAGES, [1.0], [NONE])

    assert feature_words(PAGES, found, 1.0, question="contacts") == (
        "typically 1 among contacts who bought, unknown among others"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "so it was for 20% of contacts who bought, 75% of others"),
        (NONE, "so it was for 0% of contacts who bought, 25% of others"),
    ],
)
def test_categories_are_compared_by_how_many_had_the_same(value: float, words: str) -> None:
    found = described(SOURCE, [0.0, 0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, NONE])

    assert feature_words(SOURCE, found, value, question="contacts") == words


def test_rows_count_by_their_weight() -> None:
    values = np.array([1.0] * 5 + [9.0] * 5 + [0.0] * 20)[:, None]
    weight = np.array([3.0] * 5 + [1.0] * 25)

    pages, silence = (compare_features([one], values=values, y_obs=WON, weight=weight)[0] for one in (PAGES, SILENCE))

    assert (pages.won, silence.won) == ((3.0,), (1.0,))


def test_with_too_few_on_one_side_nothing_is_typical() -> None:
    few = np.where(np.arange(30) < LEAST_ROWS - 1, 1.0, 0.0)

    assert compare_features([PAGES], values=np.ones((30, 1)), y_obs=few, weight=np.ones(30)) == ()
    assert compare_features([PAGES], values=np.ones((30, 1)), y_obs=1.0 - few, weight=np.ones(30)) == ()


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_criteria_are_compared_where_they_could_be_judged(question: Question) -> None:
    # Held for four winners of eight and two others of twenty; the second could be judged for nobody who won.
    times = np.zeros((30, 2))
    times[[0, 1, 2, 3, 10, 11], 0] = [1.0, 0.4, 3.0, 1.0, 1.0, 1.0]
    judged = np.ones((30, 2), dtype=bool)
    judged[8:10, 0] = False
    judged[:10, 1] = False
    lines = (LogLine("Asked", "engagement", "activity"), LogLine("Toys", "fit", "property"))
    points = Points(np.zeros((30, 2), dtype=np.int64), lines, times, judged, ())

    asked, toys = compare_criteria(points, y_obs=WON)

    assert (asked.won, asked.others) == ((0.5,), (0.1,))
    who = {"contacts": "contacts who bought", "deals": "deals that were won"}[question]
    assert criterion_words(asked, question=question) == f"held for 50% of {who}, 10% of others"
    assert criterion_words(toys, question=question) == ""
