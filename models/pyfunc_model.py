"""What MLflow runs to load a registered model: it starts the copy of ``published.py`` that lies beside the bundle.

MLflow executes this file from the model's folder. It is never imported by Leadline.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class BundleModel(PythonModel):
    """A bundle behind MLflow's generic interface; ``predict`` returns the published probabilities."""

    def load_context(self, context: Any) -> None:
        """Open the bundle with the code that was kept with it, under a name that no other model's code can take."""
        spec = spec_from_file_location(f"leadline_{uuid4().hex}", context.artifacts["code"])
        if spec is None or spec.loader is None:
            raise ImportError(f"{context.artifacts['code']} must be a Python file")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        self.model = module.open_published(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints as schemas
        """Return one probability for each row of the matrix, NaN where only ranks are published."""
        return self.model.predict(model_input)


set_model(BundleModel())
