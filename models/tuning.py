"""Tuning without leakage, nested in time: settings are searched on the past of the test window and judged in it.

Inside the past of the window several later stretches are predicted from what came before each; the settings with the
lowest mean log loss are then fitted once more before the window and compared with the default on it, paired and
clustered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from features.catalogue import Question
from features.errors import LeadScoringError
from models.boosting import BoosterSettings
from models.bootstrap import cluster_weights, interval
from models.cutoffs import Cutoffs, SplitSettings, plan_cutoffs, plan_folds
from models.evaluation import Estimate, as_plain
from models.metrics import FloatArray, quotient, row_log_loss, weighted_mean
from models.procedure import Procedure, Proof
from models.refit import Refitter

if TYPE_CHECKING:
    import optuna

INNER_FOLDS: Final = 3
BoosterPlace = Literal["booster", "small_booster"]


class NoTuningError(LeadScoringError):
    """The history does not allow a search inside the past of a test window."""


@dataclass(frozen=True)
class Problem:
    """One inner stretch: rows to fit on, and later rows to be predicted."""

    refitter: Refitter
    proof: Proof

    def loss(self, booster: BoosterSettings) -> float:
        """Return the log loss of the later rows under these settings."""
        return weighted_mean(_row_losses(self, booster), self.proof.rows.weight)


@dataclass(frozen=True)
class Finished:
    """How far the search is: trials done, the last loss, and the default's and the lowest so far."""

    done: int
    loss: float
    default: float
    lowest: float


@dataclass(frozen=True)
class Tuned:
    """What the search found. ``inner_*`` are mean log losses of the search, the rest comes from the later test.

    ``difference`` is tuned minus default on the test, with its 95 % interval over contacts or deals. ``place`` is the
    key of the configuration that holds the settings.
    """

    question: Question
    trials: int
    default: BoosterSettings
    best: BoosterSettings
    inner_default: float
    inner_best: float
    test_rows: int
    test_objects: int
    test_default: float
    test_best: float
    difference: Estimate
    place: BoosterPlace = "booster"

    @property
    def adopt(self) -> bool:
        """Say whether the tuned settings are surely better on the test that they never saw."""
        return self.difference.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the snippet of configuration."""
        plain: dict[str, Any] = as_plain({**asdict(self), "adopt": self.adopt, "snippet": self.snippet()})
        plain["default"], plain["best"] = self.default.model_dump(), self.best.model_dump()
        return plain

    def snippet(self) -> str:
        """Return the YAML that adopts the tuned settings: only what differs from the default."""
        changed = {
            name: value for name, value in self.best.model_dump().items() if value != getattr(self.default, name)
        }
        lines = [f"{self.question}:", f"  {self.place}:", *(f"    {name}: {value}" for name, value in changed.items())]
        return "\n".join(lines) + "\n" if changed else ""


def outer_cutoffs(procedure: Procedure, *, now: Any, settings: SplitSettings) -> Cutoffs:
    """Return the split whose test window judges; raises ``NoTuningError`` where the history allows none."""
    cutoffs = plan_cutoffs(first=procedure.first, now=now, horizon_days=procedure.horizon_days, settings=settings)
    if cutoffs.test_at is None:
        raise NoTuningError(
            f"{procedure.question} cannot be tuned: {cutoffs.note()}; bring a longer history or keep the default"
        )
    return cutoffs


def inner_problem(procedure: Procedure, cutoffs: Cutoffs) -> Problem | None:
    """Prepare one inner stretch; None where it has one outcome only or too few to fit a model on."""
    proof = procedure.prove(cutoffs)
    refitter = None if proof is None else procedure.refitter(proof)
    return None if proof is None or refitter is None else Problem(refitter=refitter, proof=proof)


def booster_place(problem: Problem) -> BoosterPlace:
    """Return which booster the ladder allowed at a stretch's beginning, by its key in the configuration."""
    return "booster" if problem.proof.made.past.step.rung == "model" else "small_booster"


