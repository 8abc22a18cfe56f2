"""Behaviour of models.bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models import bootstrap
from models.bootstrap import cluster_weights, interval


def all_weights(cluster: np.ndarray, *, replicates: int = 50, seed: int = 1) -> np.ndarray:
    return np.concatenate(list(cluster_weights(cluster=cluster, replicates=replicates, seed=seed)))


def test_rows_of_one_object_are_drawn_together() -> None:
    cluster = np.array(["a", "b", "a", "c", "a"])

    weights = all_weights(cluster)

    assert weights.shape == (50, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_every_object_is_drawn_once_on_average() -> None:
    weights = all_weights(np.arange(20), replicates=4000)

    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.1)
    assert weights.var(axis=0) == pytest.approx(np.full(20, 0.95), abs=0.15)


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    cluster = np.arange(30)

    assert (all_weights(cluster, seed=4) == all_weights(cluster, seed=4)).all()
    assert (all_weights(cluster, seed=4) != all_weights(cluster, seed=5)).any()


def test_draws_do_not_depend_on_how_blocks_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = np.arange(30)
    whole = all_weights(cluster, replicates=7)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 60)

    blocks = list(cluster_weights(cluster=cluster, replicates=7, seed=1))

    assert [len(block) for block in blocks] == [2, 2, 2, 1]
    assert (np.concatenate(blocks) == whole).all()


def test_a_row_s_own_weight_multiplies_its_draws() -> None:
    cluster, weight = np.array([1, 1, 2]), np.array([1.0, 0.5, 2.0])

    weighted = np.concatenate(list(cluster_weights(cluster=cluster, replicates=5, seed=1, weight=weight)))

    assert (weighted == all_weights(cluster, replicates=5) * weight).all()


def test_interval_holds_the_middle_ninety_five_percent() -> None:
    ends = interval(np.arange(1001.0))

    assert (ends.low, ends.high) == pytest.approx((25.0, 975.0))


def test_undefined_replicates_are_left_out_until_they_are_most() -> None:
    nan = float("nan")

    some = interval(np.array([1.0, 1.0, nan]))
    most = interval(np.array([1.0, nan, nan]))

    assert (some.low, some.high) == (1.0, 1.0)
    assert math.isnan(most.low)
    assert math.isnan(most.high)


def test_no_replicates_give_no_interval() -> None:
    assert math.isnan(interval(np.array([])).low)


def test_repeated_rows_do_not_narrow_the_interval() -> None:
    generator = np.random.default_rng(2)
    value = generator.normal(size=200)
    rows, clusters = np.repeat(value, 10), np.repeat(np.arange(200), 10)

    weights = all_weights(clusters, replicates=1000)
    ends = interval(weights @ rows / weights.sum(axis=1))

    standard_error = value.std() / np.sqrt(200)
    assert ends.high - ends.low == pytest.approx(2 * 1.96 * standard_error, rel=0.12)
