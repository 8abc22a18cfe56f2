"""The contenders of ``benchmarks.scoring``, each run as a process of its own: contender name, folder.

Each prepares, warms up, and hands its task to ``timed``, which says on standard output how long it alone took.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import timed

WARM_ROWS = 500
THREADS = 2


def fit(folder: Path) -> None:
    """Our fit, through the function that training calls."""
    from benchmarks._scoring_data import CATEGORIES
    from models.boosting import fit_booster
    from models.contact_fit import ContactSettings

    features, won = _frame(folder), np.load(folder / "won.npy")
    settings = ContactSettings().booster.model_copy(update={"threads": THREADS})
    categories = list(features.columns[-CATEGORIES:])
    timed(
        lambda count: fit_booster(
            features=features[:count], label=won[:count], weight=None, categories=categories, settings=settings
        ),
        warm=5000,
        rows=len(won),
    )


def bare_fit(folder: Path) -> None:
    """``lightgbm.train`` with the same trees and no settings for repeatability."""
    import lightgbm

    from benchmarks._scoring_data import CATEGORIES, FEATURES
    from models.contact_fit import ContactSettings

    features, won, settings = np.load(folder / "features.npy"), np.load(folder / "won.npy"), ContactSettings().booster
    parameters = {
        "objective": "binary",
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf_rows,
        "lambda_l2": settings.l2,
        "feature_fraction": settings.feature_share,
        "num_threads": THREADS,
        "verbosity": -1,
    }
    categories = list(range(FEATURES - CATEGORIES, FEATURES))

    def train(count: int) -> None:
        dataset = lightgbm.Dataset(
            features[:count], label=won[:count], categorical_feature=categories, params={"verbosity": -1}
        )
        lightgbm.train(parameters, dataset, num_boost_round=settings.trees)

    timed(train, warm=5000, rows=len(won))


def score(folder: Path) -> None:
    """Probability, range and tier of every contact."""
    from models.bundle import load_bundle
    from models.ranking import tiers

    bundle, features = load_bundle(folder / "contacts"), _frame(folder)
    ids = _ids(len(features))

    def run(count: int) -> Any:
        raw = np.asarray(bundle.load_booster().predict(features[:count].to_numpy(dtype=np.float64)))
        probability = bundle.data.calibrator.apply(raw)
        bundle.data.venn_abers.interval(probability)
        tiers(probability, ids=ids[:count])
        return probability

    np.save(folder / "score.npy", timed(run, warm=WARM_ROWS, rows=len(features)))


def bare_predict(folder: Path) -> None:
    """``Booster.predict``."""
    features, booster = np.load(folder / "features.npy"), _booster(folder / "contacts")
    result = timed(lambda count: booster.predict(features[:count]), warm=WARM_ROWS, rows=len(features))
    np.save(folder / "bare predict.npy", result)


def effects(folder: Path) -> None:
    """Every feature's effect on every contact's probability."""
    _explain(folder, written=False)


def reasons(folder: Path) -> None:
    """The whole published text of every contact."""
    _explain(folder, written=True)


def _explain(folder: Path, *, written: bool) -> None:
    from models.bundle import load_bundle
    from models.explanation import additive_effects, booster_parts, centred, reasons_json

    bundle, features = load_bundle(folder / "contacts"), _frame(folder)
    probability = np.asarray(bundle.load_booster().predict(features.to_numpy()))

    def run(count: int) -> None:
        rows = features[:count]
        parts, start = booster_parts(booster=bundle.load_booster(), features=rows, calibrator=bundle.data.calibrator)
        _, effects = additive_effects(parts=parts, start=start)
        told = centred(effects=effects, reference=bundle.data.reference)
        if written:
            reasons_json(
                effects=told,
                features=rows,
                contract=bundle.data.contract.features,
                probability=probability[:count],
            )

    timed(run, warm=WARM_ROWS, rows=len(features))
    if not written:
        parts, _ = booster_parts(
            booster=bundle.load_booster(), features=features[:2000], calibrator=bundle.data.calibrator
        )
        np.save(folder / "effects.npy", parts)


def bare_contributions(folder: Path) -> None:
    """``Booster.predict(pred_contrib=True)``."""
    features, booster = np.load(folder / "features.npy"), _booster(folder / "contacts")
    result = timed(
        lambda count: booster.predict(features[:count], pred_contrib=True), warm=WARM_ROWS, rows=len(features)
    )
    np.save(folder / "bare pred_contrib.npy", np.asarray(result)[:2000, :-1])


def deals(folder: Path) -> None:
    """Exact family effects on the probability of winning."""
    from models.bundle import load_bundle
    from models.explanation import landmark_effects

    bundle, features = load_bundle(folder / "deals"), _deals(folder)

    def run(count: int) -> None:
        landmark_effects(
            model=bundle.landmark(),
            calibrator=bundle.data.calibrator,
            features=features[:count],
            background=bundle.background(),
            contract=bundle.data.contract.features,
        )

    timed(run, warm=2, rows=len(features))


def bare_deal_contributions(folder: Path) -> None:
    """``pred_contrib`` of the deal model's rows: every deal in every future bucket."""
    import json

    from models.landmark import with_bucket

    features, booster = _deals(folder).to_numpy(), _booster(folder / "deals")
    buckets = len(json.loads((folder / "deals" / "bundle.json").read_text())["shared_edges"])
    rows = with_bucket(features, np.arange(buckets))
    timed(lambda count: booster.predict(rows[: count * buckets], pred_contrib=True), warm=2, rows=len(features))


def _frame(folder: Path) -> Any:
    import pandas as pd

    values = np.load(folder / "features.npy")
    return pd.DataFrame(values, columns=[f"f{place}" for place in range(values.shape[1])])


def _deals(folder: Path) -> Any:
    return _frame(folder)[: int((folder / "deals.txt").read_text())]


def _ids(count: int) -> Any:
    import pandas as pd

    return pd.Series([f"c{number:07d}" for number in range(count)])


def _booster(bundle: Path) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=(bundle / "booster.txt").read_text())


CONTENDERS: dict[str, Callable[[Path], None]] = {
    "fit": fit,
    "bare fit": bare_fit,
    "score": score,
    "bare predict": bare_predict,
    "effects": effects,
    "reasons": reasons,
    "bare pred_contrib": bare_contributions,
    "deals": deals,
    "bare pred_contrib of the deal model": bare_deal_contributions,
}

if __name__ == "__main__":
    CONTENDERS[sys.argv[1]](Path(sys.argv[2]))
