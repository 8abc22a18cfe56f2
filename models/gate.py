"""What the gate asks of a model, and the parts of its judgement that need nothing but the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from models.evaluation import CHAMPION, MODEL, Evaluation, Use

FALLBACKS: Final[Mapping[str, Use]] = {
    "point_rules": "rules",
    "stage_observed": "stage_rate",
    "base_rate": "base_rate",
}
"""Baselines that can be published in the model's place; their probability was fitted on the past too."""
SCORER_OF: Final[Mapping[Use, str]] = {
    "model": MODEL,
    "rules": "point_rules",
    "stage_rate": "stage_observed",
    "base_rate": "base_rate",
}
"""Which scorer of the evaluation is published, for each answer."""


class GateSettings(BaseModel):
    """What a model must show on outcomes later than everything it was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_positive_objects: int = Field(
        default=20, ge=1, description="Distinct winners the test must hold before it can prove anything."
    )
    min_ratio: float = Field(default=0.8, gt=0, description="Least predicted / observed.")
    max_ratio: float = Field(default=1.25, gt=0, description="Greatest predicted / observed.")
    min_slope: float = Field(
        default=0.8, gt=0, description="Least slope of the outcomes over the log-odds; below it they are too extreme."
    )
    max_slope: float = Field(default=1.25, gt=0, description="Greatest slope; above it they are too timid.")
    ici_margin: float = Field(
        default=0.01, ge=0, description="How far the calibration error may lie above what chance alone gives."
    )
    rank_margin: float = Field(
        default=0.02,
        ge=0,
        description="How far the AUC among those alike (no open deal, same stage) may lie below a baseline's.",
    )
    max_auc_alike: float = Field(
        default=0.97, gt=0.5, le=1, description="An AUC among those alike that surely lies above is a leak."
    )
    champion_margin: float = Field(
        default=0.0,
        ge=0,
        description="A challenger must surely lose less than this more than the champion (log loss); 0: surely better.",
    )
    max_shift: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of what a model looks at that may drift far (PSI) after the test, if no more did before it.",
    )
    trust_vouched: bool = Field(
        default=False, description="Use a model on columns that look like leaks, because you vouch for them."
    )
    stability_refits: int = Field(
        default=0, ge=0, description="Refits on redrawn data before a promotion; 0 leaves them to the backtest."
    )
    min_stability: float = Field(
        default=0.85, ge=0, le=1, description="Share whose first reason must stay the same in a refit."
    )


def best_fallback(evaluation: Evaluation, *, publishable: Sequence[Use] | None = None) -> str:
    """Return the publishable baseline with the lowest log loss; between equals, the one named first."""
    present = [
        name
        for name, use in FALLBACKS.items()
        if name in evaluation.scorers and (publishable is None or use in publishable)
    ]
    return min(present, key=lambda name: evaluation.scorers[name].metrics["log_loss"].value)


def calibration_failures(evaluation: Evaluation, scorer: str, *, settings: GateSettings) -> list[str]:
    """Say in which ways a scorer's probabilities failed the calibration test.

    Predicted / observed and the slope fail where their whole 95 % interval lies outside the band: with few winners
    the value alone leaves the band by chance. The slope is asked of models only: observed rates are shrunk on purpose.
    """
    measured = evaluation.scorers[scorer]
    ratio, ici, slope = (measured.metrics.get(name) for name in ("predicted_over_observed", "ici", "slope"))
    failures = []
    if ratio is not None and not (ratio.low <= settings.max_ratio and ratio.high >= settings.min_ratio):
        failures.append(
            f"it predicted {ratio.value:.2f} times the wins that came (95 % {ratio.low:.2f} to {ratio.high:.2f}, "
            f"allowed {settings.min_ratio:g} to {settings.max_ratio:g})"
        )
    if (
        scorer in (MODEL, CHAMPION)
        and slope is not None
        and (slope.low > settings.max_slope or slope.high < settings.min_slope)
    ):
        kind = "extreme" if slope.high < settings.min_slope else "timid"
        failures.append(
            f"its probabilities are too {kind}: slope {slope.value:.2f} (95 % {slope.low:.2f} to {slope.high:.2f}, "
            f"allowed {settings.min_slope:g} to {settings.max_slope:g})"
        )
    limit = measured.calibration_null.ici_95 + settings.ici_margin
    if ici is not None and ici.value > limit:
        failures.append(
            f"its probabilities were off by {ici.value * 100:.1f} points on average; chance and the allowed margin "
            f"explain {limit * 100:.1f}"
        )
    return failures
