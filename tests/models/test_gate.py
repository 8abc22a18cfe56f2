"""Promise 10: a bad model is not promoted. Bad models of every kind, made on purpose, through the real gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import Feature
from models.boosting import BoosterSettings, FloatArray, fit_booster
from models.champion import ChampionTest
from models.drift import drift, drift_reference
from models.evaluation import Evaluation, Protocol, Verdict
from models.gate import GateSettings, calibration_failures
from models.ladder import LadderSettings, Step, contact_step
from models.out_of_time import OutOfTime
from models.promotion import Evidence, judge
from models.shift import population_shift
from models.stability import Stability

NOW = pd.Timestamp("2026-01-01", tz="UTC")
CONTACTS = 1200
GATE = GateSettings()


def log_odds(probability: FloatArray) -> FloatArray:
    return np.asarray(np.log(probability / (1 - probability)))


def chance(odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-odds)))


@dataclass
class World:
    """Contacts whose true chance is known: a fifth has an open deal, which helps a lot."""

    seed: int = 1
    truth: FloatArray = field(init=False)
    y_obs: FloatArray = field(init=False)
    open_deal: np.ndarray = field(init=False)
    signal: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)
        self.open_deal = self.generator.random(CONTACTS) < 0.2
        self.signal = self.generator.normal(size=CONTACTS)
        self.truth = chance(-3.0 + 2.5 * self.open_deal + 2.0 * self.signal)
        self.y_obs = (self.generator.random(CONTACTS) < self.truth).astype(float)
        self.noise = self.generator.normal(size=CONTACTS)

    @property
    def rules(self) -> FloatArray:
        """What a rule sheet knows: a part of the signal."""
        return chance(-2.2 + 1.8 * self.open_deal + 0.4 * self.signal + 0.3 * self.noise)

    @property
    def averages(self) -> FloatArray:
        """Right on average with and without an open deal: coarse, and calibrated."""
        group = self.open_deal.astype(int)
        return np.asarray(np.bincount(group, weights=self.y_obs)[group] / np.bincount(group)[group])

    def rows(self, model: FloatArray | None, **more: FloatArray) -> OutOfTime:
        scores = {} if model is None else {"model": model}
        scores |= {"point_rules": self.rules, "base_rate": np.full(CONTACTS, 0.17)} | more
        return OutOfTime(
            question="contacts",
            snapshots=pd.DataFrame({"contact": np.arange(CONTACTS)}),
            y_obs=self.y_obs,
            weight=np.ones(CONTACTS),
            objects=np.arange(CONTACTS),
            # Rounded, as few distinct probabilities are measured quickly.
            scores={name: np.clip(np.round(values, 3), 0.001, 0.999) for name, values in scores.items()},
            segments={},
            has_open_deal=self.open_deal,
        )


def measured(rows: OutOfTime) -> Evaluation:
    protocol = Protocol(None, None, None, None, NOW, NOW, 90.0, "made up")
    return rows.evaluate(as_of=NOW, horizon_days=90.0, protocol=protocol, replicates=40, seed=5)


def evidence(evaluation: Evaluation | None, **changes: Any) -> Evidence:
    step = contact_step(winning_contacts=500, settings=LadderSettings())
    return replace(Evidence(evaluation=evaluation, step=step, note="the history is short", suspects={}), **changes)


def of(model: FloatArray, world: World, **changes: Any) -> Evidence:
    return evidence(measured(world.rows(model)), **changes)


def beside_champion(model: FloatArray, champion: FloatArray, world: World, **about: Any) -> Evidence:
    compared = measured(world.rows(model, champion=champion))
    told = ChampionTest(
        version="3",
        trained_as_of=NOW,
        use="model",
        same_question=True,
        same_settings=True,
        evaluation=compared,
    )
    return of(model, world, champion=replace(told, **about))


def refused(verdict: Verdict, found: Evidence) -> bool:
    """Not promoted, or promoted without its percentages: no such probability reaches anybody."""
    if verdict.use != "model" or not verdict.promote:
        return True
    assert found.evaluation is not None
    return bool(calibration_failures(found.evaluation, "model", settings=GATE))


def ask(found: Evidence) -> Verdict:
    return judge(found, settings=GATE, publishable=("rules", "base_rate"))


def few_winners() -> Evidence:
    world = World()
    winners = np.flatnonzero(world.y_obs)
    lost = np.isin(np.arange(CONTACTS), winners[19:])
    return evidence(measured(world.rows(world.truth).keep(~lost)))


def shuffled(world: World, *, seed: int) -> FloatArray:
    return np.random.default_rng(seed).permutation(world.truth)


def shifted() -> Evidence:
    """A model that looks at the company's size, of a CRM that has just bought addresses of large companies."""
    generator = np.random.default_rng(2)
    size = Feature(name="size", family="profile", unit="number", words="company size")
    past, tested = (pd.DataFrame({"size": generator.normal(size=2000)}) for _ in range(2))
    won = (generator.random(2000) < chance(past["size"].to_numpy())).astype(float)
    booster = fit_booster(
        features=past, label=won, weight=None, categories=[], settings=BoosterSettings(trees=5, threads=1)
    )
    everyone = np.arange(2000)
    shift = population_shift(
        booster=booster,
        features=[size],
        during_test=drift(
            reference=drift_reference(features=[size], matrix=past, objects=everyone), matrix=tested, objects=everyone
        ),
        tested=tested,
        tested_objects=everyone,
        scored=past + 2.0,
        scored_objects=everyone,
    )
    world = World()
    return of(world.truth, world, shift=shift)


