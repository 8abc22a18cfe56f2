"""How near the deal model comes to the truth, where it is known: invented CRMs of three kinds and three sizes.

The measure is the excess log loss of the deals that are open at the end of the history: what a scorer loses beside the
true probability of being won within the horizon that the history supports (Kullback-Leibler divergence, in nats; 0 is
the truth itself). Worlds that differ by their seed are the sample: every interval is Student's over worlds, paired.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from benchmarks._measure import write_json
from benchmarks._rivals import THREADS, automl_scores, rival_scores
from benchmarks._rolling_origin import AUTOML, AUTOML_TIMES_OURS, LEAST_AUTOML_SECONDS, past_of_deals
from features.episodes import build_timelines
from features.properties import PropertySettings, SafeColumns
from features.sources.synthetic import SyntheticSettings, simulate, simulate_win_days
from models.boosting import FloatArray
from models.calibration import CalibrationSettings, Calibrator
from models.cutoffs import SplitSettings, plan_cutoffs
from models.deal_fit import DealFit, fit_deal_model, fit_deals, landmark_of, rows_of
from models.deal_proof import calibrator_of_deals, prove_deals
from models.deal_scoring import CURVE_HIGH, CURVE_LOW, deal_population
from models.deal_training import DealStart, start_deals
from models.evaluation import MODEL
from models.landmark import LandmarkSettings
from models.out_of_time import SCORER_LABELS
from models.training import TrainingSettings

KINDS: dict[str, dict[str, Any]] = {
    "mature": {"months": 32},
    "young": {"months": 12},
    "neglected": {"months": 12, "careless_owners": 1.0},
}
CONTACTS = {"small": (1000,), "full": (1000, 3000, 9000)}
SEEDS = {"small": 2, "full": 6}
FIRST_SEED = 201
DRAWS = 400
BEFORE = "Leadline before recalibration"


@dataclass(frozen=True)
class World:
    """One invented CRM: what was there to learn from, and the excess log loss of every scorer on its open deals.

    ``covered`` is the share of true wins within the horizon that fall into the 80 % range of the close date.
    """

    kind: str
    contacts: int
    seed: int
    won: int
    lost: int
    open_deals: int
    rung: str
    covered: float
    excess: dict[str, float]


def main() -> None:
    """Invent the worlds, fit everything in each, print the means with intervals."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SEEDS, default="small")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--contacts", nargs="+", type=int, help="sizes of the worlds, in contacts")
    parser.add_argument("--seeds", type=int, help="how many worlds of each kind and size")
    parser.add_argument("--automl", help="a Python that has FLAML; without it FLAML is left out")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tables = []
    for contacts in options.contacts or CONTACTS[options.size]:
        for kind in options.kinds:
            worlds = [
                make_world(kind, contacts=contacts, seed=FIRST_SEED + number, automl=options.automl)
                for number in range(options.seeds or SEEDS[options.size])
            ]
            tables.append(show_worlds(worlds))
    write_json(options.json, tables)


def make_world(kind: str, *, contacts: int, seed: int, automl: str | None) -> World:
    """Invent a CRM, fit as a training would, and measure every scorer against the truth."""
    settings = SyntheticSettings(contacts=contacts, seed=seed, **KINDS[kind])
    tables, end = simulate(settings).tables, pd.Timestamp(settings.end)
    start = start_deals(tables=tables, as_of=end, settings=training_settings(seed))
    inputs = start.inputs.refusing(start.audit)
    fit = fit_deals(tables=start.known, cutoff=end, first=start.first, buckets=start.buckets, inputs=inputs)

    population = deal_population(tables=start.known, as_of=end, staleness=fit.staleness)
    columns = ["deal", "deal_id", "as_of", "weight"]
    snapshots = population.loc[population["not_scored"].isna(), columns].reset_index(drop=True)
    rows = rows_of(snapshots=snapshots, timelines=build_timelines(start.known))
    matrix = fit.matrix(tables=start.known, snapshots=snapshots)
    curve = fit.curve(matrix=matrix, rows=rows)
    raw = curve.won[:, -1]
    scores = {MODEL: _calibrator(start, fit, now=end).apply(raw), BEFORE: raw}
    scores |= {
        SCORER_LABELS.get(name, name): score
        for name, score in fit.baselines(matrix=matrix, rows=rows, points=None).items()
    }
    past = past_of_deals(fit, known=start.known)
    scores |= rival_scores(past, matrix.features)
    if automl is not None:
        started = time.perf_counter()
        _refit(start, fit)
        ours = time.perf_counter() - started
        seconds = max(AUTOML_TIMES_OURS * ours, LEAST_AUTOML_SECONDS)
        scores[AUTOML] = automl_scores(past, matrix.features, python=automl, seconds=seconds)

    support = start.buckets.support_days(rows.pipeline)
    days = _win_days(settings, deal_id=rows.deal_id, longest_days=int(np.ceil(support.max())) + 1)
    won = days <= np.round(support)
    truth = won.mean(axis=0)
    # The simulator tells the end of the day of a win.
    ends = [curve.win_quantile_days(share) for share in (CURVE_LOW, CURVE_HIGH)]
    covered = won & (days - 0.5 >= ends[0]) & (days - 0.5 <= ends[1])
    world = World(
        kind=kind,
        contacts=contacts,
        seed=seed,
        won=fit.won,
        lost=fit.lost,
        open_deals=len(truth),
        rung=fit.step.rung,
        covered=float(covered.sum() / max(won.sum(), 1)),
        excess={name: float(excess_log_loss(truth, score).mean()) for name, score in scores.items()},
    )
    print(f"{kind}, {contacts:,} contacts, seed {seed}: ours {world.excess[MODEL]:.4f}", file=sys.stderr)
    return world


