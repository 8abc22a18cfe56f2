"""The verdict: is the model to be used, or is the company better served by its rules or a plain observed rate?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from models.evaluation import MODEL, Evaluation, Use, Verdict
from models.ladder import Rung, Step

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
    ici_margin: float = Field(
        default=0.01, ge=0, description="How far the calibration error may lie above what chance alone gives."
    )


def judge(*, evaluation: Evaluation | None, step: Step, note: str, settings: GateSettings) -> Verdict:
    """Decide what to publish from the test alone; every reason names its figures."""
    if evaluation is None:
        return Verdict(use=_without_test(step.rung), reasons=(f"not proven: {note}", step.reason))
    if step.rung == "base_rate" or step.rung == "stage_rate":
        return Verdict(use=step.rung, reasons=(step.reason, _measured(evaluation, SCORER_OF[step.rung])))
    if not step.is_model:
        against = [step.reason]
    elif MODEL not in evaluation.scorers:
        against = [f"not proven: {step.reason}, but when the test began there were too few to fit it then"]
    else:
        against = _against(evaluation, settings=settings)
    if against:
        best = best_fallback(evaluation)
        return Verdict(use=FALLBACKS[best], reasons=(*against, f"best {_measured(evaluation, best)}"))
    return Verdict(use="model", reasons=tuple(_in_favour(evaluation, settings=settings)))


def best_fallback(evaluation: Evaluation) -> str:
    """Return the publishable baseline with the lowest log loss; between equals, the one named first."""
    present = [name for name in FALLBACKS if name in evaluation.scorers]
    return min(present, key=lambda name: evaluation.scorers[name].metrics["log_loss"].value)


def calibration_failures(evaluation: Evaluation, scorer: str, *, settings: GateSettings) -> list[str]:
    """Say in which ways a scorer's probabilities failed the calibration test.

    Predicted / observed fails where its whole 95 % interval lies outside the band: with few winners the value alone
    leaves the band by chance.
    """
    measured = evaluation.scorers[scorer]
    ratio, ici = measured.metrics["predicted_over_observed"], measured.metrics["ici"]
    failures = []
    if not (ratio.low <= settings.max_ratio and ratio.high >= settings.min_ratio):
        failures.append(
            f"it predicted {ratio.value:.2f} times the wins that came (95 % {ratio.low:.2f} to {ratio.high:.2f}, "
            f"allowed {settings.min_ratio:g} to {settings.max_ratio:g})"
        )
    limit = measured.calibration_null.ici_95 + settings.ici_margin
    if ici.value > limit:
        failures.append(
            f"its probabilities were off by {ici.value * 100:.1f} points on average; chance and the allowed margin "
            f"explain {limit * 100:.1f}"
        )
    return failures


def _against(evaluation: Evaluation, *, settings: GateSettings) -> list[str]:
    reasons = []
    if evaluation.positive_objects < settings.min_positive_objects:
        reasons.append(
            f"the test holds {evaluation.positive_objects} winners; {settings.min_positive_objects} are needed"
        )
    for name, difference in evaluation.differences.items():
        loss = difference["log_loss"]
        if not loss.value < 0:
            reasons.append(
                f"it does not beat {evaluation.scorers[name].label} (log loss {loss.value:+.4f}, "
                f"95 % {loss.low:+.4f} to {loss.high:+.4f})"
            )
        elif name in FALLBACKS and not loss.high < 0:
            reasons.append(
                f"its lead over {evaluation.scorers[name].label} may be chance (log loss {loss.value:+.4f}, "
                f"95 % {loss.low:+.4f} to {loss.high:+.4f})"
            )
    return reasons


def _in_favour(evaluation: Evaluation, *, settings: GateSettings) -> list[str]:
    best = best_fallback(evaluation)
    loss = evaluation.differences[best]["log_loss"]
    ratio = evaluation.scorers[MODEL].metrics["predicted_over_observed"].value
    failures = calibration_failures(evaluation, MODEL, settings=settings)
    trust = (
        f"its order may be used, its percentages may not, so none are published: {'; '.join(failures)}"
        if failures
        else f"its percentages hold: it predicted {ratio:.2f} times the wins that came"
    )
    return [
        f"it beats {evaluation.scorers[best].label}, the best that could be published instead, on later outcomes "
        f"(log loss {loss.value:+.4f}, 95 % {loss.low:+.4f} to {loss.high:+.4f}; lower is better)",
        trust,
    ]


def _measured(evaluation: Evaluation, name: str) -> str:
    metrics = evaluation.scorers[name].metrics
    return f"on the same test: {evaluation.scorers[name].label} (log loss {metrics['log_loss'].value:.4f})"


def _without_test(rung: Rung) -> Use:
    if rung == "base_rate" or rung == "stage_rate":
        return rung
    return "rules"
