"""A registered model in a process that has MLflow, LightGBM, NumPy and pandas, and nothing of Leadline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import load_bundle, save_bundle
from models.mlflow_files import mlflow_files
from models.registry import ModelRegistry
from models.run_record import RunRecordError
from tests.models.boosters import make_features
from tests.models.test_bundle import make_bundle
from tests.models.test_registry import MONDAY, record

FORBIDDEN = ("features", "models", "serving", "flows", "sklearn", "prefect", "numba", "shap", "leadline")
STRANGER = """
import json, pickle, sys, _pickle

class Hook:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in FORBIDDEN:
            raise ModuleNotFoundError(f'{name} is not there')

class refuse:  # a class, for libraries derive their own from Unpickler
    def __init__(self, *arguments, **options):
        raise AssertionError('something was unpickled')

sys.meta_path.insert(0, Hook())
import cloudpickle
for module in (pickle, _pickle, cloudpickle):
    for name in ('load', 'loads', 'Unpickler'):
        setattr(module, name, refuse)
import mlflow, pandas
from mlflow.models import Model
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model('models:/leadline-deals@champion')
matrix = pandas.read_json(sys.argv[2], orient='split', dtype=float, precise_float=True)
print(json.dumps({
    'probability': list(model.predict(matrix)),
    'example': list(model.predict(model.input_example)),
    'inputs': model.metadata.signature.inputs.input_names(),
    'module': type(model.unwrap_python_model()).__name__,
    'loaded': sorted({name.split('.')[0] for name in sys.modules} & set(FORBIDDEN)),
}))
"""


def test_a_stranger_gets_the_published_probabilities_by_alias_and_without_a_pickle(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "home")
    for name, base_rate in (("a", 0.25), ("b", 0.5)):
        record(registry, save_bundle(make_bundle(base_rate=base_rate), tmp_path / name))
    registry.promote("deals", "1", reason="better", at=MONDAY)
    matrix = make_features(40, seed=8)
    (tmp_path / "matrix.json").write_text(matrix.to_json(orient="split", double_precision=15))
    quiet = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    run = subprocess.run(
        [sys.executable, "-c", f"FORBIDDEN = {FORBIDDEN!r}\n{STRANGER}", registry.tracking_uri, "matrix.json"],
        cwd=tmp_path,
        env=quiet | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    bundle = load_bundle(registry.get("deals", "1").bundle)
    curve = bundle.landmark().curve(features=matrix, pipelines=np.array(["sales"] * 40, dtype=object))
    assert told["probability"] == pytest.approx(bundle.data.calibrator.apply(curve.won[:, -1]), abs=1e-12)
    probe = json.loads((registry.get("deals", "1").bundle / "probe.json").read_text())
    assert told["example"] == pytest.approx(probe["probability"][:5], abs=1e-12)
    assert told["inputs"] == bundle.data.contract.names
    assert told["module"] == "BundleModel"
    assert told["loaded"] == []


def test_the_same_bundle_gives_the_same_files(tmp_path: Path) -> None:
    folder = save_bundle(make_bundle(), tmp_path / "bundle")

    assert mlflow_files(folder) == mlflow_files(folder)
    assert str(tmp_path) not in "".join(mlflow_files(folder).values())


def test_a_bundle_without_a_probe_is_not_recorded(tmp_path: Path) -> None:
    folder = save_bundle(make_bundle(), tmp_path / "bundle")
    (folder / "probe.json").unlink()

    with pytest.raises(RunRecordError, match=r"must have a readable probe\.json"):
        mlflow_files(folder)
