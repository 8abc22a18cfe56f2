"""The gate: is the challenger to be used, does the champion stay, or is the company better served by its rules?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.champion import ChampionTest
from models.evaluation import ALIKE, CHAMPION, MODEL, Estimate, Evaluation, Use, Verdict
from models.gate import FALLBACKS, SCORER_OF, GateSettings, best_fallback, calibration_failures
from models.ladder import Rung, Step
from models.plain_answer import answer
from models.shift import NAMED, Shift
from models.stability import Stability

_ALIKE_WORDS: Final = {
    "auc_no_open_deal": "contacts without an open deal",
    "auc_within_stage": "deals in the same stage",
}


@dataclass(frozen=True)
class Evidence:
    """All that a challenger is judged by, besides its settings.

    ``suspects`` are the features in use that look like leaks and are vouched for, with what says so. Without a test
    ``evaluation`` is None and ``note`` says why; the rest is None where it was not looked at.
    """

    evaluation: Evaluation | None
    step: Step
    note: str
    suspects: Mapping[str, str]
    shift: Shift | None = None
    stability: Stability | None = None
    champion: ChampionTest | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in no other part of the evaluation, as plain data for JSON."""
        return {
            "champion": None if self.champion is None else self.champion.to_dict(),
            "shift": None if self.shift is None else self.shift.to_dict(),
            "stability": None if self.stability is None else self.stability.to_dict(),
        }


def judge(evidence: Evidence, *, settings: GateSettings, publishable: Sequence[Use]) -> Verdict:
    """Decide what to publish from outcomes alone; every reason names its figures.

    ``publishable`` are the fallbacks that can be published here, one of them for want of all others last.
    """
    use, reasons = _without_champion(evidence, settings=settings, publishable=publishable)
    promote, about_champion = _beside_champion(evidence, use=use, settings=settings)
    told = (*reasons, *about_champion)
    return Verdict(
        use=use,
        reasons=told,
        promote=promote,
        answer=answer(
            evaluation=evidence.evaluation,
            use=use,
            promote=promote,
            trusted=evidence.evaluation is None
            or not calibration_failures(evidence.evaluation, SCORER_OF[use], settings=settings),
            champion=evidence.champion,
        ),
    )


def _without_champion(
    evidence: Evidence, *, settings: GateSettings, publishable: Sequence[Use]
) -> tuple[Use, tuple[str, ...]]:
    evaluation, step = evidence.evaluation, evidence.step
    if evaluation is None:
        use = _without_test(step.rung)
        return use if use in publishable else publishable[-1], (f"not proven: {evidence.note}", step.reason)
    if step.rung == "base_rate" or step.rung == "stage_rate":
        return step.rung, (step.reason, _measured(evaluation, SCORER_OF[step.rung]))
    if not step.is_model:
        against = [step.reason]
    elif MODEL not in evaluation.scorers:
        against = [f"not proven: {step.reason}, but when the test began there were too few to fit it then"]
    else:
        against = _against(evidence, evaluation, settings=settings)
    if against:
        best = best_fallback(evaluation, publishable=publishable)
        return FALLBACKS[best], (*against, f"best {_measured(evaluation, best)}")
    return "model", tuple(_in_favour(evaluation, settings=settings))


def _against(evidence: Evidence, evaluation: Evaluation, *, settings: GateSettings) -> list[str]:
    reasons = []
    if evaluation.positive_objects < settings.min_positive_objects:
        reasons.append(
            f"the test holds {evaluation.positive_objects} winners; {settings.min_positive_objects} are needed"
        )
    reasons += _leaks(evidence, evaluation, settings=settings)
    for name, difference in evaluation.differences.items():
        loss = difference["log_loss"]
        if not loss.value < 0:
            reasons.append(
                f"it does not beat {evaluation.scorers[name].label} (log loss {loss.value:+.4f}, {_ends(loss)})"
            )
        elif name in FALLBACKS and not loss.high < 0:
            reasons.append(
                f"its lead over {evaluation.scorers[name].label} may be chance "
                f"(log loss {loss.value:+.4f}, {_ends(loss)})"
            )
        alike = difference.get(ALIKE[evaluation.question])
        if alike is not None and alike.value < -settings.rank_margin:
            reasons.append(
                f"among {_ALIKE_WORDS[ALIKE[evaluation.question]]} it ranks worse than "
                f"{evaluation.scorers[name].label} (AUC {alike.value:+.3f}, 95 % {alike.low:+.3f} to {alike.high:+.3f})"
            )
    shift = evidence.shift
    if shift is not None and shift.share > max(settings.max_shift, shift.survived):
        named = ", ".join(f"{one.words or one.name} (PSI {one.psi:.1f})" for one, _ in shift.features[:NAMED])
        reasons.append(
            f"those to be scored are not like those it was tested on: {shift.share:.0%} of what it looks at has "
            f"drifted far, {settings.max_shift:.0%} is allowed; most of all {named}"
        )
    stability = evidence.stability
    if stability is not None and stability.top_family < settings.min_stability:
        reasons.append(
            f"its reasons are not stable: in {stability.refits} refits on redrawn data the first reason stayed the "
            f"same for {stability.top_family:.0%}, {settings.min_stability:.0%} are needed"
        )
    return reasons


