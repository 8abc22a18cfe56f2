"""What lies beside a bundle so that MLflow can load it: code as files, a signature, an example; no pickle.

``MLmodel`` and ``python_env.yaml`` are YAML to MLflow; they are written as JSON, which every YAML reader reads.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from models import published
from models.bundle_files import PROBE
from models.run_record import RunRecordError, json_text

BUNDLE: Final = "bundle"
MODEL_FILE: Final = "MLmodel"
REQUIRED: Final = ("mlflow", "lightgbm", "numpy", "pandas")
_ENTRY: Final = "pyfunc_model.py"
_CODE: Final = "published.py"
_EXAMPLE: Final = "input_example.json"
_REQUIREMENTS: Final = "requirements.txt"
_PYTHON: Final = "python_env.yaml"
_EXAMPLE_ROWS: Final = 5


def mlflow_files(bundle: Path) -> dict[str, str]:
    """Return the files, by name, that make a folder with this bundle in ``bundle/`` an MLflow model."""
    try:
        probe = json.loads((bundle / PROBE).read_bytes())
    except (OSError, ValueError) as error:
        raise RunRecordError(
            f"a bundle to record must have a readable {PROBE}; {bundle} has none. Train again"
        ) from error
    here = Path(published.__file__).parent
    return {
        MODEL_FILE: json_text(_model(probe["columns"])),
        _ENTRY: (here / _ENTRY).read_text(encoding="utf-8"),
        _CODE: (here / _CODE).read_text(encoding="utf-8"),
        _EXAMPLE: json_text({"columns": probe["columns"], "data": probe["rows"][:_EXAMPLE_ROWS]}),
        _REQUIREMENTS: "".join(f"{name}=={version(name)}\n" for name in REQUIRED),
        _PYTHON: json_text({"python": platform.python_version(), "dependencies": [f"-r {_REQUIREMENTS}"]}),
    }


def _model(columns: list[str]) -> Mapping[str, Any]:
    inputs = [{"type": "double", "name": name, "required": True} for name in columns]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]
    flavor = {
        "loader_module": "mlflow.pyfunc.loaders.code_model",
        "model_code_path": _ENTRY,
        "python_version": platform.python_version(),
        "artifacts": {"bundle": {"path": BUNDLE, "uri": BUNDLE}, "code": {"path": _CODE, "uri": _CODE}},
        "env": {"virtualenv": _PYTHON},
        "streamable": False,
    }
    return {
        "flavors": {"python_function": flavor},
        "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None},
        "saved_input_example_info": {"artifact_path": _EXAMPLE, "type": "dataframe", "pandas_orient": "split"},
        "mlflow_version": version("mlflow"),
    }
