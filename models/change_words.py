"""What changed a score, as it is published: four parts in words, with the families that moved most, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from features.catalogue import FAMILY_WORDS
from features.feature_contract import FeatureContract
from models.boosting import FloatArray
from models.change_news import News
from models.trees import Int64Array
from models.worlds import Step

PARTS: Final = ("facts", "time", "model", "calibration")
SHOWN_FAMILIES: Final = 3
LEAST_TOLD: Final = 0.0005
"""What is smaller shows as no tenth of a percentage point."""
OTHER: Final = "other"
CORRECTED: Final = "corrected"
_REWRITTEN: Final = "the CRM now tells the time before otherwise"
_DIGITS: Final = 12
_NOISE: Final = 5e-12


def write_unsplit(*, previous: FloatArray, probability: FloatArray, since: pd.Timestamp, why: str) -> list[str]:
    """Return the change of each row that cannot be split, with the reason in place of the parts."""
    words = _text(f"not split: {why}")
    return [
        f'{_head(since, now - was)},"words":{words},"parts":[]}}'
        for was, now in zip(previous.tolist(), probability.tolist(), strict=True)
    ]


def write_change(
    *,
    previous: FloatArray,
    probability: FloatArray,
    since: pd.Timestamp,
    days: float,
    contract: FeatureContract,
    corrected: FloatArray,
    facts: Step,
    time: Step,
    model: FloatArray,
    calibration: FloatArray,
    exchange: tuple[str, str],
) -> list[str]:
    """Return one JSON text for each row: since when, the difference, it in words, and its four parts.

    A part's families add up to it, and the parts to the difference. ``corrected`` is what today's tables say of the
    earlier moment less what was published then; it belongs to the facts. ``exchange`` says what was exchanged of the
    model and of its calibration. Effects are rounded to 1e-12, and what rounding leaves goes to the largest part.
    """
    news, passed = News(facts, contract), _Families(time)
    of_facts = _Families(facts)
    difference = probability - previous
    effects = np.column_stack([facts.effects.sum(axis=1) + corrected, time.effects.sum(axis=1), model, calibration])
    effects = np.round(effects, _DIGITS) + 0.0
    largest = np.argmax(np.abs(effects), axis=1)
    rows = np.arange(len(effects))
    effects[rows, largest] = np.round(effects[rows, largest] + difference - effects.sum(axis=1), _DIGITS) + 0.0
    is_quiet: list[bool] = np.asarray(~facts.changed.any(axis=1)).tolist()
    long_ago = _days(days)
    texts = []
    for row, (quiet, fixed, gap) in enumerate(zip(is_quiet, corrected.tolist(), difference.tolist(), strict=True)):
        rewritten = abs(fixed) > _NOISE
        happened = "" if quiet else news.of(row)
        if abs(fixed) >= LEAST_TOLD:
            happened = f"{happened}, {_REWRITTEN}" if happened else _REWRITTEN
        words = (
            happened or ("nothing new" if quiet else "facts about others"),
            f"{long_ago} {'without anything new' if quiet else 'passed'}",
            *exchange,
        )
        moved = effects[row].tolist()
        families = (
            of_facts.of(row, moved[0], corrected=fixed if rewritten else 0.0) if rewritten or not quiet else "",
            passed.of(row, moved[1]),
            "",
            "",
        )
        parts = ",".join(
            f'{{"part":"{name}","effect":{effect!r},"words":{_text(said)},"families":[{own}]}}'
            for name, effect, said, own in zip(PARTS, moved, words, families, strict=True)
        )
        told = in_words([{"words": said, "effect": effect} for said, effect in zip(words, moved, strict=True)])
        texts.append(f'{_head(since, gap)},"words":{_text(told)},"parts":[{parts}]}}')
    return texts


def in_words(parts: Sequence[Mapping[str, Any]]) -> str:
    """Say the parts that show in tenths of a percentage point, the largest first.

    >>> in_words([{"words": "new: 1 × meeting", "effect": 0.041}, {"words": "6 days passed", "effect": -0.01}])
    '+4.1 percentage points: new: 1 × meeting; -1.0: 6 days passed'
    """
    told = sorted((one for one in parts if abs(one["effect"]) >= LEAST_TOLD), key=lambda one: -abs(one["effect"]))
    return "; ".join(
        f"{100 * one['effect']:+.1f}{' percentage points' if place == 0 else ''}: {one['words']}"
        for place, one in enumerate(told)
    )


class _Families:
    """The families of a step, each with its total and the feature that moved most, for all rows at once."""

    def __init__(self, step: Step) -> None:
        names = sorted({feature.family for feature in step.features})
        count = len(step.effects)
        self._step, self._names = step, names
        self._totals = np.zeros((count, len(names)))
        self._leads: Int64Array = np.zeros((count, len(names)), dtype=np.int64)
        for place, name in enumerate(names):
            own = np.flatnonzero([feature.family == name for feature in step.features])
            self._totals[:, place] = step.effects[:, own].sum(axis=1)
            self._leads[:, place] = own[np.argmax(np.abs(step.effects[:, own]), axis=1)]
        self._order = np.argsort(-np.abs(self._totals), axis=1, kind="stable")

    def of(self, row: int, whole: float, *, corrected: float = 0.0) -> str:
        """Return, as JSON, the families that moved most, in words, and the rest as one; they add up to ``whole``."""
        totals, leads = self._totals[row].tolist(), self._leads[row].tolist()
        order = [place for place in self._order[row].tolist() if totals[place]]
        told = [
            (
                self._names[place],
                totals[place],
                f"{FAMILY_WORDS[self._names[place]]} ({self._step.from_to(row, leads[place])})",
            )
            for place in order[:SHOWN_FAMILIES]
        ]
        if len(order) > SHOWN_FAMILIES:
            told.append((OTHER, sum(totals[place] for place in order[SHOWN_FAMILIES:]), "everything else"))
        if corrected:
            told.append((CORRECTED, corrected, _REWRITTEN))
        if not told:
            return ""
        effects = [round(effect, _DIGITS) + 0.0 for _, effect, _ in told]
        lead = max(range(len(effects)), key=lambda place: abs(effects[place]))
        effects[lead] = round(effects[lead] + whole - sum(effects), _DIGITS) + 0.0
        return ",".join(
            f'{{"family":"{name}","effect":{effect!r},"words":{_text(words)}}}'
            for (name, _, words), effect in zip(told, effects, strict=True)
        )


def _head(since: pd.Timestamp, difference: float) -> str:
    """Return how a text begins, up to its difference."""
    moment = since.isoformat().replace("+00:00", "Z")
    return f'{{"since":"{moment}","difference":{round(difference, _DIGITS) + 0.0!r}'


def _days(days: float) -> str:
    """Say a span of time.

    >>> [_days(value) for value in (0.25, 1.0, 6.04, 30.0)]
    ['6 hours', '1 day', '6 days', '30 days']
    """
    if days < 1:
        hours = round(24 * days)
        return "1 hour" if hours == 1 else f"{hours} hours"
    whole = round(days)
    return "1 day" if whole == 1 else f"{whole} days"


def _text(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)
