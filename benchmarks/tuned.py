"""What tuning gains over the defaults, on outcomes that the search never saw: a real pipeline and two invented ones.

The search is the product's own (``leadline tune deals``): nested in time, judged once on the latest window.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks._measure import write_json
from benchmarks._real_data import data_arguments, read_real
from benchmarks.known_truth import training_settings
from features.sources.synthetic import SyntheticSettings, simulate
from features.tables import CrmTables
from models.procedure import procedure_of
from models.training import TrainingSettings
from models.tuning import Tuned, booster_place, inner_folds, inner_problem, judge_tuned, outer_cutoffs, search

TRIALS = {"small": 5, "full": 40}
CONTACTS = {"small": 2000, "full": 6000}
MONTHS = 48
"""A search inside the past of a test needs a long history: an account of one year allows none."""
WORLDS: dict[str, dict[str, Any]] = {"mature": {}, "neglected": {"careless_owners": 1.0}}
REAL_SHARE = 0.12
"""Four months with a horizon of one allow no search inside the past of a test; with half of it they do."""
SEED = 301
REPLICATES = 200
MINUTES = 60.0


def main() -> None:
    """Tune on each, print default and tuned on the later test."""
    parser = argparse.ArgumentParser()
    data_arguments(parser, folder="bpic2012")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--only", nargs="+", choices=("invented", "real"), default=["invented", "real"])
    options = parser.parse_args()
    trials = options.trials or TRIALS[options.size]
    print(f"{'':32}{'rows':>8}{'default':>9}{'tuned':>9}   tuned less default, log loss (95 %), {trials} trials")
    found: list[dict[str, Any]] = []
    for kind, changes in WORLDS.items() if "invented" in options.only else ():
        world = SyntheticSettings(contacts=CONTACTS[options.size], seed=SEED, months=MONTHS, **changes)
        tables, as_of = simulate(world).tables, pd.Timestamp(world.end)
        found.append(
            _tuned(
                f"invented, {kind}",
                tables,
                as_of=as_of,
                settings=training_settings(SEED).model_copy(update={"bootstrap_replicates": REPLICATES}),
                trials=trials,
            )
        )
    real = read_real(options, config="bpic2012.yaml") if "real" in options.only else None
    if real is not None:
        settings = real.settings.model_copy(
            update={
                "bootstrap_replicates": REPLICATES,
                "deals": real.settings.deals.model_copy(update={"max_share_of_history": REAL_SHARE}),
            }
        )
        found.append(_tuned("bpic2012", real.tables, as_of=real.as_of, settings=settings, trials=trials))
    write_json(options.json, found)


def _tuned(
    title: str, tables: CrmTables, *, as_of: pd.Timestamp, settings: TrainingSettings, trials: int
) -> dict[str, Any]:
    procedure = procedure_of("deals", tables=tables, as_of=as_of, settings=settings)
    outer = outer_cutoffs(procedure, now=as_of, settings=settings.split)
    folds = inner_folds(procedure, outer, settings=settings.split)
    problems = [problem for fold in folds if (problem := inner_problem(procedure, fold)) is not None]
    last = inner_problem(procedure, outer)
    if last is None or not problems:
        print(f"{title:32} the history allows no search")
        return {"title": title}
    place = booster_place(last)
    default = getattr(settings.deals, place)
    with tempfile.TemporaryDirectory() as folder:
        best, inner_best, inner_default, done = search(
            problems,
            question="deals",
            default=default,
            trials=trials,
            minutes=MINUTES,
            study_file=Path(folder) / "study.db",
            study_name=title,
            seed=settings.seed,
            on_trial=lambda _: None,
        )
    tuned = judge_tuned(
        last,
        question="deals",
        default=default,
        best=best,
        inner_default=inner_default,
        inner_best=inner_best,
        trials=done,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
        place=place,
    )
    _show(title, tuned)
    return {"title": title, **tuned.to_dict()}


def _show(title: str, tuned: Tuned) -> None:
    gap = tuned.difference
    print(
        f"{title:32}{tuned.test_rows:8,}{tuned.test_default:9.4f}{tuned.test_best:9.4f}   {gap.value:+.4f} "
        f"({gap.low:+.4f} to {gap.high:+.4f}); in the search {tuned.inner_best - tuned.inner_default:+.4f}, "
        f"{tuned.place}"
    )


if __name__ == "__main__":
    main()
