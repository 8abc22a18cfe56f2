"""Win rates by stage: the observed one over calendar snapshots, and the one that someone typed into the CRM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.errors import LeadScoringError
from models.metrics import AnyArray, FloatArray, as_float, weighted_mean

PSEUDO_DEALS: Final = 20.0
"""So many deals at the parent's rate are mixed into each rate: a stage with 20 deals is half its own."""

LOWEST: Final = 0.001
"""Manual probabilities are kept this far from 0 and 1: a stage at 0 % of which one deal is won would make the log loss
infinite, and the baseline would lose by a typing habit rather than by its judgement."""


class StageRateError(LeadScoringError):
    """There is nothing to observe a stage's win rate on."""


@dataclass(frozen=True)
class StageRates:
    """Observed win rate of each (pipeline, stage), with the pipeline's and the overall rate for those never seen."""

    overall: float
    pipelines: Mapping[str, float]
    stages: Mapping[tuple[str, str], float]

    @classmethod
    def fit(
        cls,
        *,
        pipeline: AnyArray,
        stage: AnyArray,
        y: AnyArray,
        deal_id: AnyArray,
        weight: AnyArray | None = None,
        pseudo_deals: float = PSEUDO_DEALS,
    ) -> StageRates:
        """Average the outcome over snapshots of open deals, shrunk by the number of distinct deals.

        A rate is (deals x weighted mean + ``pseudo_deals`` x parent's rate) / (deals + ``pseudo_deals``); the parent
        of a stage is its pipeline, of a pipeline all deals. The overall rate takes one more deal, half won, so that
        no rate is 0 or 1. Rows repeat a deal, so it is deals, not rows, that say how much a rate can be trusted.
        """
        if not len(y):
            raise StageRateError(
                "a stage rate needs at least one snapshot of a deal, found none; load a longer history"
            )
        rows = pd.DataFrame(
            {
                "pipeline": _words(pipeline),
                "stage": _words(stage),
                "y": as_float(y),
                "deal_id": _words(deal_id),
                "weight": np.ones(len(y)) if weight is None else as_float(weight),
            }
        )
        rows = rows[rows["weight"] > 0.0]
        overall = _shrunk(rows, parent=0.5, pseudo_deals=1.0)
        pipelines = {
            str(name): _shrunk(part, parent=overall, pseudo_deals=pseudo_deals)
            for name, part in rows.groupby("pipeline")
        }
        stages = {
            (str(name), str(step)): _shrunk(part, parent=pipelines[str(name)], pseudo_deals=pseudo_deals)
            for (name, step), part in rows.groupby(["pipeline", "stage"])
        }
        return cls(overall=overall, pipelines=pipelines, stages=stages)

    def predict(self, *, pipeline: AnyArray, stage: AnyArray) -> FloatArray:
        """Rate of each row's stage; an unseen stage takes its pipeline's rate, an unseen pipeline the overall one."""
        return np.array(
            [
                self.stages.get((name, step), self.pipelines.get(name, self.overall))
                for name, step in zip(_words(pipeline), _words(stage), strict=True)
            ],
            dtype=np.float64,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "overall": self.overall,
            "pipelines": dict(self.pipelines),
            "stages": _nest(self.stages),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> StageRates:
        """Rebuild what ``to_dict`` returned."""
        return cls(overall=plain["overall"], pipelines=dict(plain["pipelines"]), stages=_flatten(plain["stages"]))


@dataclass(frozen=True)
class ManualStageProbabilities:
    """The probability that the CRM's stages table states for each (pipeline, stage), and one for those without."""

    base_rate: float
    stages: Mapping[tuple[str, str], float]

    @classmethod
    def from_stages(cls, *, stages: pd.DataFrame, base_rate: float) -> ManualStageProbabilities:
        """Read the ``probability`` (0..1) of the stages table; a missing one becomes the observed ``base_rate``.

        All are clipped into ``LOWEST`` .. 1 - ``LOWEST``.
        """
        stated = {
            (str(name), str(step)): _clip(float(probability))
            for name, step, probability in zip(stages["pipeline"], stages["stage"], stages["probability"], strict=True)
            if not math.isnan(probability)
        }
        return cls(base_rate=_clip(base_rate), stages=stated)

    def predict(self, *, pipeline: AnyArray, stage: AnyArray) -> FloatArray:
        """Stated probability of each row's stage, or the base rate where none is stated."""
        return np.array(
            [
                self.stages.get((name, step), self.base_rate)
                for name, step in zip(_words(pipeline), _words(stage), strict=True)
            ],
            dtype=np.float64,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"base_rate": self.base_rate, "stages": _nest(self.stages)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ManualStageProbabilities:
        """Rebuild what ``to_dict`` returned."""
        return cls(base_rate=plain["base_rate"], stages=_flatten(plain["stages"]))


def _shrunk(rows: pd.DataFrame, *, parent: float, pseudo_deals: float) -> float:
    deals = rows["deal_id"].nunique()
    if not deals:
        return parent
    rate = weighted_mean(rows["y"].to_numpy(), rows["weight"].to_numpy())
    return float((deals * rate + pseudo_deals * parent) / (deals + pseudo_deals))


def _clip(probability: float) -> float:
    return min(max(probability, LOWEST), 1.0 - LOWEST)


def _words(values: AnyArray) -> list[str]:
    return [str(value) for value in values]


def _nest(stages: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    nested: dict[str, dict[str, float]] = {}
    for (name, step), rate in stages.items():
        nested.setdefault(name, {})[step] = rate
    return nested


def _flatten(nested: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, str], float]:
    return {(name, step): rate for name, steps in nested.items() for step, rate in steps.items()}
