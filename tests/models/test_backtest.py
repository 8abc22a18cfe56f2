from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.backtest import (
    Backtest,
    NoBacktestError,
    evaluate_apart,
    evaluate_fold,
    evaluate_folds,
    learning_curve,
    pooled,
    split_contrast,
)
from models.cutoffs import SplitSettings, plan_folds
from models.procedure import Procedure, Proof, procedure_of
from tests.models.market import make_settings

DAY = pd.Timedelta(days=1)


def test_folds_follow_each_other_and_never_see_their_future() -> None:
    first, now = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2026-01-01", tz="UTC")

    folds = plan_folds(first=first, now=now, horizon_days=90.0, folds=3, settings=SplitSettings())

    # 731 days less two horizons and 30 days to learn from leave 521; four parts of 130.25, three of them tested.
    assert [(fold.ripe_until - fold.test_at) / DAY for fold in folds] == pytest.approx([130.25] * 3)
    assert folds[-1].ripe_until == now - 90 * DAY
    for earlier, later in pairwise(folds):
        assert earlier.ripe_until == later.test_at
    for fold in folds:
        assert fold.now == fold.ripe_until + 90 * DAY
        if fold.calibrate_until is not None:
            assert fold.calibrate_until == fold.test_at - 90 * DAY


@pytest.mark.parametrize(("days", "count"), [(223, 0), (224, 1), (237, 1), (238, 2), (252, 3), (900, 4)])
def test_a_short_history_allows_fewer_folds(days: int, count: int) -> None:
    first = pd.Timestamp("2024-01-01", tz="UTC")

    folds = plan_folds(first=first, now=first + days * DAY, horizon_days=90.0, folds=4, settings=SplitSettings())

    assert len(folds) == count


@pytest.fixture(scope="module")
def procedure(market: CrmTables, as_of: pd.Timestamp) -> Procedure:
    return procedure_of("contacts", tables=market, as_of=as_of, settings=make_settings())


@pytest.fixture(scope="module")
def proofs(procedure: Procedure, as_of: pd.Timestamp) -> list[Proof]:
    planned = plan_folds(
        first=procedure.first, now=as_of, horizon_days=90.0, folds=2, settings=procedure.settings.split
    )
    return [proof for cutoffs in planned if (proof := procedure.prove(cutoffs)) is not None]


def test_the_folds_are_measured_alone_and_together(
    procedure: Procedure, proofs: list[Proof], as_of: pd.Timestamp
) -> None:
    folds = tuple(evaluate_fold(procedure, proof) for proof in proofs)
    whole = evaluate_folds(procedure, proofs, as_of=as_of)

    assert len(folds) == 2
    assert whole.rows == sum(fold.rows for fold in folds)
    assert whole.positives == sum(fold.positives for fold in folds)
    # A contact of both windows is one contact.
    assert whole.objects < sum(fold.objects for fold in folds)
    weighed = sum(fold.rows * fold.scorers["model"].metrics["log_loss"].value for fold in folds) / whole.rows
    assert whole.scorers["model"].metrics["log_loss"].value == pytest.approx(weighed)
    assert whole.differences["base_rate"]["log_loss"].high < 0
    json.dumps(Backtest(folds=folds, pooled=whole).to_dict(), allow_nan=False)


def test_a_fold_without_a_model_is_not_pooled_with_those_that_have_one(proofs: list[Proof]) -> None:
    first, second = proofs
    without = replace(
        first,
        rows=replace(first.rows, scores={name: s for name, s in first.rows.scores.items() if name != "model"}),
    )

    assert len(pooled([without, second]).y_obs) == len(second.rows.y_obs)
    assert len(pooled([without]).y_obs) == len(first.rows.y_obs)
    with pytest.raises(NoBacktestError):
        pooled([])


def test_contacts_with_and_without_an_open_deal_are_measured_apart(procedure: Procedure, proofs: list[Proof]) -> None:
    apart = evaluate_apart(procedure, proofs)

    rows = pooled(proofs)
    assert rows.has_open_deal is not None
    assert {name: part.rows for name, part in apart.items()} == {
        "with_open_deal": int(rows.has_open_deal.sum()),
        "without_open_deal": int((~rows.has_open_deal).sum()),
    }
    assert apart["with_open_deal"].base_rate > apart["without_open_deal"].base_rate


def test_contacts_of_whom_no_activity_is_known_are_looked_at_apart(proofs: list[Proof]) -> None:
    silent = proofs[0].features["days_since_any"].isna().to_numpy()

    told = proofs[0].rows.segments["behaviour"]

    assert 0 < silent.sum() < len(silent)
    assert np.array_equal(told, np.where(silent, "none yet", "some"))


def test_more_winners_teach_more(procedure: Procedure, proofs: list[Proof]) -> None:
    refitter = procedure.refitter(proofs[-1])
    assert refitter is not None

    curve = learning_curve(refitter=refitter, proof=proofs[-1], seed=1)

    winners = len(np.unique(refitter.objects[refitter.y_obs > 0]))
    assert [point.winners for point in curve] == [size for size in (10, 20, 40, 80, 160) if size < winners] + [winners]
    assert curve[-1].log_loss < curve[0].log_loss
    assert (curve[0].draws, curve[-1].draws) == (3, 1)
    assert curve == learning_curve(refitter=refitter, proof=proofs[-1], seed=1)


def test_the_split_in_time_stands_beside_random_ones(procedure: Procedure, proofs: list[Proof]) -> None:
    refitter = procedure.refitter(proofs[-1])
    assert refitter is not None

    by_row, by_object, by_time = split_contrast(refitter=refitter, proof=proofs[-1], seed=1)

    assert [one.split for one in (by_row, by_object, by_time)] == ["random_rows", "random_objects", "time"]
    assert by_row.brier_skill >= by_object.brier_skill
    assert 0 < by_time.brier_skill < 1
