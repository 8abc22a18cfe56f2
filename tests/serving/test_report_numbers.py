"""Behaviour of serving.report_numbers: figures and texts as a reader sees them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from serving.report_numbers import (
    as_sentence,
    bin_label,
    count,
    day,
    inert,
    instant,
    number,
    number_range,
    percent,
    percent_range,
    points,
    span,
    typeset,
)


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0.0, "0 %"),
        (0.00001, "<0.01 %"),
        (0.0031, "0.31 %"),
        (0.031, "3.1 %"),
        (0.314, "31 %"),
        (0.994, "99.4 %"),
        (0.99999, "99.9 %"),
        (1.0, "100 %"),
        (None, "n/a"),
        (math.nan, "n/a"),
    ],
)
def test_a_share_has_the_decimals_its_size_needs(share: float | None, written: str) -> None:
    assert percent(share).replace("\xa0", " ") == written


def test_ranges_name_their_unit_once_and_one_value_only_once() -> None:
    assert percent_range(0.58, 0.68) == "58–68\xa0%"
    assert percent_range(0.2, 0.2) == "20\xa0%"
    assert percent_range(None, 0.2) == "n/a"
    assert number_range(0.1, 0.25, 2) == "0.10–0.25"
    assert number_range(-0.1, 0.25, 2) == "−0.10 to 0.25"
    assert number_range(0.1, math.nan) == "n/a"


def test_differences_carry_a_true_sign_and_zero_carries_none() -> None:
    assert [points(value) for value in (0.0314, -0.0314, 0.0004, 0.0)] == [
        "+3.1\xa0pp",
        "−3.1\xa0pp",
        "+0.04\xa0pp",
        "0.00\xa0pp",
    ]
    assert number(-0.00001, 3) == "0.000"
    assert number(-1234.5, 1) == "−1,234.5"
    assert number(None) == count(None) == points(None) == "n/a"


def test_dates_are_written_out_and_lengths_in_a_fitting_unit() -> None:
    assert day("2026-03-01T00:00:00+00:00") == "1 March 2026"
    assert day(None) == "n/a"
    assert instant(pd.Timestamp("2026-12-31T05:07:00Z")) == "31 December 2026, 05:07 UTC"
    assert [span(days) for days in (1 / 24, 1.5, 2.0)] == ["1 hour", "36 hours", "2 days"]


def test_text_from_the_data_is_cleaned_and_cut() -> None:
    assert inert("a\0b\x1b\u202ec\ud800") == "a�b��c�"
    assert inert("ask jane.doe+x@mail.example.org, please") == "ask [address removed], please"
    assert inert("\u05d0\u05d1 café 中文") == "\u05d0\u05d1 café 中文"
    assert inert("x" * 700) == "x" * 599 + "…"
    assert inert(17) == "17"


def test_texts_from_elsewhere_are_written_as_the_reports_own() -> None:
    assert typeset("log loss -0.1 on 2026-03-01, 60% of a-1") == "log loss −0.1 on 2026-03-01, 60\xa0% of a-1"
    assert as_sentence("it beats the rules") == "It beats the rules."
    assert as_sentence("Kept.") == "Kept."
    assert as_sentence("") == ""


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("1.00 to 2.50", "1 to 2.50"),
        ("0.00 to 0.00", "0"),
        ("-336 to 2.2", "−336 to 2.2"),
        ("0% to 20%", "0\xa0% to 20\xa0%"),
        ("5,023.50", "5,023.50"),
        ("plan 2.00", "plan 2.00"),
    ],
)
def test_a_bin_is_named_without_decimals_that_say_nothing(label: str, written: str) -> None:
    assert bin_label(label) == written


def test_an_interval_whose_ends_are_written_alike_is_one_number() -> None:
    assert number_range(0.5, 0.5) == "0.500"
