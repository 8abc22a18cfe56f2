"""Behaviour of serving.report_sentences: the words follow the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from serving.report_sentences import (
    age,
    capture_sentence,
    compared,
    compared_in_words,
    family_sentence,
    feature_sentence,
    headline,
    null_sentence,
    predicted_and_observed,
    reach_sentence,
    reliability_sentence,
    stage_sentence,
)

UNKNOWN = {"value": None, "low": None, "high": None}


def plain(sentence: str) -> str:
    return sentence.replace("\xa0", " ")


def compare(value: float, low: float, high: float) -> str:
    difference = {"value": value, "low": low, "high": high}
    return plain(
        compared(
            difference,
            model=0.3,
            baseline=0.4,
            name="the rules",
            yardstick=False,
            rows=4200,
            objects=1400,
            noun="contacts",
        )
    )


def test_a_clear_difference_is_told_with_its_size_and_interval() -> None:
    assert compare(-0.1, -0.15, -0.05) == (
        "On 4,200 later snapshots of 1,400 contacts, the error (log loss) of the model was 25 % lower than that of the "
        "rules, the best of everything it was compared with: 0.3000 against 0.4000; the difference lies between 0.0500 "
        "and 0.1500 (95 % interval)."
    )
    assert "was 25 % higher than" in compare(0.1, 0.05, 0.15)


def test_a_difference_that_may_be_chance_is_not_told_as_one() -> None:
    assert "cannot be told apart from that of the rules, the best of everything" in compare(-0.01, -0.03, 0.01)
    assert "it was compared with: 0.3000 against 0.4000" in compare(-0.01, -0.03, 0.01)
    assert "(−0.0300 to 0.0100) includes zero" in compare(-0.01, -0.03, 0.01)


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "words"),
    [
        (-0.2, -0.1, False, "model better"),
        (0.1, 0.2, False, "model worse"),
        (0.1, 0.2, True, "model better"),
        (-0.1, 0.1, False, "no clear difference"),
        (None, None, False, "not known"),
    ],
)
def test_the_better_one_is_named_only_if_the_interval_says_so(
    low: float | None, high: float | None, higher_is_better: bool, words: str
) -> None:
    assert compared_in_words({"value": 0.0, "low": low, "high": high}, higher_is_better=higher_is_better) == words


@pytest.mark.parametrize("published", ["model", "rules", "stage_rate", "base_rate", "none"])
def test_an_untested_answer_never_claims_a_test(published: str) -> None:
    assert "tested beats" not in headline("deals", published, tested=False)
    assert not headline("deals", published, tested=False).startswith("Yes")


def test_the_list_is_told_in_wins_reached() -> None:
    gains = [{"share": step / 20, "captured": min(1.0, step / 10)} for step in range(1, 21)]

    assert plain(capture_sentence("the model", {"value": 0.63, "low": 0.58, "high": 0.68})) == (
        "By the model, the top 20 % of the list holds 63 % of the wins [95 %: 58–68 %]."
    )
    assert plain(reach_sentence(gains, "the model")) == (
        "By the model, four of five wins lie in the first 40 % of the list."
    )
    assert "not known: no win in the test" in capture_sentence("the model", UNKNOWN)
    assert reach_sentence([{"share": 0.5, "captured": None}], "the model") == ""


def test_thirty_percent_is_answered_by_the_nearest_group() -> None:
    bins = [
        {"predicted": 0.1, "observed": 0.1, "low": 0.0, "high": 0.2, "rows": 10},
        {"predicted": 0.31, "observed": 0.29, "low": 0.27, "high": 0.33, "rows": 420},
    ]

    assert plain(reliability_sentence(bins)) == (
        "Here: where it said 31 % on average, 29 % were won (95 %: 27–33 %; 420 rows)."
    )


def test_a_calibration_error_is_judged_by_its_null_band() -> None:
    assert "so this is within what chance explains" in null_sentence("ECE", 0.012, 0.015)
    assert "so this is more than chance explains" in null_sentence("ECE", 0.02, 0.015)
    assert "not available" in null_sentence("ECE", None, 0.015)
    assert "more than chance explains, yet within the small margin" in null_sentence("ICI", 0.02, 0.015, passed=True)
    assert "margin" not in null_sentence("ICI", 0.01, 0.015, passed=True)


def test_predicted_wins_stand_beside_those_that_came() -> None:
    assert predicted_and_observed({"value": 1.03, "low": 0.95, "high": 1.12}, label="the model") == (
        "For every 100 wins that came, the model had predicted 103 (95 % interval 95 to 112)."
    )
    assert "no win in the test" in predicted_and_observed(UNKNOWN, label="the model")


def test_the_stage_with_the_widest_gap_is_named() -> None:
    stages: list[dict[str, Any]] = [
        {"stage": "new", "manual": 0.1, "observed": 0.12},
        {"stage": "offer", "manual": 0.6, "observed": 0.38},
        {"stage": "lost track", "manual": None, "observed": 0.5},
    ]

    assert plain(stage_sentence(stages)) == (
        "Here the largest gap is at “offer”: set by hand to 60 %, observed 38 %; "
        "the hand-set value is 22.0 pp too high."
    )
    assert "within one percentage point" in stage_sentence([{"stage": "new", "manual": 0.1, "observed": 0.1}])
    assert "nothing can be compared" in stage_sentence(stages[2:])


def test_a_feature_is_told_by_its_extremes_or_as_making_no_difference() -> None:
    bins = [{"label": "0", "effect": -0.031}, {"label": "2+", "effect": 0.083}]

    assert plain(feature_sentence(bins)) == "Highest at “2+” (+8.3 pp), lowest at “0” (−3.1 pp)."
    assert feature_sentence([{"label": "0", "effect": 0.0}, {"label": "1", "effect": 0.0}]) == (
        "Here it makes no visible difference."
    )


def test_the_age_of_the_data_is_told() -> None:
    assert age(0.0) == "right up to the scoring"
    assert age(9.0) == "9 days before the scoring"
    assert age(6018.0) == "16 years before the scoring"


def family(words: str, size: float) -> dict[str, Any]:
    return {"words": words, "mean_abs_effect": size}


def test_families_not_drawn_are_bounded_from_above() -> None:
    one = family_sentence([family("a", 0.1)], [family("b", 0.0004)], "deals")
    many = family_sentence([family("a", 0.1)], [family(word, 0.0009) for word in "bcde"], "deals")

    assert plain(one).endswith("Not drawn: “b”, which moves it by less than 0.05 pp.")
    assert plain(many).endswith("Not drawn: 4 further groups, which move it by less than 0.1 pp each.")
    assert "Not drawn" not in family_sentence([family("a", 0.1)], [], "deals")