def good() -> Evidence:
    world = World()
    return of(world.truth, world)


BAD: dict[str, tuple[Callable[[], Evidence], str]] = {
    "shuffled labels": (lambda: of(shuffled(w := World(), seed=1), w), "it does not beat the base rate"),
    "shuffled labels again": (lambda: of(shuffled(w := World(4), seed=9), w), "it does not beat the base rate"),
    "labels upside down": (lambda: of(1 - (w := World()).truth, w), "it does not beat your point rules"),
    "one rate for all": (lambda: of(np.full(CONTACTS, 0.18), World()), "it does not beat your point rules"),
    "worse than the rules": (
        lambda: of(chance(log_odds((w := World()).truth) + 3.0 * w.noise), w),
        "it does not beat your point rules",
    ),
    "hardly better than the rules": (
        lambda: of(chance(log_odds((w := World()).rules) + 0.03 * w.signal + 0.3 * np.sin(99 * w.signal)), w),
        "may be chance",
    ),
    "worse than naive Bayes": (
        lambda: evidence(
            measured((w := World()).rows(chance(log_odds(w.truth) * 0.8 - 0.4), naive_bayes=w.truth))
        ),
        "it does not beat naive Bayes",
    ),
    "knows open deals and nothing else": (
        lambda: of(np.where((w := World()).open_deal, w.truth, 0.11 - 0.001 * w.signal), w),
        "among contacts without an open deal it ranks worse than your point rules",
    ),
    "too bold": (lambda: of(chance(1.8 * log_odds((w := World()).truth) + 1.0), w), "too extreme: slope"),
    "too timid": (lambda: of(chance(0.6 * log_odds((w := World()).truth) - 0.4), w), "too timid: slope"),
    "promises twice what comes": (
        lambda: of(chance(log_odds((w := World()).truth) + 0.9), w), "times the wins that came"
    ),
    "promises half of what comes": (lambda: of((w := World()).truth * 0.55, w), "times the wins that came"),
    "right on average only": (
        lambda: of(np.where((w := World()).truth > 0.35, 0.9 * w.truth - 0.2, w.truth * 1.25), w),
        "points on average; chance and the allowed margin",
    ),
    "rests on a leak that somebody vouched for": (
        lambda: of((w := World()).truth, w, suspects={"property_lifecyclestage": "too good to be true: AUC 0.97"}),
        "it rests on what looks like a leak",
    ),
    "rests on what is filled after the outcome": (
        lambda: of((w := World()).truth, w, suspects={"property_closed_reason": "filled only once the outcome is"}),
        "it rests on what looks like a leak",
    ),
    "too good to be true": (
        lambda: of(chance(log_odds((w := World()).truth) * 0.2 + np.where(w.y_obs > 0, 4.5, -4.5)), w),
        "it is too good to be true",
    ),
    "too few winners in the test": (few_winners, "the test holds 19 winners; 20 are needed"),
    "no test": (lambda: evidence(None), "not proven: the history is short"),
    "too few winners to learn from": (
        lambda: evidence(
            measured(World().rows(None)), step=contact_step(winning_contacts=79, settings=LadderSettings())
        ),
        "79 winning contacts were found; 80 are needed to try a model",
    ),
    "not fitted when the test began": (lambda: evidence(measured(World().rows(None))), "not proven: 500 winning"),
    "another population": (shifted, "those to be scored are not like those it was tested on: 100% of what it looks at"),
    "reasons that change with every refit": (
        lambda: of((w := World()).truth, w, stability=Stability(5, 1000, 0.84, 0.7, 0.9, 0.8)),
        "the first reason stayed the same for 84%, 85% are needed",
    ),
    "worse than the champion": (
        lambda: beside_champion(chance(log_odds((w := World()).truth) * 0.85 + 0.3 * w.signal), w.truth, w),
        "the champion (version 3) stays: the challenger is not surely better",
    ),
    "as good as the champion": (
        lambda: beside_champion((w := World()).truth, w.truth, w), "not surely better (log loss +0.0000"
    ),
    "better than the champion, but its percentages do not hold": (
        lambda: beside_champion(
            chance(1.6 * log_odds((w := World()).truth) + 0.6), w.averages, w
        ),
        "its percentages hold on the same rows, and those of the challenger do not",
    ),
}  # fmt: skip


