"""How well points put later buyers first."""

from __future__ import annotations

import numpy as np
import pytest

from models.rules.comparison import METRICS, OrderComparison, compare_orders, known_last

NAN = np.nan


def compare(reference: str | None = None, **scores: list[float]) -> OrderComparison:
    return compare_orders(
        scores={name: np.array(values) for name, values in scores.items()},
        y_obs=np.array([1.0, 0, 1, 0, 0, 0, 0, 0]),
        objects=np.arange(8),
        open_deal=np.array([True, False, False, False, False, False, False, False]),
        share=0.25,
        replicates=50,
        seed=1,
        reference=reference,
    )


def test_metrics_worked_out_by_hand() -> None:
    found = compare(points=[90, 80, 70, 10, 10, 10, 10, 10]).metrics["points"]

    assert set(found) == set(METRICS)
    # Of 2 x 6 pairs only one is the wrong way round: 80 points did not buy, 70 did.
    assert found["auc"].value == pytest.approx(11 / 12)
    # Without the row with an open deal: 5 of 6 pairs.
    assert found["auc_no_open_deal"].value == pytest.approx(5 / 6)
    # The best two of eight hold one of the two buyers: twice as many as chance.
    assert (found["capture"].value, found["lift"].value) == pytest.approx((0.5, 2.0))
    assert found["auc"].low <= found["auc"].value <= found["auc"].high


def test_unknown_points_rank_last_and_together() -> None:
    assert known_last(np.array([5.0, NAN, -3, NAN])).tolist() == [5, -4, -3, -4]
    assert known_last(np.array([NAN, NAN])).tolist() == [-1, -1]

    found = compare(points=[90, NAN, NAN, NAN, NAN, NAN, NAN, NAN]).metrics["points"]

    # The second buyer ties with all six others.
    assert found["auc"].value == pytest.approx((6 + 3) / 12)


def test_a_sheet_against_itself_differs_by_nothing_at_all() -> None:
    same = [90.0, 80, 70, 10, 10, 10, 10, 10]

    lead = compare(first=same, second=same, reference="second").differences["first"]

    for metric in METRICS:
        assert (lead[metric].value, lead[metric].low, lead[metric].high) == (0, 0, 0)


def test_differences_are_paired_and_told_against_the_reference() -> None:
    found = compare(first=[9, 1, 8, 1, 1, 1, 1, 1], second=[1, 1, 1, 9, 1, 1, 1, 1], reference="second")

    assert list(found.differences) == ["first"]
    assert found.differences["first"]["auc"].value == pytest.approx(
        found.metrics["first"]["auc"].value - found.metrics["second"]["auc"].value
    )
    assert found.differences["first"]["auc"].low > 0