def excess_log_loss(truth: FloatArray, y_pred: FloatArray) -> FloatArray:
    """Return the expected log loss of each prediction less that of the truth, in nats.

    >>> excess_log_loss(np.array([0.5, 0.0]), np.array([0.5, 0.5])).round(4).tolist()
    [0.0, 0.6931]
    """
    inside = np.clip(y_pred, 1e-6, 1 - 1e-6)
    won = np.where(truth > 0, truth * np.log(np.maximum(truth, 1e-12) / inside), 0.0)
    not_won = np.where(truth < 1, (1 - truth) * np.log(np.maximum(1 - truth, 1e-12) / (1 - inside)), 0.0)
    return won + not_won


def show_worlds(worlds: list[World]) -> dict[str, Any]:
    """Print the mean excess log loss of every scorer over the worlds and ours less theirs; return all as plain data."""
    first = worlds[0]
    table = pd.DataFrame([world.excess for world in worlds])
    counts = {
        word: np.mean([getattr(world, word) for world in worlds]).round() for word in ("won", "lost", "open_deals")
    }
    print(
        f"\n{first.kind}, {first.contacts:,} contacts: {len(worlds)} worlds with {counts['won']:.0f} won, "
        f"{counts['lost']:.0f} lost and {counts['open_deals']:.0f} open deals on average; "
        f"rungs {', '.join(sorted({world.rung for world in worlds}))}; the 80 % range of the close date held "
        f"{np.mean([world.covered for world in worlds]):.0%} of the wins"
    )
    print(f"{'':32}{'excess':>9}   ours less theirs (95 % over worlds)")
    means = table.mean()
    figures = []
    for name in sorted(table, key=lambda name: (name != MODEL, means[name])):
        gap = table[MODEL] - table[name]
        error = float(gap.std(ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else float("nan")
        reach = error * float(student.ppf(0.975, max(len(gap) - 1, 1)))
        line = f"{'Leadline' if name == MODEL else name:32}{means[name]:9.4f}"
        if name != MODEL:
            line += f"   {gap.mean():+.4f} ({gap.mean() - reach:+.4f} to {gap.mean() + reach:+.4f})"
        print(line)
        figures.append({"name": name, "excess": float(means[name]), "gap": float(gap.mean()), "reach": reach})
    return {
        "title": f"{first.kind}, {first.contacts} contacts",
        "scorers": figures,
        "worlds": [
            {"seed": world.seed, "won": world.won, "covered": world.covered, "excess": world.excess} for world in worlds
        ],
    }


def training_settings(seed: int) -> TrainingSettings:
    """Return the defaults with the columns that the demo vouches for; no interval of theirs is told."""
    return TrainingSettings(
        deals=_with_threads(LandmarkSettings()),
        properties=PropertySettings(contacts=SafeColumns(safe=("industry", "country", "source"))),
        bootstrap_replicates=50,
        seed=seed,
    )


def _with_threads(settings: LandmarkSettings) -> LandmarkSettings:
    """Let our boosters use as many threads as the rivals may; the result does not depend on it."""
    boosters = {name: getattr(settings, name) for name in ("booster", "small_booster")}
    return settings.model_copy(
        update={name: booster.model_copy(update={"threads": THREADS}) for name, booster in boosters.items()}
    )


def _calibrator(start: DealStart, fit: DealFit, *, now: pd.Timestamp) -> Calibrator:
    """Choose the recalibration that a training as of now would."""
    if fit.model is None:
        return Calibrator()
    cutoffs = plan_cutoffs(
        first=start.first, now=now, horizon_days=start.buckets.longest_days, settings=SplitSettings()
    )
    proof = prove_deals(
        tables=start.known,
        # The calibrator of the proof itself is not asked for.
        cutoffs=replace(cutoffs, calibrate_at=None, calibrate_until=None),
        first=start.first,
        buckets=start.buckets,
        inputs=start.inputs.refusing(start.audit),
        calibration=CalibrationSettings(),
    )
    if proof is None or MODEL not in proof.rows.scores:
        return Calibrator()
    return calibrator_of_deals(
        raw=proof.raw,
        rows=proof.labelled,
        y_obs=proof.rows.y_obs,
        buckets=start.buckets,
        calibration=CalibrationSettings(),
    ).calibrator


def _refit(start: DealStart, fit: DealFit) -> None:
    fit_deal_model(
        features=fit.matrix(tables=start.known, snapshots=fit.train.snapshots).features,
        rows=fit.train,
        contract=fit.contract,
        cutoff=fit.cutoff,
        buckets=fit.buckets,
        landmark=landmark_of(fit.step, settings=start.inputs.landmark),
    )


def _win_days(settings: SyntheticSettings, *, deal_id: Any, longest_days: int) -> FloatArray:
    """Return the days until each deal is won in each future (futures, deals), infinite where it is not."""
    futures = simulate_win_days(settings, settings.end, draws=DRAWS, longest_days=longest_days)
    return futures.days[:, pd.Index(futures.deal_id).get_indexer(deal_id)]


if __name__ == "__main__":
    main()
