"""The gate's answer in plain words, for people who never saw a log loss: what to use, what was tried, what it means."""

from __future__ import annotations

from math import isfinite

from models.champion import ChampionTest
from models.evaluation import MODEL, Evaluation, Use

_RULE: dict[Use, str] = {
    "rules": "your point rules",
    "stage_rate": "how often past deals in the same stage were won",
    "base_rate": "one average for all",
}
_SHOWN = (MODEL, "point_rules", "stage_manual")


def answer(
    *, evaluation: Evaluation | None, use: Use, promote: bool, trusted: bool, champion: ChampionTest | None
) -> str:
    """Say in two or three sentences what is used from now on, and on what ground."""
    if not promote and champion is not None:
        live = "the model" if champion.use == "model" else _RULE[champion.use]
        return f"Nothing changes: {live} of version {champion.version} stays in use. {_what_was_tried(evaluation, use)}"
    if use != "model":
        head = {"rules": "Keep the rule", "stage_rate": "Use the stage", "base_rate": "Use the average"}[use]
        return f"{head}: what is published rests on {_RULE[use]}. {_what_was_tried(evaluation, use)}"
    what = "the model, with its percentages" if trusted else "the order that the model gives, not its percentages"
    return f"Use {what}. {_what_was_tried(evaluation, use)}"


def _what_was_tried(evaluation: Evaluation | None, use: Use) -> str:
    if evaluation is None:
        return "The history is too short to test anything on later outcomes, so nothing more is claimed."
    noun = evaluation.question
    tried = (
        f"It was tried on {evaluation.objects:,} {noun} as they stood in the past, {evaluation.positive_objects:,} of "
        "whom were won later"
        if noun == "contacts"
        else f"It was tried on {evaluation.objects:,} deals as they stood in the past, "
        f"{evaluation.positive_objects:,} of which were won later"
    )
    held = [
        f"{measured.value:.0%} by {scorer.label}"
        for name, scorer in evaluation.scorers.items()
        if name in _SHOWN and (measured := scorer.metrics.get("capture_20")) is not None and isfinite(measured.value)
    ]
    found = f"{tried}; of these the best fifth of the list held {', '.join(held)}." if held else f"{tried}."
    meaning = {
        "model": "",
        "rules": " A learned model did not do surely better, and the rules are understood by everybody.",
        "stage_rate": " Nothing told the deals of one stage apart with certainty.",
        "base_rate": " No order of them could be relied on.",
    }[use]
    return f"{found}{meaning}"
