"""A bundle's probe: made-up rows of its matrix and the probabilities that its model gives them.

No row is anybody's. The probe shows on another machine, or under another LightGBM, that a model still says the same,
and it is the example that goes with a registered model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from models.boosting import FloatArray
from models.published import POINTS, PublishedModel

ROWS: Final = 32
_SEED: Final = 20
_MISSING = _ZERO = 0.15


def make_probe(plain: Mapping[str, Any], *, booster: str) -> dict[str, Any]:
    """Return columns, rows (missing as None) and probabilities of a bundle's data and LightGBM text."""
    model = PublishedModel(plain, booster=booster, threads=1)
    rows = made_up_rows(plain, columns=model.columns)
    return {
        "columns": model.columns,
        "rows": [[None if np.isnan(value) else value for value in row] for row in rows.tolist()],
        "probability": model.probability(rows).tolist(),
    }


def made_up_rows(plain: Mapping[str, Any], *, columns: list[str]) -> FloatArray:
    """Return rows in which every kind of value occurs: categories, zeros, small and large numbers, missing ones."""
    generator = np.random.default_rng(_SEED)
    levels = {feature["name"]: len(feature["levels"]) for feature in plain["contract"]["features"]}
    made = []
    for name in columns:
        if name == POINTS:
            made.append(generator.integers(-50, 150, ROWS).astype(np.float64))
            continue
        if levels[name]:
            values = generator.integers(0, levels[name], ROWS).astype(np.float64)
        else:
            values = np.round(10.0 ** generator.uniform(-2, 4, ROWS), 3)
            values[generator.random(ROWS) < _ZERO] = 0.0
        values[generator.random(ROWS) < _MISSING] = np.nan
        made.append(values)
    return np.column_stack(made)