def test_at_least_twenty_bad_models_are_made() -> None:
    assert len(BAD) >= 20


def test_a_good_model_passes_the_same_gate() -> None:
    found = good()

    verdict = ask(found)

    assert (verdict.use, verdict.promote) == ("model", True), verdict.reasons
    assert not refused(verdict, found)


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_model_is_refused_with_its_reason(kind: str) -> None:
    make, reason = BAD[kind]
    found = make()

    verdict = ask(found)

    assert refused(verdict, found)
    assert any(reason in told for told in verdict.reasons), verdict.reasons


def test_a_suspect_is_used_once_somebody_is_surely_sure() -> None:
    world = World()
    found = of(world.truth, world, suspects={"property_a": "too good to be true: AUC 0.97"})

    verdict = judge(found, settings=GateSettings(trust_vouched=True), publishable=("rules", "base_rate"))

    assert verdict.use == "model"


def test_a_shift_as_great_as_that_of_the_test_is_no_reason_against_it() -> None:
    found = shifted()
    assert found.shift is not None

    verdict = ask(replace(found, shift=replace(found.shift, survived=1.0)))

    assert verdict.use == "model"


def test_a_challenger_that_surely_beats_the_champion_replaces_it() -> None:
    world = World()

    verdict = ask(beside_champion(world.truth, world.rules, world))

    assert verdict.promote
    assert verdict.reasons[-1].startswith("it beats the champion (version 3) on the same rows (log loss -")


def test_a_margin_lets_an_equal_challenger_in() -> None:
    world = World()
    found = beside_champion(world.truth, world.truth, world)

    verdict = judge(found, settings=GateSettings(champion_margin=0.002), publishable=("rules", "base_rate"))

    assert verdict.promote


@pytest.mark.parametrize(
    ("about", "promote", "told"),
    [
        ({}, False, "the champion (version 3) stays: it is better than what would replace it"),
        ({"use": "rules"}, True, "best on the same test"),
        ({"same_question": False, "evaluation": None, "why_not": "other"}, True, "best on the same test"),
        ({"evaluation": None, "why_not": "too young"}, True, "it was made in the same way, which has just failed"),
        (
            {"evaluation": None, "why_not": "too young", "same_settings": False},
            False,
            "of which this test says nothing",
        ),
    ],
)
def test_a_bad_challenger_unseats_a_champion_only_if_that_is_no_better(
    about: dict[str, Any], promote: bool, told: str
) -> None:
    world = World()

    verdict = ask(beside_champion(shuffled(world, seed=3), world.truth, world, **about))

    assert verdict.use == "rules"
    assert verdict.promote is promote
    assert told in verdict.reasons[-1]


def test_a_champion_that_rests_on_the_same_leak_goes_as_well() -> None:
    world = World()
    found = beside_champion(world.truth, world.truth, world, features=frozenset({"property_a"}))

    verdict = ask(replace(found, suspects={"property_a": "too good to be true"}))

    assert (verdict.use, verdict.promote) == ("rules", True)
    assert verdict.reasons[-1] == "the champion (version 3) rests on the same columns, so it goes as well"


def test_what_was_proven_is_not_replaced_by_what_cannot_be_tested() -> None:
    world = World()
    champion = beside_champion(world.truth, world.truth, world, evaluation=None, why_not="no test").champion

    verdict = ask(evidence(None, champion=champion))

    assert (verdict.use, verdict.promote) == ("rules", False)


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (good, "Use the model, with its percentages. It was tried on 1,200 contacts as they stood in the past, "),
        (BAD["shuffled labels"][0], "Keep the rule: what is published rests on your point rules. It was tried on "),
        (BAD["too bold"][0], "Use the order that the model gives, not its percentages. "),
        (BAD["no test"][0], "Keep the rule: what is published rests on your point rules. The history is too short"),
        (BAD["worse than the champion"][0], "Nothing changes: the model of version 3 stays in use. "),
    ],
)
def test_the_answer_is_in_plain_words(make: Callable[[], Evidence], start: str) -> None:
    verdict = ask(make())

    assert verdict.answer.startswith(start), verdict.answer
    assert "log loss" not in verdict.answer


def test_a_step_that_allows_no_model_is_named() -> None:
    verdict = ask(evidence(measured(World().rows(None)), step=Step("base_rate", "3 winning contacts were found")))

    assert (verdict.use, verdict.reasons[0]) == ("base_rate", "3 winning contacts were found")
