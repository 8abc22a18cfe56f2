"""The rows of a test window: outcomes and every scorer's probability, all fitted before the window began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import Question
from models.boosting import FloatArray
from models.evaluation import Evaluation, Protocol, evaluate
from models.metrics import AnyArray

SCORER_LABELS: Mapping[str, str] = {
    "model": "the model",
    "point_rules": "your point rules",
    "stage_manual": "the manual stage probability",
    "stage_observed": "the observed stage rate",
    "naive_bayes": "naive Bayes",
    "base_rate": "the base rate",
    "champion": "the version in use",
}


@dataclass(frozen=True)
class OutOfTime:
    """Snapshots of a test window. ``objects`` number the contacts or deals, the unit that intervals draw.

    ``stage`` (deals) is unique over pipelines; ``has_open_deal`` belongs to contacts. ``segments`` tell each row's
    value of the columns by which figures are broken down.
    """

    question: Question
    snapshots: pd.DataFrame
    y_obs: FloatArray
    weight: FloatArray
    objects: NDArray[np.int64]
    scores: Mapping[str, FloatArray]
    segments: Mapping[str, AnyArray]
    stage: AnyArray | None = None
    has_open_deal: AnyArray | None = None

    @property
    def positive_objects(self) -> int:
        """Count the distinct contacts or deals with a win."""
        return len(np.unique(self.objects[self.y_obs > 0]))

    @property
    def both_outcomes(self) -> bool:
        """Say whether there are wins and others, without which nothing can be judged."""
        return bool(0 < self.y_obs.sum() < len(self.y_obs))

    def keep(self, mask: NDArray[np.bool_]) -> OutOfTime:
        """Return the chosen rows."""
        return replace(
            self,
            snapshots=self.snapshots.loc[mask].reset_index(drop=True),
            y_obs=self.y_obs[mask],
            weight=self.weight[mask],
            objects=self.objects[mask],
            scores={name: values[mask] for name, values in self.scores.items()},
            segments={name: values[mask] for name, values in self.segments.items()},
            stage=None if self.stage is None else self.stage[mask],
            has_open_deal=None if self.has_open_deal is None else self.has_open_deal[mask],
        )

    def evaluate(
        self, *, as_of: pd.Timestamp, horizon_days: float, protocol: Protocol, replicates: int, seed: int
    ) -> Evaluation:
        """Measure every scorer on these rows."""
        return evaluate(
            question=self.question,
            as_of=as_of,
            horizon_days=horizon_days,
            protocol=protocol,
            y_obs=self.y_obs,
            scores=self.scores,
            labels=SCORER_LABELS,
            objects=self.objects,
            weight=self.weight,
            stage=self.stage,
            has_open_deal=self.has_open_deal,
            segments=self.segments,
            replicates=replicates,
            seed=seed,
        )
