"""The published probability without Leadline: the same numbers from the bundle's folder alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.bundle import Bundle, save_bundle
from models.calibration import Calibrator
from models.contact_fit import points_of
from models.contact_scoring import contact_matrix, contact_population
from models.contact_start import contact_inputs
from models.deal_fit import points_of_deals
from models.deal_scoring import deal_matrix, deal_population
from models.explanation import Reference
from models.published import PublishedModel, PublishedModelError, open_published
from models.training import Trained
from tests.models.market import make_settings
from tests.models.scoring import score
from tests.models.test_bundle import make_bundle

PLATT = Calibrator(kind="platt", slope=0.7, intercept=-0.2)
PROGRAM = Path(__file__).parents[2] / "models" / "published.py"


def changed(bundle: Bundle, **data: Any) -> Bundle:
    return replace(bundle, data=bundle.data.model_copy(update=data))


def published_and_told(bundle: Bundle, tables: CrmTables, as_of: pd.Timestamp, folder: Path) -> tuple[Any, Any]:
    """Return what the published contract holds for everybody scored, and what the folder alone says."""
    rows = score(bundle, tables, as_of)
    if bundle.data.question == "contacts":
        population = contact_population(bundle=bundle, tables=tables, as_of=as_of)
        matrix = contact_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
        points = points_of(tables=tables, snapshots=matrix.snapshots, inputs=contact_inputs(make_settings())).total
        published = rows.loc[matrix.snapshots["contact_id"], "close_likelihood"]
    else:
        population = deal_population(tables=tables, as_of=as_of)
        matrix = deal_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
        points = points_of_deals(
            tables=tables, snapshots=matrix.snapshots, rules=bundle.data.rules, properties=bundle.data.properties
        )
        published = rows.loc[matrix.snapshots["deal_id"], "win_probability"]
    model = open_published(save_bundle(bundle, folder))
    return published.to_numpy(), model.predict(matrix.features.assign(points=points))


@pytest.mark.parametrize("calibrator", [Calibrator(), PLATT, Calibrator(kind="intercept", intercept=0.4)])
@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_the_model_publishes_the_same_with_and_without_leadline(
    request: pytest.FixtureRequest,
    market: CrmTables,
    as_of: pd.Timestamp,
    tmp_path: Path,
    question: str,
    calibrator: Calibrator,
) -> None:
    trained: Trained = request.getfixturevalue(f"trained_{question}")
    assert trained.bundle.data.use == "model"

    published, told = published_and_told(
        changed(trained.bundle, calibrator=calibrator), market, as_of, tmp_path / "bundle"
    )

    assert len(published) > 50
    assert len(set(published)) > 20
    assert told == pytest.approx(published, abs=1e-12)


@pytest.mark.parametrize(
    ("question", "use"),
    [
        ("contacts", "rules"),
        ("contacts", "base_rate"),
        ("deals", "stage_rate"),
        ("deals", "rules"),
        ("deals", "base_rate"),
    ],
)
def test_a_fallback_publishes_the_same_with_and_without_leadline(
    request: pytest.FixtureRequest, market: CrmTables, as_of: pd.Timestamp, tmp_path: Path, question: str, use: str
) -> None:
    bundle: Bundle = request.getfixturevalue(f"trained_{question}").bundle
    # The criteria, and one for that none of them could be judged.
    width = (
        len(bundle.data.rules.criteria) + 1
        if (question, use) == ("contacts", "rules")
        else len(bundle.data.contract.names)
    )
    center = (0.0,) * len(bundle.data.rules.criteria)
    fallback = changed(
        bundle,
        use=use,
        calibrator=Calibrator(),
        points_center=center,
        reference=Reference(base_rate=bundle.data.base_rate, mean_effects=(0.0,) * width),
    )

    published, told = published_and_told(replace(fallback, booster=""), market, as_of, tmp_path / "bundle")

    assert len(published) > 50
    assert told == pytest.approx(published, abs=1e-12)


def test_a_stage_that_is_new_takes_the_rate_of_its_pipeline() -> None:
    rates = {"overall": 0.2, "pipelines": {"sales": 0.3}, "stages": {"sales": {"demo": 0.4}}}
    model = plain_model(use="stage_rate", stage_rates=rates, contract=stage_contract())

    # Columns: pipeline (0 sales, 1 other), stage (0 sales/demo, 1 sales/new, 2 other).
    rows = np.array([[0, 0], [0, 1], [0, 2], [1, 2], [np.nan, np.nan]])

    assert model.predict(rows).tolist() == [0.4, 0.3, 0.3, 0.2, 0.2]


def test_ranks_that_are_not_published_as_percentages_are_nan() -> None:
    model = plain_model(use="base_rate", calibrated=False, base_rate=0.25)

    assert np.isnan(model.predict(np.zeros((2, 2)))).all()
    assert model.probability(np.zeros((2, 2))).tolist() == [0.25, 0.25]


def test_columns_are_found_by_name_and_missing_ones_are_named() -> None:
    model = plain_model(use="rules", points_map={"intercept": 0.0, "slope": 1.0})
    frame = pd.DataFrame({"points": [0.0, 10.0], "stage": [0.0, 0.0], "more": [1, 2], "pipeline": [0.0, 0.0]})

    # sigmoid(0) and sigmoid(10 / 10)
    assert model.predict(frame) == pytest.approx([0.5, 0.7310585786300049])
    with pytest.raises(PublishedModelError, match=r"it lacks \['stage', 'points'\]"):
        model.predict(frame[["pipeline"]])
    with pytest.raises(PublishedModelError, match=r"the 3 columns of the model; its shape is \(2, 2\)"):
        model.predict(np.zeros((2, 2)))


def test_no_rows_have_no_probabilities() -> None:
    bundle = make_bundle()
    model = PublishedModel(bundle.plain(), booster=bundle.booster)

    assert model.predict(np.zeros((0, 4))).shape == (0,)


def test_damaged_and_hostile_folders_are_refused_without_leadline_too(tmp_path: Path) -> None:
    (save_bundle(make_bundle(), tmp_path / "damaged") / "booster.txt").write_text("garbage")
    with pytest.raises(PublishedModelError, match="is not the file that was saved"):
        open_published(tmp_path / "damaged")

    folder = save_bundle(make_bundle(), tmp_path / "hostile")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = {"../damaged/booster.txt": ""} | manifest["sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PublishedModelError, match="must list plain files of its folder"):
        open_published(folder)


def test_the_program_needs_nothing_of_leadline_and_no_data_frames(tmp_path: Path) -> None:
    folder = save_bundle(make_bundle(), tmp_path / "bundle")
    forbidden = ("features", "models", "serving", "flows", "pandas", "sklearn", "mlflow")
    program = (
        "import runpy, sys\n"
        f"for name in {forbidden}: sys.modules[name] = None\n"
        f"sys.argv = ['published.py', {str(folder)!r}]\n"
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n"
        "print('rehearsed')\n"
    )

    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout, run.stderr) == (0, "rehearsed\n", "")


def stage_contract() -> dict[str, Any]:
    features = [
        {"name": "pipeline", "levels": ["sales", "other"]},
        {"name": "stage", "levels": ["demo", "new", "other"]},
    ]
    return {"features": features, "pipelines": ["sales"], "stages": ["sales/demo", "sales/new"]}


def plain_model(**data: Any) -> PublishedModel:
    plain = {"question": "deals", "calibrated": True, "contract": stage_contract(), **data}
    return PublishedModel(plain, booster="")
