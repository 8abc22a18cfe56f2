"""Population shift: are those to be scored now still like those on whom the model was tested?

Drift between training and test is part of the test: a model that passed has passed under it, and may meet as much
again. What no test covers is the way from the test to today. It is weighed by what the model looks at: a feature that
moved but does not matter is no shift, and one that matters is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.catalogue import Feature
from models.drift import FeatureDrift, drift, drift_reference
from models.metrics import AnyArray

NAMED: Final = 3


@dataclass(frozen=True)
class Shift:
    """``share`` is the part of the model's gain (0..1) that rests on features with a large drift since the test.

    ``survived`` is the same for the drift between training and test; ``features`` are those that drifted since, the
    weightiest first, with their stability index (PSI) and their own share of the gain.
    """

    share: float
    survived: float
    features: tuple[tuple[FeatureDrift, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "share": self.share,
            "survived": self.survived,
            "features": [{**one.to_dict(), "gain_share": round(gain, 6)} for one, gain in self.features],
        }


def population_shift(
    *,
    booster: Any,
    features: Sequence[Feature],
    during_test: Sequence[FeatureDrift],
    tested: pd.DataFrame,
    tested_objects: AnyArray,
    scored: pd.DataFrame,
    scored_objects: AnyArray,
    tested_weight: AnyArray | None = None,
) -> Shift | None:
    """Compare the rows to be scored with those of the test; None where either side has none.

    ``during_test`` is the drift between training and test. ``tested`` and ``scored`` are features of the same
    contract, that of ``booster`` (a landmark booster's bucket column, which stands behind them, does not count).
    """
    if not len(tested) or not len(scored):
        return None
    reference = drift_reference(features=features, matrix=tested, objects=tested_objects, weight=tested_weight)
    found = drift(reference=reference, matrix=scored, objects=scored_objects)
    gain = np.asarray(booster.feature_importance("gain"), dtype=np.float64)[: len(features)]
    share = dict(zip((feature.name for feature in features), gain / max(float(gain.sum()), 1e-300), strict=True))
    large = [(one, float(share[one.name])) for one in found if one.level == "large"]
    large.sort(key=lambda pair: (-pair[1], pair[0].name))
    return Shift(
        share=sum(part for _, part in large),
        survived=sum(share.get(one.name, 0.0) for one in during_test if one.level == "large"),
        features=tuple(large),
    )
