"""The landmark model: which buckets a snapshot may teach from, and how hazards become a win curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.episodes import LOST, OPEN, WON
from models.boosting import BoosterSettings, FloatArray
from models.landmark import (
    Buckets,
    LandmarkModel,
    LandmarkSettings,
    WinCurve,
    accumulate,
    fit_landmark,
    landmark_rows,
    learn_buckets,
    with_bucket,
)
from tests.models.boosters import make_features

EDGES = (7.0, 14.0, 28.0)


def rows_of(*snapshots: tuple[int, float, float]) -> list[tuple[int, int, float]]:
    """Return (row, bucket, label) for snapshots given as (outcome, days to it, days known), buckets 7, 14, 28."""
    outcome, waited, known = zip(*snapshots, strict=True)
    row, bucket, label = landmark_rows(
        edges=np.array([EDGES] * len(snapshots)),
        outcome=np.array(outcome, dtype=np.int8),
        days_to_outcome=np.array(waited),
        days_known=np.array(known),
    )
    return list(zip(row.tolist(), bucket.tolist(), label.tolist(), strict=True))


def curve_of(hazards: list[list[list[float]]], *, edges: tuple[float, ...] = EDGES) -> WinCurve:
    won, lost = accumulate(np.array(hazards))
    return WinCurve(won=won, lost=lost, edges=np.array([edges] * len(hazards)))


def test_five_snapshots_teach_what_was_fully_seen() -> None:
    nan = float("nan")

    found = rows_of(
        (WON, 10.0, 100.0),
        (LOST, 7.0, 100.0),
        (OPEN, nan, 100.0),
        (OPEN, nan, 20.0),
        (WON, 16.0, 20.0),
    )

    assert found == [
        # Won on day 10: nothing in [0, 7), won in [7, 14), no longer at risk after that.
        (0, 0, 0.0), (0, 1, 1.0),
        # Lost on the border: a bucket holds its start and not its end, so the second bucket has it.
        (1, 0, 0.0), (1, 1, 2.0),
        # Still open after 100 days: nothing happened in any bucket.
        (2, 0, 0.0), (2, 1, 0.0), (2, 2, 0.0),
        # The cut-off on day 20 cuts through [14, 28), so that bucket teaches nothing ...
        (3, 0, 0.0), (3, 1, 0.0),
        # ... even where something was seen in its visible part.
        (4, 0, 0.0), (4, 1, 0.0),
    ]  # fmt: skip


def test_a_bucket_that_ends_at_the_cut_off_was_fully_seen() -> None:
    assert rows_of((WON, 13.9, 14.0)) == [(0, 0, 0.0), (0, 1, 1.0)]


def test_an_outcome_after_the_last_bucket_is_none_in_all() -> None:
    assert rows_of((WON, 28.0, 100.0)) == [(0, 0, 0.0), (0, 1, 0.0), (0, 2, 0.0)]


def test_hazards_become_a_curve() -> None:
    curve = curve_of([[[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]]])

    # Open at the starts: 1, .5, .3. Won: .3, + .5 x .4, + .3 x .5. Lost: .2, + 0, + .3 x .5.
    assert curve.won[0] == pytest.approx([0.3, 0.5, 0.65])
    assert curve.lost[0] == pytest.approx([0.2, 0.2, 0.35])


@given(
    st.lists(
        st.lists(st.tuples(*[st.floats(0.01, 1.0)] * 3), min_size=4, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_probabilities_add_up_to_one_at_every_date_and_winning_only_grows(
    raw: list[list[tuple[float, float, float]]],
) -> None:
    hazards = np.array(raw) / np.array(raw).sum(axis=2, keepdims=True)

    won, lost = accumulate(hazards)

    still_open = np.cumprod(hazards[:, :, 0], axis=1)
    assert won + lost + still_open == pytest.approx(np.ones(won.shape), abs=1e-12)
    assert np.all(np.diff(won, axis=1) >= 0)
    assert np.all(np.diff(lost, axis=1) >= 0)


def test_the_curve_is_linear_inside_a_bucket_and_flat_after_the_last() -> None:
    curve = curve_of([[[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]]])

    assert curve.won_within(0.0)[0] == 0.0
    assert curve.won_within(3.5)[0] == pytest.approx(0.15)
    assert curve.won_within(14.0)[0] == pytest.approx(0.5)
    assert curve.won_within(21.0)[0] == pytest.approx(0.575)
    assert curve.won_within(500.0)[0] == pytest.approx(0.65)


def test_quantiles_of_the_date_of_winning_are_in_order() -> None:
    curve = curve_of([[[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]], [[0.9, 0.1, 0.0]] * 3])

    early, middle, late = (curve.win_quantile_days(share) for share in (0.1, 0.5, 0.9))

    assert np.all(early <= middle)
    assert np.all(middle <= late)
    # Half of .65 is .325: .3 came by day 7, and the next .2 over the 7 days after it.
    assert middle[0] == pytest.approx(7 + 7 * 0.025 / 0.2)


def test_a_deal_that_cannot_be_won_has_a_curve_too() -> None:
    curve = curve_of([[[0.8, 0.0, 0.2]] * 3])

    assert curve.won[:, -1].tolist() == [0.0]
    assert np.isfinite(curve.win_quantile_days(0.5)).all()


def learn(
    pipeline: list[str], remaining: list[float], *, history_days: float = 1000.0, weight: FloatArray | None = None
) -> Buckets:
    return learn_buckets(
        pipeline=np.array(pipeline, dtype=object),
        remaining_days=np.array(remaining),
        weight=np.ones(len(remaining)) if weight is None else weight,
        deal=np.arange(len(remaining)),
        history_days=history_days,
        settings=LandmarkSettings(quantiles=(0.25, 0.5, 1.0), min_pipeline_closings=4),
    )


def test_buckets_end_at_the_quantiles_of_the_remaining_time() -> None:
    buckets = learn(["a"] * 8, [8.0, 7, 6, 5, 4, 3, 2, 1])

    assert buckets.edges["a"] == pytest.approx((2.0, 4.0, 8.0))


def test_a_weight_counts_like_that_many_snapshots() -> None:
    buckets = learn(["a"] * 4, [1.0, 2.0, 3.0, 4.0], weight=np.array([1.0, 1.0, 1.0, 5.0]))

    assert buckets.edges["a"] == pytest.approx((2.0, 4.0, 4.0))


def test_no_bucket_reaches_beyond_its_share_of_the_history() -> None:
    buckets = learn(["a"] * 8, [80.0, 70, 60, 50, 40, 30, 20, 10], history_days=160.0)

    # A quarter of 160 days is 40, half of the longest wait, so every edge is halved.
    assert buckets.edges["a"] == pytest.approx((10.0, 20.0, 40.0))
    assert buckets.support_days(np.array(["a"], dtype=object)) == pytest.approx([40.0])


def test_a_small_pipeline_shares_the_buckets_of_all() -> None:
    buckets = learn(["big"] * 5 + ["small"] * 3, [1.0, 2, 3, 4, 5, 60, 70, 80])

    assert set(buckets.edges) == {"big"}
    assert buckets.of(np.array(["small", "never seen"], dtype=object)).tolist() == [list(buckets.shared)] * 2
    assert buckets.shared[-1] == pytest.approx(80.0)


@given(st.lists(st.floats(0.0001, 3000.0), min_size=1, max_size=60), st.floats(1.0, 3000.0))
def test_edges_strictly_increase_and_none_is_zero(remaining: list[float], history: float) -> None:
    buckets = learn_buckets(
        pipeline=np.array(["a"] * len(remaining), dtype=object),
        remaining_days=np.array(remaining),
        weight=np.ones(len(remaining)),
        deal=np.arange(len(remaining)),
        history_days=history,
        settings=LandmarkSettings(min_pipeline_closings=1),
    )

    edges = np.array(buckets.edges["a"])
    assert edges[0] > 0
    assert np.all(np.diff(edges) > 0)
    assert edges[-1] <= max(history * 0.25, 1e-3) * (1 + 1e-6)


def test_each_row_is_repeated_once_for_each_bucket() -> None:
    found = with_bucket(np.array([[5.0, 6.0], [7.0, 8.0]]), np.arange(2))

    assert found.tolist() == [[5, 6, 0], [5, 6, 1], [7, 8, 0], [7, 8, 1]]


def fit(*, wins_if_hot: float, rows: int = 1500) -> tuple[LandmarkModel, FloatArray]:
    """Fit on deals that close on day 3, 10 or 20; the hot half is won with the given probability, the rest never."""
    generator = np.random.default_rng(5)
    features = make_features(rows)
    hot = features["number"].fillna(0.0).to_numpy() > 0
    won = hot & (generator.random(rows) < wins_if_hot)
    model = fit_landmark(
        features=features,
        categories=["category"],
        pipelines=np.array(["sales"] * rows, dtype=object),
        outcome=np.where(won, WON, LOST).astype(np.int8),
        days_to_outcome=generator.choice([3.0, 10.0, 20.0], rows),
        days_known=np.full(rows, 100.0),
        weight=np.ones(rows),
        buckets=Buckets(edges={}, shared=EDGES),
        settings=LandmarkSettings(
            booster=BoosterSettings(
                trees=60, learning_rate=0.1, min_leaf_rows=20, l2=10.0, feature_share=0.7, threads=1
            )
        ),
    )
    return model, hot.astype(float)


def test_a_fitted_model_finds_who_wins_and_when() -> None:
    model, hot = fit(wins_if_hot=0.8)

    features = make_features(1500)
    curve = model.curve(features=features, pipelines=np.array(["sales"] * 1500, dtype=object))

    assert curve.won[hot > 0, -1].mean() == pytest.approx(0.8, abs=0.05)
    assert curve.won[hot == 0, -1].mean() < 0.05
    # A third of the closings comes in each bucket.
    assert curve.won[hot > 0].mean(axis=0) == pytest.approx([0.8 / 3, 1.6 / 3, 0.8], abs=0.05)
    assert model.hazards(features).sum(axis=2) == pytest.approx(np.ones((1500, 3)))


def test_each_bucket_keeps_its_own_hazard_however_few_trees_look_at_it() -> None:
    rows = 4000
    wins = np.repeat([3.0, 10.0, 20.0, 100.0], [80, 392, 1058, 2470])
    features = pd.DataFrame(np.random.default_rng(3).normal(size=(rows, 30)))

    model = fit_landmark(
        features=features,
        categories=[],
        pipelines=np.full(rows, "p", dtype=object),
        outcome=np.where(wins < 50.0, WON, OPEN).astype(np.int8),
        days_to_outcome=np.where(wins < 50.0, wins, np.nan),
        days_known=np.full(rows, 100.0),
        weight=np.ones(rows),
        buckets=Buckets(edges={}, shared=EDGES),
        settings=LandmarkSettings(booster=BoosterSettings(trees=40, feature_share=0.1, threads=1)),
    )

    # Won are 80 of 4,000, 392 of the 3,920 left, and 1,058 of the 3,528 left then.
    assert model.hazards(features)[:, :, 1].mean(axis=0) == pytest.approx([0.02, 0.1, 0.3], abs=0.004)
