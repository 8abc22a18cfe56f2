"""Learned points: what the past gives for a company's own criteria, on the scale "so many points double the odds"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from models.boosting import FloatArray
from models.bootstrap import cluster_weights, interval
from models.calibration import sigmoid
from models.evaluation import Estimate
from models.metrics import AnyArray, as_float
from models.property_tests import BoolArray
from models.rules.past import NoPastError, Past
from models.rules.replay import Points, points_given
from models.rules.sheet import Criterion, PointRules

DEFAULT_DOUBLE: Final = 10.0
LEAST_WINNERS: Final = 10
_SPREAD: Final = 1.0
"""How far a criterion's log-odds may plausibly lie from 0: the ridge."""
_DAYS_PER_MONTH: Final = 30.4375
_ALIKE: Final = 0.9
_LEAST_ALIKE: Final = 20


@dataclass(frozen=True)
class LearnedPoint:
    """One criterion: its manual points, those of the past with their 95 % range, and for how many contacts it held.

    ``why_not`` says why the past has no points for it; ``same_as`` names the criteria that hold for nearly the same.
    """

    name: str
    group: str
    manual: float
    learned: Estimate
    held: int
    winners: int
    why_not: str | None
    same_as: tuple[str, ...]

    def mispriced(self, scale: float) -> int:
        """Say whether the manual points are too high (1) or too low (-1) in size for the range of the past, or not (0).

        ``scale`` brings learned points to the scale of the sheet.
        """
        if self.why_not is not None or self.learned.low * scale <= self.manual <= self.learned.high * scale:
            return 0
        return 1 if abs(self.manual) > abs(self.learned.value * scale) else -1


@dataclass(frozen=True)
class LearnedPoints:
    """All criteria of a sheet, in its order; ``double`` points double the odds of winning."""

    points: tuple[LearnedPoint, ...]
    double: float
    rows: int
    winners: int

    @property
    def scale(self) -> float:
        """Return the factor that makes the learned points of the sheet's criteria as large together as its own."""
        priced = [one for one in self.points if one.why_not is None]
        learned = sum(abs(one.learned.value) for one in priced)
        return sum(abs(one.manual) for one in priced) / learned if learned else 1.0


def learn_points(
    *, past: Past, rules: PointRules, points: Points, double: float, replicates: int, seed: int
) -> LearnedPoints:
    """Fit the points that the past supports (MODELLING: ridge logistic regression, signs as in the sheet).

    The fit leaves out rows with an open deal, which would drown everything else; the points of criteria on open deals
    are fitted after it on all rows, with the others as they are. A row stands for a month and a win is seen for a
    whole horizon, so rows weigh accordingly less. Raises ``NoPastError`` with too few winners.
    """
    criteria = rules.criteria
    times = scaled_times(criteria, points)
    on_deals = np.array([criterion.deal == "open" for criterion in criteria], dtype=bool)
    cold = ~past.open_deal
    winners = len(np.unique(past.contacts[cold & (past.won == 1.0)]))
    if winners < LEAST_WINNERS:
        raise NoPastError(
            f"{winners} contacts won that had no open deal when they were seen; {LEAST_WINNERS} are needed to learn "
            "points from the past"
        )
    held = (times != 0).any(axis=0)
    sign = np.sign([criterion.points for criterion in criteria])
    weight = min(1.0, _DAYS_PER_MONTH / past.inputs.horizon_days)
    problem = _Problem.build(times=times, won=past.won, cold=cold, on_deals=on_deals, sign=sign)
    # Hundreds of small problems: threads of linear algebra would wait for each other most of the time.
    with threadpool_limits(1):
        value = problem.solve(np.full(len(past.won), weight), start=None)
        draws = [
            problem.solve(row * weight, start=value)
            for block in cluster_weights(cluster=past.contacts, replicates=replicates, seed=seed)
            for row in block
        ]
    scale = double / np.log(2.0)
    ranges = [interval(column * scale) for column in np.array(draws).T]
    reasons = {item.column: item.reason for item in points.left_out}
    alike = _alike(times != 0)
    return LearnedPoints(
        points=tuple(
            LearnedPoint(
                name=line.name,
                group=line.group,
                manual=criterion.points,
                learned=Estimate(value=float(value[place] * scale), low=ranges[place].low, high=ranges[place].high),
                held=len(np.unique(past.contacts[times[:, place] != 0])),
                winners=len(np.unique(past.contacts[(times[:, place] != 0) & (past.won == 1.0)])),
                why_not=reasons.get(line.name) or (None if held[place] else "it never held"),
                same_as=tuple(points.criteria[other].name for other in alike[place]),
            )
            for place, (line, criterion) in enumerate(zip(points.criteria, criteria, strict=True))
        ),
        double=double,
        rows=int(cold.sum()),
        winners=winners,
    )


