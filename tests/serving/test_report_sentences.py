"""Behaviour of serving.report_sentences: the words follow the numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serving.report_changes import age_of
from serving.report_drivers import fact_sentences, family_sentences, since_sentence
from serving.report_language import language
from serving.report_reach import (
    capacity_sentence,
    capacity_share,
    capture_sentence,
    held_by,
    reach_sentence,
    sixty_sentence,
)
from serving.report_sentences import (
    compared,
    compared_in_words,
    headline,
    null_sentence,
    predicted_and_observed,
    reliability_sentence,
    stage_sentence,
)

EN = language("en")

UNKNOWN = {"value": None, "low": None, "high": None}


def plain(sentence: str) -> str:
    return sentence.replace("\xa0", " ")


def compare(value: float, low: float, high: float) -> str:
    difference = {"value": value, "low": low, "high": high}
    return plain(
        compared(
            EN,
            difference,
            model=0.3,
            baseline=0.4,
            name="the rules",
            yardstick=False,
            rows=4200,
            objects=1400,
            question="contacts",
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
    assert compared_in_words(EN, {"value": 0.0, "low": low, "high": high}, higher_is_better=higher_is_better) == words


@pytest.mark.parametrize("published", ["model", "rules", "stage_rate", "base_rate", "none"])
def test_an_untested_answer_never_claims_a_test(published: str) -> None:
    assert "tested beats" not in headline(EN, "deals", published, tested=False)
    assert not headline(EN, "deals", published, tested=False).startswith("Yes")


def test_the_list_is_told_in_wins_reached() -> None:
    gains = [{"share": step / 20, "captured": min(1.0, step / 10)} for step in range(1, 21)]

    assert plain(capture_sentence(EN, "the model", {"value": 0.63, "low": 0.58, "high": 0.68})) == (
        "By the model, the top 20 % of the list holds 63 % of the wins [95 %: 58–68 %]."
    )
    assert plain(reach_sentence(EN, gains, "the model")) == (
        "By the model, four of five wins lie in the first 40 % of the list."
    )
    assert "not known: no win in the test" in capture_sentence(EN, "the model", UNKNOWN)
    assert reach_sentence(EN, [{"share": 0.5, "captured": None}], "the model") == ""


def test_thirty_percent_is_answered_by_the_nearest_group() -> None:
    bins = [
        {"predicted": 0.1, "observed": 0.1, "low": 0.0, "high": 0.2, "rows": 10},
        {"predicted": 0.31, "observed": 0.29, "low": 0.27, "high": 0.33, "rows": 420},
    ]

    assert plain(reliability_sentence(EN, bins)) == (
        "Here: where it said 31 % on average, 29 % were won (95 %: 27–33 %; 420 rows)."
    )


def test_a_calibration_error_is_judged_by_its_null_band() -> None:
    assert "so this is within what chance explains" in null_sentence(EN, "ECE", 0.012, 0.015)
    assert "so this is more than chance explains" in null_sentence(EN, "ECE", 0.02, 0.015)
    assert "not available" in null_sentence(EN, "ECE", None, 0.015)
    assert "more than chance explains, yet within the small margin" in null_sentence(
        EN, "ICI", 0.02, 0.015, passed=True
    )
    assert "margin" not in null_sentence(EN, "ICI", 0.01, 0.015, passed=True)


def test_predicted_wins_stand_beside_those_that_came() -> None:
    assert predicted_and_observed(EN, {"value": 1.03, "low": 0.95, "high": 1.12}, label="the model") == (
        "For every 100 wins that came, the model had predicted 103 (95 % interval 95 to 112)."
    )
    assert "no win in the test" in predicted_and_observed(EN, UNKNOWN, label="the model")


def test_the_stage_with_the_widest_gap_is_named() -> None:
    stages: list[dict[str, Any]] = [
        {"stage": "new", "manual": 0.1, "observed": 0.12},
        {"stage": "offer", "manual": 0.6, "observed": 0.38},
        {"stage": "lost track", "manual": None, "observed": 0.5},
    ]

    assert plain(stage_sentence(EN, stages)) == (
        "Here the largest gap is at “offer”: set by hand to 60 %, observed 38 %; "
        "the hand-set value is 22.0 pp too high."
    )
    assert "within one percentage point" in stage_sentence(EN, [{"stage": "new", "manual": 0.1, "observed": 0.1}])
    assert "nothing can be compared" in stage_sentence(EN, stages[2:])


def fact(**changed: Any) -> dict[str, Any]:
    bins = [{"label": "0", "effect": -0.031}, {"label": "2+", "effect": 0.083}]
    return {"bins": bins, "direction": "up", "agree": 5, "refits": 5, "together": []} | changed


def test_a_fact_is_told_by_its_direction_its_ends_and_how_sure_that_is() -> None:
    assert [plain(told) for told in fact_sentences(EN, fact())] == [
        "The higher, the likelier. Highest at “2+” (+8.3 pp), lowest at “0” (−3.1 pp). All 5 refits agree on this."
    ]
    assert "4 of 5 refits agree on this." in fact_sentences(EN, fact(agree=4))[0]


def test_a_direction_that_refits_do_not_share_is_not_told_as_one() -> None:
    (told,) = fact_sentences(EN, fact(direction="unclear", agree=3))

    assert told.startswith("Refits on redrawn data do not agree which way it pulls")
    assert "likelier" not in told
    assert "refits agree" not in told


def test_a_fact_without_effect_makes_no_difference() -> None:
    nothing = fact(bins=[{"label": "0", "effect": 0.0}, {"label": "1", "effect": 0.0}])

    assert fact_sentences(EN, nothing) == ["It makes no visible difference."]


def test_facts_that_go_together_are_named_and_the_rest_counted() -> None:
    many = [{"words": f"fact {letter}"} for letter in "abcdef"]

    _, together = fact_sentences(EN, fact(together=many))

    assert together == (
        "Goes together with: “fact a”, “fact b”, “fact c”, “fact d”, and 2 more; the picture shows them as one."
    )


def family(words: str, size: float, **more: Any) -> dict[str, Any]:
    return {"family": words, "words": words, "mean_abs_effect": size, **more}


def family_told(shown: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    return plain(" ".join(family_sentences(EN, shown, others, "deals", population=None)))


def test_families_not_drawn_are_bounded_from_above() -> None:
    one = family_told([family("a", 0.1)], [family("b", 0.0004)])
    many = family_told([family("a", 0.1)], [family(word, 0.0009) for word in "bcde"])

    assert one.endswith("Not drawn: “b”, which moves it by less than 0.05 pp.")
    assert many.endswith("Not drawn: 4 further groups, which each move it by less than 0.1 pp.")
    assert "Not drawn" not in family_told([family("a", 0.1)], [])


def test_the_order_of_families_is_told_with_its_range_and_how_often_refits_share_it() -> None:
    sure = family("a", 0.1, low=0.08, high=0.12, refits=5, in_top_three=5)

    assert family_told([sure, family("b", 0.05)], []) == (
        "Here “a” matters most: it moves a deal’s probability by 10.0 pp on average, up or down (95 %: 8.0 pp to 12.0 "
        "pp). After it: “b” (5.0 pp). In 5 of 5 refits on redrawn data the first stays among the three largest, so "
        "this "
        "order is not one of chance."
    )
    assert "do not build on this order" in family_told([sure | {"in_top_three": 2}], [])


def test_only_a_change_beyond_both_ranges_is_told_as_one() -> None:
    now = [family("a", 0.1, low=0.08, high=0.12), family("b", 0.05, low=0.04, high=0.06)]
    then = {"trained_as_of": "2026-02-01T00:00:00+00:00", "families": [family("a", 0.09, low=0.07, high=0.11)]}

    assert since_sentence(EN, now, None) == "There is no earlier batch of another model to compare with."
    assert since_sentence(EN, now, then) == (
        "Since the model of 1 February 2026 no group of facts has changed by more than redrawing the data explains."
    )
    moved = then | {"families": [family("b", 0.02, low=0.01, high=0.03), *then["families"]]}
    assert plain(since_sentence(EN, now, moved)) == (
        "Most changed since the model of 1 February 2026: “b”, from 2.0 pp to 5.0 pp, which is more than redrawing the "
        "data explains."
    )


def test_the_teams_capacity_is_told_as_calls_a_month_and_wins_reached() -> None:
    """100 calls a week are 434.8 a month, a tenth of 4,348 contacts; half of the wins lie in the first tenth."""
    gains = [{"share": 0.05, "captured": 0.3}, {"share": 0.1, "captured": 0.5}, {"share": 1.0, "captured": 1.0}]

    told = plain(capacity_sentence(EN, calls_a_week=100, total=4348, gains=gains))

    assert capacity_share(100, total=4348) == pytest.approx(0.1, abs=1e-4)
    assert told == (
        "Your team calls 100 a week, so about 435 a month: the first 10 % of today’s list of 4,348 contacts. In the "
        "test "
        "that part of the list held 50 % of the wins; a random list would have held 10 %."
    )
    assert "gets through the whole list" in capacity_sentence(EN, calls_a_week=100, total=200, gains=gains)
    assert "not configured (calls_a_week)" in capacity_sentence(EN, calls_a_week=None, total=200, gains=gains)


def test_what_lies_between_two_measured_shares_is_read_off_a_straight_line() -> None:
    gains = [{"share": 0.05, "captured": 0.4}, {"share": 0.1, "captured": 0.5}]

    assert held_by(gains, 0.025) == pytest.approx(0.2)
    assert held_by(gains, 0.075) == pytest.approx(0.45)
    assert held_by([{"share": 0.5, "captured": None}], 0.1) is None
    assert held_by([], 0.1) is None


def test_how_many_hold_sixty_percent_of_the_wins_is_told_in_contacts_of_today() -> None:
    estimate = {"value": 0.045, "low": 0.04, "high": 0.0501}

    told = sixty_sentence(EN, estimate, total=1000, question="contacts", why_not="")

    assert plain(told) == (
        "To reach 60 % of the wins, work through the first 4.5 % of the list: 45 of today’s 1,000 contacts (95 %: 40 "
        "to "
        "51)."
    )
    unknown = sixty_sentence(EN, UNKNOWN, total=1000, question="contacts", why_not="")
    assert unknown == "How many to work through for 60 % of the wins is not known: no list could be tested."


AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


def age(**changed: Any) -> tuple[str, str]:
    """What must not be overlooked, and what else is said of the age of data and model."""
    given: dict[str, Any] = {
        "as_of": AS_OF,
        "scored_at": AS_OF + timedelta(hours=5),
        "newest_fact": AS_OF - timedelta(hours=3),
        "models": {"contacts": AS_OF - timedelta(days=9)},
        "stale_after_hours": 36.0,
        "retrain_after_days": 30.0,
    }
    found = age_of(EN, **(given | changed))
    return " ".join(found.warnings), " ".join(found.told)


def test_fresh_data_and_a_fresh_model_are_told_with_their_age_and_until_when() -> None:
    assert age() == (
        "",
        "This tells what was known on 1 March 2026, 00:00 UTC; it was scored 1 March 2026, 05:00 UTC, 5 hours later. "
        "The newest fact in the data is of 28 February 2026, 21:00 UTC. Treat it as stale from 2 March 2026, 12:00 "
        "UTC on; "
        "by then there should be a newer report. The model for contacts was trained on what was known on 20 February "
        "2026, "
        "9 days before.",
    )


def test_stale_data_is_told_first_and_the_list_not_recommended() -> None:
    warned, told = age(scored_at=AS_OF + timedelta(days=4))

    assert warned == (
        "Stale: the data was already 4 days old when it was scored, and more than 36 hours is too old. Do not call by "
        "this "
        "list today; run again on fresh data."
    )
    assert "Treat it as stale" not in told


def test_a_source_that_fell_silent_is_told() -> None:
    warned, _ = age(newest_fact=AS_OF - timedelta(days=12))

    assert warned.startswith("The newest fact in the data is of 17 February 2026, 00:00 UTC, 12 days before that day")


def test_a_model_that_should_have_been_trained_again_is_told() -> None:
    warned, _ = age(models={"deals": AS_OF - timedelta(days=45)})

    assert warned == (
        "The model for deals is old: it was trained on what was known on 15 January 2026, 45 days before, and a new "
        "training was due after 30 days."
    )


def test_an_invented_history_does_not_age() -> None:
    warned, told = age(scored_at=AS_OF + timedelta(days=400), stale_after_hours=None)

    assert warned == ""
    assert "The history is invented and ends on that day" in told
