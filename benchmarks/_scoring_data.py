"""The data of ``benchmarks.scoring``, the bundles to score it with, and the proof that the numbers agree."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

FEATURES, CATEGORIES, LEVELS = 60, 10, 8
MOST_TRAINED = 200_000


def make_features(rows: int, *, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return counts, amounts and categories, a tenth of them missing, and who was won (about one in five)."""
    rng = np.random.default_rng(seed)
    values = rng.exponential(5.0, (rows, FEATURES)).round(2)
    values[:, :20] = rng.integers(0, 12, (rows, 20))
    values[:, -CATEGORIES:] = rng.integers(0, LEVELS, (rows, CATEGORIES))
    score = (
        -4
        + values[:, [0, 1]] @ [0.25, 0.15]
        - 0.1 * values[:, 30]
        + 0.5 * (values[:, 50] % 2)
        + 0.1 * values[:, 2] * (values[:, 40] < 3)
        + 0.05 * (values[:, 31:38].sum(axis=1) - values[:, 3:10].sum(axis=1))
    )
    won = rng.random(rows) < 1 / (1 + np.exp(-score))
    values[rng.random(values.shape) < 0.1] = np.nan
    return pd.DataFrame(values, columns=[f"f{place}" for place in range(FEATURES)]), won.astype(np.float64)


def make_data(folder: Path, *, rows: int, deals: int) -> None:
    """Write the rows, a contact bundle and a deal bundle."""
    from features.episodes import LOST, WON
    from models.bundle import save_bundle
    from models.landmark import LandmarkSettings, fit_landmark, learn_buckets

    features, won = make_features(rows, seed=7)
    np.save(folder / "features.npy", features.to_numpy())
    np.save(folder / "won.npy", won)
    categories = list(features.columns[-CATEGORIES:])
    past, past_won = features[:MOST_TRAINED], won[:MOST_TRAINED]
    save_bundle(_contact_bundle(past, past_won, categories), folder / "contacts")

    rng = np.random.default_rng(3)
    count = min(len(past), 20_000)
    outcome = np.where(past_won[:count] > 0, WON, LOST).astype(np.int8)
    days = rng.exponential(40.0, count)
    pipelines = np.full(count, "sales", dtype=object)
    buckets = learn_buckets(
        pipeline=pipelines,
        remaining_days=days,
        weight=np.ones(count),
        deal=np.arange(count),
        history_days=800.0,
        settings=LandmarkSettings(),
    )
    model = fit_landmark(
        features=past[:count],
        categories=categories,
        pipelines=pipelines,
        outcome=outcome,
        days_to_outcome=days,
        days_known=np.full(count, 800.0),
        weight=np.ones(count),
        buckets=buckets,
        settings=LandmarkSettings(),
    )
    save_bundle(_deal_bundle(past, model, buckets), folder / "deals")
    (folder / "deals.txt").write_text(str(deals))


def check(folder: Path) -> None:
    """Stop if our scores and contributions are not LightGBM's."""
    for ours, theirs in (("score", "bare predict"), ("effects", "bare pred_contrib")):
        left, right = np.load(folder / f"{ours}.npy"), np.load(folder / f"{theirs}.npy")
        if not np.allclose(left, right, rtol=0, atol=1e-9):
            raise SystemExit(f"{ours} disagrees with {theirs}")


def _contract(question: str) -> object:
    from features.catalogue import FAMILY_WORDS, Feature
    from features.feature_contract import FeatureContract

    families = [name for name in FAMILY_WORDS if question == "deals" or name not in ("stage", "pace", "people")]
    features = []
    for place in range(FEATURES):
        category = place >= FEATURES - CATEGORIES
        features.append(
            Feature(
                name=f"f{place}",
                family=families[place % len(families)],
                unit="category" if category else "count",
                words=f"feature number {place}",
                levels=tuple(f"level {level}" for level in range(LEVELS + 1)) if category else (),
            )
        )
    return FeatureContract(
        question=question,
        kinds=(),
        windows_days=(),
        half_lives_days=(),
        properties={},
        deal_columns=(),
        vouched=(),
        pipelines=("sales",),
        stages=(),
        has_activities=False,
        features=tuple(features),
    )


def _bundle(question: str, booster: str, **more: object) -> object:
    from features.properties import PropertySettings
    from models.bundle import Bundle, BundleData
    from models.calibration import Calibrator
    from models.explanation import Reference
    from models.intervals import VennAbers
    from models.rules.sheet import PointRules

    grid = tuple(np.linspace(0.001, 0.999, 100).tolist())
    data = BundleData(
        question=question,
        use="model",
        calibrated=True,
        trained_as_of=datetime(2026, 1, 1, tzinfo=UTC),
        horizon_days=90.0,
        contract=_contract(question),
        properties=PropertySettings(),
        rules=PointRules(),
        calibrator=Calibrator(kind="platt", slope=1.0, intercept=0.0),
        venn_abers=VennAbers(score=grid, low=grid, high=grid),
        reference=Reference(base_rate=0.2, mean_effects=(0.0,) * FEATURES),
        base_rate=0.2,
        points_map=None,
        points_known=False,
        data_digest="",
        settings_digest="",
        **more,
    )
    return Bundle(data=data, booster=booster, evaluation={})


def _contact_bundle(features: pd.DataFrame, won: np.ndarray, categories: list[str]) -> object:
    from models.boosting import fit_booster
    from models.contact_fit import ContactSettings

    booster = fit_booster(
        features=features, label=won, weight=None, categories=categories, settings=ContactSettings().booster
    )
    return _bundle("contacts", booster.model_to_string())


def _deal_bundle(features: pd.DataFrame, model: object, buckets: object) -> object:
    from models.deal_training import BACKGROUND_ROWS

    background = features[:BACKGROUND_ROWS].to_numpy()
    return _bundle(
        "deals",
        model.booster.model_to_string(),
        edges=buckets.edges,
        shared_edges=buckets.shared,
        background=tuple(tuple(None if np.isnan(value) else value for value in row) for row in background.tolist()),
    )


if __name__ == "__main__":
    task, place, *numbers = sys.argv[1:]
    if task == "make":
        make_data(Path(place), rows=int(numbers[0]), deals=int(numbers[1]))
    else:
        check(Path(place))