def scaled_times(criteria: tuple[Criterion, ...], points: Points) -> FloatArray:
    """Return how many times each criterion's points counted, its own cap applied (snapshots x criteria)."""
    times = points.times.copy()
    for place, criterion in enumerate(criteria):
        if criterion.cap is not None and criterion.points:
            times[:, place] = points_given(criterion, times[:, place]) / (100 * criterion.points)
    return times


@dataclass(frozen=True)
class _Stage:
    """Distinct rows of criteria, which of the data's rows they stand for, and which coefficients are fitted on them."""

    distinct: FloatArray
    place: AnyArray
    rows: BoolArray
    fitted: AnyArray

    @classmethod
    def build(cls, times: FloatArray, *, rows: BoolArray, fitted: BoolArray) -> _Stage:
        distinct, place = np.unique(np.round(times[rows], 3), axis=0, return_inverse=True)
        return cls(distinct=distinct, place=place.ravel(), rows=rows, fitted=np.flatnonzero(fitted))

    def counts(self, weight: FloatArray, won: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the weight of each distinct row, and the part of it that won."""
        inside = weight[self.rows]
        size = len(self.distinct)
        return (
            as_float(np.bincount(self.place, weights=inside, minlength=size)),
            as_float(np.bincount(self.place, weights=inside * won[self.rows], minlength=size)),
        )


@dataclass(frozen=True)
class _Problem:
    """Ridge logistic regression with signs, in two stages: without open deals, then the criteria on them."""

    stages: tuple[_Stage, ...]
    won: FloatArray
    sign: FloatArray

    @classmethod
    def build(
        cls, *, times: FloatArray, won: FloatArray, cold: BoolArray, on_deals: BoolArray, sign: FloatArray
    ) -> _Problem:
        stages = [_Stage.build(times, rows=cold, fitted=~on_deals)]
        if on_deals.any():
            stages.append(_Stage.build(times, rows=np.ones(len(won), dtype=bool), fitted=on_deals))
        return cls(stages=tuple(stages), won=won, sign=np.asarray(sign, dtype=np.float64))

    def solve(self, weight: FloatArray, *, start: FloatArray | None) -> FloatArray:
        """Return the log-odds of each criterion under these row weights."""
        beta = np.zeros(len(self.sign)) if start is None else start.copy()
        for stage in self.stages:
            total, won = stage.counts(weight, self.won)
            others = beta.copy()
            others[stage.fitted] = 0.0
            beta[stage.fitted] = _ridge(
                design=stage.distinct[:, stage.fitted],
                offset=stage.distinct @ others,
                total=total,
                won=won,
                sign=self.sign[stage.fitted],
                start=beta[stage.fitted],
            )
        return beta


def _ridge(
    *, design: FloatArray, offset: FloatArray, total: FloatArray, won: FloatArray, sign: FloatArray, start: FloatArray
) -> FloatArray:
    """Minimise the penalised log loss over an intercept and coefficients of the given signs (0: either)."""

    def loss(beta: FloatArray) -> tuple[float, FloatArray]:
        odds = offset + beta[0] + design @ beta[1:]
        value = float(total @ np.logaddexp(0.0, odds) - won @ odds) + 0.5 * float(beta[1:] @ beta[1:]) / _SPREAD**2
        residual = total * sigmoid(odds) - won
        return value, np.append(residual.sum(), design.T @ residual + beta[1:] / _SPREAD**2)

    rate = np.clip(won.sum() / max(float(total.sum()), 1e-9), 1e-6, 1 - 1e-6)
    bounds = [(None, None)] + [(0.0 if one > 0 else None, 0.0 if one < 0 else None) for one in sign]
    first = np.append(np.log(rate / (1 - rate)), start)
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300, "ftol": 1e-10})
    return np.asarray(found.x[1:], dtype=np.float64)


def _alike(held: BoolArray) -> list[list[int]]:
    """Return, for each criterion, the others that hold for nearly the same rows (Jaccard)."""
    counts = held.astype(np.float64)
    both = counts.T @ counts
    size = np.diag(both)
    either = size[:, None] + size[None, :] - both
    alike = (both >= _ALIKE * np.maximum(either, 1.0)) & (both >= _LEAST_ALIKE)
    np.fill_diagonal(alike, False)
    return [np.flatnonzero(row).tolist() for row in alike]