def _leaks(evidence: Evidence, evaluation: Evaluation, *, settings: GateSettings) -> list[str]:
    reasons = []
    if evidence.suspects and not settings.trust_vouched:
        told = "; ".join(f"{name}: {why}" for name, why in evidence.suspects.items())
        reasons.append(
            f"it rests on what looks like a leak, so its test proves nothing ({told}); take it out of properties.safe, "
            "or set gate.trust_vouched if you are sure"
        )
    alike = evaluation.scorers[MODEL].metrics.get(ALIKE[evaluation.question])
    if alike is not None and alike.low > settings.max_auc_alike:
        reasons.append(
            f"it is too good to be true: AUC {alike.value:.3f} among {_ALIKE_WORDS[ALIKE[evaluation.question]]} "
            f"(95 % from {alike.low:.3f}; above {settings.max_auc_alike:g} only a leak is likely)"
        )
    return reasons


def _beside_champion(evidence: Evidence, *, use: Use, settings: GateSettings) -> tuple[bool, tuple[str, ...]]:
    """Say whether the challenger's answer replaces the champion's, and why."""
    champion = evidence.champion
    if champion is None:
        return True, ()
    name = f"the champion (version {champion.version})"
    if use != "model":
        return _refused_beside(champion, name, evidence, use=use)
    if champion.evaluation is None:
        return True, (f"it was not compared with {name}: {champion.why_not}",)
    lead = champion.evaluation.differences[CHAMPION]["log_loss"]
    figures = (
        f"log loss {lead.value:+.4f}, {_ends(lead)}, on {champion.evaluation.rows:,} later rows of "
        f"{champion.evaluation.objects:,} {champion.evaluation.question}"
    )
    if not lead.high < settings.champion_margin:
        return False, (f"{name} stays: the challenger is not surely better ({figures})",)
    failed, holds = (
        calibration_failures(champion.evaluation, scorer, settings=settings) for scorer in (MODEL, CHAMPION)
    )
    if failed and not holds:
        return False, (f"{name} stays: its percentages hold on the same rows, and those of the challenger do not",)
    return True, (f"it beats {name} on the same rows ({figures})",)


def _refused_beside(champion: ChampionTest, name: str, evidence: Evidence, *, use: Use) -> tuple[bool, tuple[str, ...]]:
    """Say whether a fallback replaces the champion: a bad challenger must not unseat a good model."""
    if champion.use != "model" or not champion.same_question:
        return True, ()
    if champion.features & set(evidence.suspects):
        return True, (f"{name} rests on the same columns, so it goes as well",)
    if champion.evaluation is not None:
        fallback, own = (
            champion.evaluation.scorers[scorer].metrics["log_loss"].value for scorer in (SCORER_OF[use], CHAMPION)
        )
        figures = f"log loss {own:.4f} against {fallback:.4f} on the same rows"
        if own < fallback:
            return False, (f"{name} stays: it is better than what would replace it ({figures})",)
        return True, (f"{name} goes: it is no better than what replaces it ({figures})",)
    if evidence.evaluation is None:
        return False, (f"{name} stays: what was proven is not replaced by what cannot be tested",)
    if not champion.same_settings:
        return False, (f"{name} stays: it was trained with other settings, of which this test says nothing",)
    return True, (f"{name} goes: it was made in the same way, which has just failed ({champion.why_not})",)


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
        f"(log loss {loss.value:+.4f}, {_ends(loss)}; lower is better)",
        trust,
    ]


def _ends(estimate: Estimate) -> str:
    return f"95 % {estimate.low:+.4f} to {estimate.high:+.4f}"


def _measured(evaluation: Evaluation, name: str) -> str:
    metrics = evaluation.scorers[name].metrics
    return f"on the same test: {evaluation.scorers[name].label} (log loss {metrics['log_loss'].value:.4f})"


def _without_test(rung: Rung) -> Use:
    if rung == "base_rate" or rung == "stage_rate":
        return rung
    return "rules"