def inner_folds(procedure: Procedure, outer: Cutoffs, *, settings: SplitSettings) -> list[Cutoffs]:
    """Plan the inner stretches: all of their labels are ripe before the outer test begins."""
    assert outer.test_at is not None
    return plan_folds(
        first=procedure.first,
        now=outer.test_at,
        horizon_days=procedure.horizon_days,
        folds=INNER_FOLDS,
        settings=settings,
    )


def search(
    problems: Sequence[Problem],
    *,
    question: Question,
    default: BoosterSettings,
    trials: int,
    minutes: float,
    study_file: Path,
    study_name: str,
    seed: int,
    on_trial: Callable[[Finished], None],
) -> tuple[BoosterSettings, float, float, int]:
    """Search until so many trials are done in all, or the minutes are over; a study that was begun is gone on with.

    Returns the best settings, their mean loss, the default's, and how many trials there are. The default is the first
    trial, so the best is never worse than it on the inner stretches.
    """
    import optuna

    if not problems:
        raise NoTuningError(
            f"{question} cannot be tuned: no stretch before the test window has enough winners to fit a model on; "
            "bring a longer history or keep the default"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study_file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{study_file}",
        study_name=study_name,
        sampler=optuna.samplers.TPESampler(seed=seed),
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial({name: getattr(default, name) for name in _SPACE})

    def objective(trial: optuna.Trial) -> float:
        booster = default.model_copy(update={name: suggest(trial) for name, suggest in _SPACE.items()})
        return float(np.mean([problem.loss(booster) for problem in problems]))

    def tell(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        done = _completed(study)
        on_trial(
            Finished(
                done=len(done),
                loss=trial.value if trial.value is not None else float("nan"),
                default=done[0].value or float("nan"),
                lowest=study.best_value,
            )
        )

    missing = trials - len(_completed(study))
    if missing > 0:
        study.optimize(objective, n_trials=missing, timeout=60.0 * minutes, callbacks=[tell])
    done = _completed(study)
    best = default.model_copy(update=study.best_params)
    return best, float(study.best_value), float(done[0].value or float("nan")), len(done)


def judge_tuned(
    problem: Problem,
    *,
    question: Question,
    default: BoosterSettings,
    best: BoosterSettings,
    inner_default: float,
    inner_best: float,
    trials: int,
    replicates: int,
    seed: int,
    place: BoosterPlace = "booster",
) -> Tuned:
    """Compare the tuned settings with the default on the test window, which the search never saw."""
    rows = problem.proof.rows
    losses = [_row_losses(problem, booster) for booster in (default, best)]
    gap = losses[1] - losses[0]
    draws = [
        quotient(block @ gap, block.sum(axis=1))
        for block in cluster_weights(cluster=rows.objects, replicates=replicates, seed=seed, weight=rows.weight)
    ]
    ends = interval(np.concatenate(draws))
    return Tuned(
        question=question,
        trials=trials,
        default=default,
        best=best,
        inner_default=inner_default,
        inner_best=inner_best,
        test_rows=len(rows.y_obs),
        test_objects=len(np.unique(rows.objects)),
        test_default=weighted_mean(losses[0], rows.weight),
        test_best=weighted_mean(losses[1], rows.weight),
        difference=Estimate(value=weighted_mean(gap, rows.weight), low=ends.low, high=ends.high),
        place=place,
    )


def _row_losses(problem: Problem, booster: BoosterSettings) -> FloatArray:
    fitted = problem.refitter.fit_with(booster)
    probability = fitted.probability(problem.proof.features, problem.proof.pipelines)
    return row_log_loss(y_obs=problem.proof.rows.y_obs, y_pred=probability)


def _completed(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.value is not None]


_SPACE: Final[dict[str, Callable[[optuna.Trial], Any]]] = {
    "trees": lambda trial: trial.suggest_int("trees", 40, 400, log=True),
    "leaves": lambda trial: trial.suggest_int("leaves", 3, 15),
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.01, 0.15, log=True),
    "min_leaf_rows": lambda trial: trial.suggest_int("min_leaf_rows", 20, 500, log=True),
    "l2": lambda trial: trial.suggest_float("l2", 1.0, 100.0, log=True),
    "feature_share": lambda trial: trial.suggest_float("feature_share", 0.05, 1.0),
}
