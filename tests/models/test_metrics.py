"""Behaviour of models.metrics."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from models.metrics import (
    ScoreOrder,
    auc,
    auc_within,
    brier,
    brier_skill,
    capture,
    lift,
    log_loss,
    pr_auc,
    predicted_over_observed,
)

# Four rows, best first: won, then a won and a lost one with equal scores, then a lost one.
WON = np.array([1, 1, 0, 0])
SCORE = np.array([0.9, 0.6, 0.6, 0.1])
WEIGHT = np.array([1.0, 2.0, 1.0, 1.0])


def random_rows(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    score = generator.random(500)
    won = (generator.random(500) < score**2).astype(float)
    return won, np.round(score, 1) * 0.98 + 0.01 if ties else score, generator.integers(0, 4, 500) + 0.5


def test_hand_worked_accuracy() -> None:
    assert log_loss(y_obs=WON, y_pred=SCORE) == pytest.approx(
        -(math.log(0.9) + math.log(0.6) + math.log(0.4) + math.log(0.9)) / 4
    )
    assert brier(y_obs=WON, y_pred=SCORE) == pytest.approx((0.01 + 0.16 + 0.36 + 0.01) / 4)
    assert brier_skill(y_obs=WON, y_pred=SCORE) == pytest.approx(1 - 0.135 / 0.25)
    assert predicted_over_observed(y_obs=WON, y_pred=SCORE) == pytest.approx(2.2 / 2)


def test_hand_worked_accuracy_with_weights() -> None:
    assert brier(y_obs=WON, y_pred=SCORE, weight=WEIGHT) == pytest.approx((0.01 + 2 * 0.16 + 0.36 + 0.01) / 5)
    assert brier_skill(y_obs=WON, y_pred=SCORE, weight=WEIGHT) == pytest.approx(1 - 0.14 / (0.6 * 0.4))
    assert predicted_over_observed(y_obs=WON, y_pred=SCORE, weight=WEIGHT) == pytest.approx(2.8 / 3)


def test_hand_worked_ranking() -> None:
    # Pairs: (.9,.6) 1, (.9,.1) 1, (.6,.6) a half, (.6,.1) 1. Precision at .9 is 1, at .6 it is 2 of 3.
    assert auc(y_obs=WON, y_pred=SCORE) == pytest.approx(3.5 / 4)
    assert pr_auc(y_obs=WON, y_pred=SCORE) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_hand_worked_ranking_with_weights() -> None:
    assert auc(y_obs=WON, y_pred=SCORE, weight=WEIGHT) == pytest.approx((1 + 1 + 2 * 0.5 + 2 * 1) / (3 * 2))
    assert pr_auc(y_obs=WON, y_pred=SCORE, weight=WEIGHT) == pytest.approx(1 / 3 * 1 + 2 / 3 * 3 / 4)


def test_pairs_count_only_inside_their_stratum() -> None:
    strata = np.array(["x", "y", "x", "y"])
    won = np.array([1, 0, 0, 1])
    score = np.array([0.9, 0.8, 0.5, 0.1])

    within = auc_within(y_obs=won, y_pred=score, strata=strata)

    # x: 1 of 1 pair in order, y: 0 of 1; over all rows it would be 2 of 4.
    assert within == pytest.approx(1 / 2)


def test_larger_strata_weigh_by_their_pairs() -> None:
    won, score, weight = random_rows(3, ties=True)
    strata = np.arange(500) % 3
    concordant = pairs = 0.0
    for stratum in range(3):
        inside = strata == stratum
        product = weight[inside & (won == 1)].sum() * weight[inside & (won == 0)].sum()
        concordant += product * reference.roc_auc_score(won[inside], score[inside], sample_weight=weight[inside])
        pairs += product

    within = auc_within(y_obs=won, y_pred=score, strata=strata, weight=weight)

    assert within == pytest.approx(concordant / pairs)


@pytest.mark.parametrize("share", [0.25, 0.4, 0.5, 0.75, 1.0])
def test_ties_at_the_edge_count_by_the_expectation_over_their_orders(share: float) -> None:
    held = []
    for first, second in itertools.permutations([1, 0]):
        best_first = np.array([1.0, first, second, 0.0])
        whole, part = divmod(4 * share, 1)
        held.append(best_first[: int(whole)].sum() + (part * best_first[int(whole)] if part else 0.0))

    captured = capture(y_obs=WON, y_pred=SCORE, share=share)

    assert captured == pytest.approx(np.mean(held) / 2)
    assert lift(y_obs=WON, y_pred=SCORE, share=share) == pytest.approx(captured / share)


def test_share_of_the_list_goes_by_weight() -> None:
    # Two fifths of the weight: the first row (1 of 3 positives' weight), then a third of the tie that holds 2.
    captured = capture(y_obs=WON, y_pred=SCORE, share=0.4, weight=WEIGHT)

    assert captured == pytest.approx((1 + 2 / 3) / 3)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(ties: bool, weighted: bool) -> None:
    won, score, weights = random_rows(1, ties=ties)
    weight = weights if weighted else None

    ours = {
        "log_loss": log_loss(y_obs=won, y_pred=score, weight=weight),
        "brier": brier(y_obs=won, y_pred=score, weight=weight),
        "auc": auc(y_obs=won, y_pred=score, weight=weight),
        "pr_auc": pr_auc(y_obs=won, y_pred=score, weight=weight),
    }

    assert ours == pytest.approx(
        {
            "log_loss": reference.log_loss(won, score, sample_weight=weight),
            "brier": reference.brier_score_loss(won, score, sample_weight=weight),
            "auc": reference.roc_auc_score(won, score, sample_weight=weight),
            "pr_auc": reference.average_precision_score(won, score, sample_weight=weight),
        },
        rel=1e-12,
    )


METRICS: list[Callable[..., float]] = [auc, pr_auc, brier_skill]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("outcome", [0.0, 1.0])
@pytest.mark.parametrize("weight", [None, np.array([0.1, 0.2, 0.3, 0.7])])
def test_one_class_only_is_undefined(metric: Callable[..., float], outcome: float, weight: np.ndarray | None) -> None:
    assert math.isnan(metric(y_obs=np.full(4, outcome), y_pred=SCORE, weight=weight))


def test_without_positives_shares_and_ratios_are_undefined() -> None:
    nobody = np.zeros(4)

    assert math.isnan(capture(y_obs=nobody, y_pred=SCORE, share=0.2))
    assert math.isnan(lift(y_obs=nobody, y_pred=SCORE, share=0.2))
    assert math.isnan(predicted_over_observed(y_obs=nobody, y_pred=SCORE))
    assert math.isnan(auc_within(y_obs=WON, y_pred=SCORE, strata=np.arange(4)))


def test_no_rows_are_undefined_for_every_metric() -> None:
    empty = np.array([])

    for metric in (log_loss, brier, brier_skill, auc, pr_auc, predicted_over_observed):
        assert math.isnan(metric(y_obs=empty, y_pred=empty))
    assert math.isnan(capture(y_obs=empty, y_pred=empty, share=0.1))
    assert math.isnan(auc_within(y_obs=empty, y_pred=empty, strata=empty))


def test_a_wrong_certainty_costs_much_and_not_infinitely() -> None:
    cost = log_loss(y_obs=np.array([1]), y_pred=np.array([0.0]))

    assert cost == pytest.approx(15 * math.log(10))


@given(rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_whole_weight_is_a_repeated_row(rows: list[tuple[int, int, int]]) -> None:
    won, score, times = (np.array(column) for column in zip(*rows, strict=True))
    repeated_won, repeated_score = np.repeat(won, times), np.repeat(score / 5, times)

    for metric in (auc, pr_auc, brier, brier_skill, log_loss):
        weighted = metric(y_obs=won, y_pred=score / 5, weight=times)
        assert weighted == pytest.approx(metric(y_obs=repeated_won, y_pred=repeated_score), nan_ok=True)
    assert capture(y_obs=won, y_pred=score / 5, share=0.3, weight=times) == pytest.approx(
        capture(y_obs=repeated_won, y_pred=repeated_score, share=0.3), nan_ok=True
    )


def test_many_weightings_at_once_equal_one_at_a_time() -> None:
    won, score, _ = random_rows(5, ties=True)
    weightings = np.random.default_rng(5).integers(0, 3, (4, 500)).astype(float)

    groups = ScoreOrder.build(y_obs=won, y_pred=score).weigh(weightings)

    for index, weight in enumerate(weightings):
        assert groups.auc()[index] == pytest.approx(auc(y_obs=won, y_pred=score, weight=weight))
        assert groups.average_precision()[index] == pytest.approx(pr_auc(y_obs=won, y_pred=score, weight=weight))
        assert groups.captured(np.array([0.2]))[index, 0] == pytest.approx(
            capture(y_obs=won, y_pred=score, share=0.2, weight=weight)
        )
