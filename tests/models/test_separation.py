"""Single-column AUC: worked by hand, equal to the plain AUC, and honest about categories and missing values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import auc, auc_within
from models.separation import Separator, fold_of, level_rates

NAN = float("nan")


def separator(y_obs: list[int], objects: list[int] | None = None, *, replicates: int = 0) -> Separator:
    return Separator.build(y_obs=np.array(y_obs), objects=np.array(objects or range(len(y_obs))), replicates=replicates)


def test_auc_counts_pairs_in_the_right_order_and_ties_by_half() -> None:
    # winners 3, 2; others 1, 2, 0: of six pairs five are right and one is tied
    measured = separator([1, 1, 0, 0, 0]).of_numbers(np.array([3.0, 2.0, 1.0, 2.0, 0.0]))

    assert measured.value == pytest.approx((5 + 0.5) / 6)


def test_auc_has_no_direction() -> None:
    rows = separator([1, 1, 0, 0, 0])
    values = np.array([3.0, 2.0, 1.0, 2.0, 0.0])

    assert rows.of_numbers(-values).value == pytest.approx(rows.of_numbers(values).value)


@pytest.mark.parametrize(
    ("y_obs", "expected"),
    [
        # missing among the winners: as the highest all four pairs of them are right
        ([1, 1, 0, 0], 1.0),
        # missing among the others only: as the lowest
        ([0, 0, 1, 1], 1.0),
        # one missing on each side ties, 5 against 6 is wrong: (0.5 + 1 + 0 + 1) / 4 as the lowest, else the mirror
        ([1, 0, 1, 0], 0.625),
    ],
)
def test_missing_is_a_level_of_its_own_at_the_better_end(y_obs: list[int], expected: float) -> None:
    values = np.array([NAN, NAN, 5.0, 6.0])

    assert separator(y_obs).of_numbers(values).value == pytest.approx(expected)


def test_only_rows_of_the_same_stratum_are_compared() -> None:
    # stratum 0: winner 2 above 1; stratum 1: winner 8 below 9 and above 7. Two pairs of three, over strata 5 of 6.
    y_obs, values, strata = [1, 0, 1, 0, 0], np.array([2.0, 1.0, 8.0, 9.0, 7.0]), np.array([0, 0, 1, 1, 1])

    assert separator(y_obs).of_numbers(values, strata=strata).value == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 2)), min_size=2, max_size=40))
def test_auc_equals_the_plain_one(rows: list[tuple[bool, int, int]]) -> None:
    y_obs, values, strata = (np.array(column) for column in zip(*rows, strict=True))
    plain = auc(y_obs=y_obs, y_pred=values)
    within = auc_within(y_obs=y_obs, y_pred=values, strata=strata)
    measured = separator(y_obs.astype(int).tolist())

    assert measured.of_numbers(values).value == pytest.approx(max(plain, 1 - plain), nan_ok=True)
    assert measured.of_numbers(values, strata=strata).value == pytest.approx(max(within, 1 - within), nan_ok=True)


def test_rate_of_a_level_comes_from_the_other_folds_alone() -> None:
    rates = level_rates(
        levels=np.array([0, 0, 0, 1]),
        positive=np.array([True, True, False, False]),
        weight=np.ones(4),
        fold=np.array([0, 1, 1, 1]),
        folds=2,
    )

    # row 0 sees fold 1: level 0 has one win of two, the mean is 1/3; rows of fold 1 see row 0, a win
    assert rates[0] == pytest.approx((1 + 5 / 3) / (2 + 5))
    assert rates[1:].tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_level_that_never_wins_is_told_apart_and_a_constant_has_no_skill() -> None:
    y_obs = [1, 0, 0, 0] * 50
    rows = separator(y_obs)

    assert rows.of_levels(np.array([0.0, 1.0, 2.0, NAN] * 50)).value == 1.0
    assert rows.of_levels(np.zeros(200)).value == 0.5


def test_identifier_of_each_object_has_no_skill() -> None:
    # every object has its own level; what it says of its own rows does not count
    objects = [row // 4 for row in range(400)]
    y_obs = [int(number % 3 == 0) for number in objects]

    assert separator(y_obs, objects).of_levels(np.array(objects, dtype=np.float64)).value == 0.5


def test_interval_is_wider_when_rows_repeat_the_same_objects() -> None:
    generator = np.random.default_rng(3)
    y_obs = (generator.random(60) < 0.4).astype(int)
    values = y_obs + generator.normal(size=60)
    alone = separator(y_obs.tolist(), replicates=200).of_numbers(values)
    repeated = separator(np.repeat(y_obs, 5).tolist(), np.repeat(np.arange(60), 5).tolist(), replicates=200).of_numbers(
        np.repeat(values, 5)
    )

    assert repeated.value == pytest.approx(alone.value)
    assert repeated.low < repeated.value < repeated.high
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_one_class_alone_is_undefined() -> None:
    measured = separator([0, 0, 0], replicates=20).of_numbers(np.array([1.0, 2.0, 3.0]))

    assert np.isnan([measured.value, measured.low, measured.high]).all()


def test_fold_of_an_object_does_not_hang_on_the_other_rows() -> None:
    everyone = fold_of(np.arange(100))

    assert fold_of(np.array([42, 7])).tolist() == [everyone[42], everyone[7]]
    assert set(everyone) == {0, 1, 2, 3, 4}
