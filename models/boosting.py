"""LightGBM with the settings that make a run repeatable, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

FloatArray = NDArray[np.float64]


class BoosterSettings(BaseModel):
    """A small, strongly regularised gradient-boosted model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: int = Field(ge=1, description="Boosting rounds; more fit the past more closely.")
    leaves: int = Field(default=7, ge=2, description="Leaves of a tree; more allow finer interplay of features.")
    learning_rate: float = Field(default=0.04, gt=0, le=1, description="How much each tree may correct.")
    min_leaf_rows: int = Field(default=100, ge=1, description="No leaf rests on fewer rows than this.")
    l2: float = Field(default=50.0, ge=0, description="Shrinks the leaves' values towards zero.")
    feature_share: float = Field(default=0.2, gt=0, le=1, description="Share of features each tree may look at.")
    seed: int = Field(default=7, description="Another seed gives another, equally good model.")
    threads: int = Field(default=2, ge=1, description="Processor threads; the result does not depend on it.")


def fit_booster(
    *,
    features: pd.DataFrame,
    label: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
    categories: list[str],
    settings: BoosterSettings,
    classes: int = 2,
    start: Any | None = None,
) -> Any:
    """Fit a ``lightgbm.Booster``: binary for two classes, multinomial for more; on top of the trees of ``start``."""
    import lightgbm

    objective: dict[str, Any] = (
        {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    )
    parameters = objective | {
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf_rows,
        "lambda_l2": settings.l2,
        "feature_fraction": settings.feature_share,
        "seed": settings.seed,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "verbosity": -1,
    }
    dataset = lightgbm.Dataset(
        features.to_numpy(dtype=np.float64),
        label=label,
        weight=weight,
        feature_name=[f"f{column}" for column in range(features.shape[1])],
        categorical_feature=[list(features.columns).index(name) for name in categories],
        params={"verbosity": -1},
    )
    return lightgbm.train(parameters, dataset, num_boost_round=settings.trees, init_model=start)
