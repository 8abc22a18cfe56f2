"""The steps of ``benchmarks.changes``, each run as a process of its own: step, folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._behaviour_data import DAY, START, make_activities
from benchmarks._measure import timed
from benchmarks._scoring_data import _bundle
from features.contracts import empty_frame
from features.feature_contract import FeatureSettings, learn_contract
from features.matrix import Matrix, build_matrix
from features.properties import PropertySettings
from features.tables import TABLE_NAMES, CrmTables
from features.visibility import as_known_at
from models.boosting import fit_booster
from models.bundle import Bundle, load_bundle, save_bundle
from models.contact_fit import ContactSettings
from models.explanation import Effects, additive_effects, booster_parts, reasons_json
from models.score_change import Earlier, explain_changes, has_moved

WARM = 500
TRAINED = 40_000


def moment(day: int) -> pd.Timestamp:
    """Return the end of a day of the invented history."""
    return pd.Timestamp(int(START) + day * DAY, unit="us", tz="UTC").as_unit("us")


BEFORE, NOW = moment(729), moment(730)


def make(folder: Path, contacts: int, activities: int) -> None:
    """Write activities, a contract learnt on them and a model that rests on recent ones."""
    make_activities(folder / "activities.parquet", contacts=contacts, activities=activities, days=(0, 730))
    (folder / "contacts.txt").write_text(str(contacts))
    tables = read(folder)
    contract, _ = learn_contract(
        question="contacts", tables=tables, settings=FeatureSettings(), properties=PropertySettings()
    )
    ids = tables["contacts"]["contact_id"]
    features = build_matrix(
        tables=as_known_at(tables, as_of=BEFORE),
        snapshots=pd.DataFrame({"contact_id": ids[:: max(1, len(ids) // TRAINED)], "as_of": BEFORE}),
        contract=contract,
    ).features
    score = -4 + 0.5 * features["page_view_28d"] + 1.5 * features["meeting_7d"] - 0.01 * features["days_since_any"]
    won = np.random.default_rng(7).random(len(score)) < 1 / (1 + np.exp(-score.fillna(-9.0)))
    booster = fit_booster(
        features=features,
        label=won.to_numpy(dtype=np.float64),
        weight=None,
        categories=[feature.name for feature in contract.features if feature.is_category],
        settings=ContactSettings().booster,
    )
    bundle = _bundle("contacts", booster.model_to_string())
    save_bundle(replace(bundle, data=bundle.data.model_copy(update={"contract": contract})), folder / "bundle")


def read(folder: Path) -> CrmTables:
    """Return the tables: contacts that were all there from the beginning, and their activities."""
    frames = {name: empty_frame(name) for name in TABLE_NAMES}
    count = int((folder / "contacts.txt").read_text())
    frames["contacts"] = pd.DataFrame(
        {"contact_id": [f"c{number:07d}" for number in range(count)], "created_at": moment(0)}
    ).astype({"contact_id": "str"})
    activities = pd.read_parquet(folder / "activities.parquet").reindex(columns=frames["activities"].columns)
    words = dict.fromkeys(("contact_id", "type"), "category")
    frames["activities"] = activities.astype(frames["activities"].dtypes.to_dict() | words)
    return CrmTables(frames=frames)


def matrix_of(bundle: Bundle, tables: CrmTables, as_of: pd.Timestamp, *, first: int) -> Matrix:
    """Build the features of the first contacts."""
    snapshots = pd.DataFrame({"contact_id": tables["contacts"]["contact_id"][:first], "as_of": as_of})
    return build_matrix(tables=as_known_at(tables, as_of=as_of), snapshots=snapshots, contract=bundle.data.contract)


def probability_of(bundle: Bundle, matrix: Matrix) -> np.ndarray:
    """Score them."""
    return np.asarray(bundle.load_booster().predict(matrix.features.to_numpy(dtype=np.float64)))


def score(folder: Path) -> None:
    """Build everybody's features and score them: what a night does anyway."""
    bundle, tables = load_bundle(folder / "bundle"), read(folder)
    count = len(tables["contacts"])
    timed(lambda rows: probability_of(bundle, matrix_of(bundle, tables, NOW, first=rows)), warm=WARM, rows=count)


def reasons(folder: Path) -> None:
    """Write everybody's reasons."""
    bundle, tables = load_bundle(folder / "bundle"), read(folder)
    matrix = matrix_of(bundle, tables, NOW, first=len(tables["contacts"]))
    probability = probability_of(bundle, matrix)

    def run(rows: int) -> None:
        features = matrix.features[:rows]
        parts, start = booster_parts(
            booster=bundle.load_booster(), features=features, calibrator=bundle.data.calibrator
        )
        base, effects = additive_effects(parts=parts, start=start)
        reasons_json(
            effects=Effects(base_rate=base, by_feature=effects),
            features=features,
            contract=bundle.data.contract.features,
            probability=probability[:rows],
        )

    timed(run, warm=WARM, rows=len(probability))


def why_changed(folder: Path) -> None:
    """Split the change of every score that moved since the day before."""
    bundle, tables = load_bundle(folder / "bundle"), read(folder)
    count = len(tables["contacts"])
    previous = probability_of(bundle, matrix_of(bundle, tables, BEFORE, first=count))
    matrix = matrix_of(bundle, tables, NOW, first=count)
    probability = probability_of(bundle, matrix)
    moved = np.flatnonzero(has_moved(probability, previous))
    (folder / "moved.txt").write_text(str(len(moved)))

    def run(rows: int) -> None:
        chosen = moved[:rows]
        explain_changes(
            bundle=bundle,
            earlier=Earlier(as_of=BEFORE, bundle=bundle),
            tables=tables,
            matrix=Matrix(
                matrix.snapshots.iloc[chosen].reset_index(drop=True),
                matrix.features.iloc[chosen].reset_index(drop=True),
            ),
            as_of=NOW,
            probability=probability[chosen],
            previous=previous[chosen],
        )

    timed(run, warm=WARM, rows=len(moved))


if __name__ == "__main__":
    task, place, *numbers = sys.argv[1:]
    if task == "make":
        make(Path(place), *map(int, numbers))
    else:
        {"features and scores": score, "reasons": reasons, "why changed": why_changed}[task](Path(place))
