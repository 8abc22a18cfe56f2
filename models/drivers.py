"""What drives the outcome: families and facts by size, their direction, and how sure all of it is.

Sizes are mean absolute effects on the published probability. Where a model is published, it is fitted again on objects
that are drawn anew: an interval is the value plus and minus Student's t times the spread over these refits, and a
direction counts only if the refits agree on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.catalogue import FAMILY_WORDS, Feature
from models.boosting import FloatArray
from models.calibration import logit, sigmoid
from models.curves import Bins, Predict, accumulated_effects, bins_of
from models.driver_refits import Refits, half_width
from models.explanation import Effects
from models.fact_groups import alike_groups
from models.metrics import AnyArray, IntArray
from models.refit import Refitted

FEATURES_PER_FAMILY: Final = 6
CURVES: Final = 8
ASKED_ROWS: Final = 2000
_AGREE: Final = 0.9
_LEAST_EFFECT: Final = 5e-5
_LEAST_MOVED: Final = 1e-9


def drivers(
    *,
    effects: Effects,
    features: pd.DataFrame,
    contract: Sequence[Feature],
    y_obs: FloatArray,
    weight: FloatArray,
    objects: AnyArray,
    refits: Refits | None = None,
) -> list[dict[str, Any]]:
    """Describe families and their largest facts over a labelled population, largest first.

    ``mean_abs_effect`` is the mean absolute effect on the probability. Facts that say nearly the same (in one family)
    are told under the largest of them, ``together`` with the others, and their effects are added up. Only the eight
    largest facts have ``bins``: each tells its rows and objects, the observed share of positives, and its effect, which
    is the model's accumulated local effect or, without ``refits``, the mean of the rows' effects. ``direction`` is up,
    down, mixed, values (of a category), unclear or none. ``low`` and ``high`` are None without refits.
    """
    rows = features.to_numpy(dtype=np.float64)
    view = _View(rows=rows, effects=effects.by_feature, weight=weight, y_obs=y_obs, codes=_codes(objects))
    models = () if refits is None else (refits.fitted, *refits.redrawn)
    asked = tuple(
        _Asked.of(model, view=view, refits=refits, columns=list(features.columns))
        for model in models
        if refits is not None
    )
    spread = 1.0 if refits is None else refits.spread
    sizes, curves = _Sizes.of(view, asked, spread=spread), _Curves(view, asked, spread)
    families = {
        family: own
        for family in FAMILY_WORDS
        if (own := [place for place, feature in enumerate(contract) if feature.family == family])
    }
    groups = {family: view.groups(own, contract=contract) for family, own in families.items()}
    every = sorted((group for found in groups.values() for group in found), key=lambda group: -view.size(group))
    drawn = {group[0] for group in every[:CURVES]}
    described = []
    for family, own in families.items():
        largest = sorted(groups[family], key=lambda group: (-view.size(group), contract[group[0]].name))
        facts = []
        for group in largest[:FEATURES_PER_FAMILY]:
            curve = curves.told(group, feature=contract[group[0]]) if group[0] in drawn else None
            facts.append(_fact(group, curve=curve, sizes=sizes, contract=contract))
        described.append(
            {"family": family, "words": FAMILY_WORDS[family], **sizes.told(own), **view.signs(own), "features": facts}
        )
    ordered = sorted(described, key=lambda entry: (-entry["mean_abs_effect"], entry["family"]))
    return sizes.ranked(ordered, contract=contract)


@dataclass(frozen=True)
class _View:
    """The population that is described."""

    rows: FloatArray
    effects: FloatArray
    weight: FloatArray
    y_obs: FloatArray
    codes: IntArray

    @property
    def few(self) -> IntArray:
        """Return an even choice of the rows, for what must be asked of every refit."""
        count = len(self.rows)
        return np.unique(np.linspace(0, max(count - 1, 0), min(count, ASKED_ROWS)).astype(np.int64))

    def size(self, columns: Sequence[int]) -> float:
        return _mean_abs(self.effects[:, list(columns)].sum(axis=1), self.weight)

    def groups(self, own: Sequence[int], *, contract: Sequence[Feature]) -> list[list[int]]:
        """Put facts that say nearly the same under the largest of them; those without effect stay out."""
        moving = [place for place in own if self.size([place]) > 0]
        ordered = sorted(moving, key=lambda place: (-self.size([place]), contract[place].name))
        return alike_groups(rows=self.rows, ordered=ordered, contract=contract)

    def signs(self, columns: Sequence[int]) -> dict[str, Any]:
        """Say which share of the rows a family lifts and lowers, and by how much on average."""
        total = self.effects[:, list(columns)].sum(axis=1)
        mass = float(self.weight.sum()) or 1.0
        told = {}
        for name, side in (("lifts", total > _LEAST_EFFECT), ("lowers", total < -_LEAST_EFFECT)):
            inside = self.weight[side]
            told[name] = {
                "share": float(inside.sum()) / mass,
                "effect": float(np.average(total[side], weights=inside)) if inside.sum() > 0 else 0.0,
            }
        return told


@dataclass(frozen=True)
class _Asked:
    """The published model or a refit, asked on an even choice of the rows."""

    predict: Predict
    base: FloatArray
    effects: FloatArray

    @classmethod
    def of(cls, model: Refitted, *, view: _View, refits: Refits, columns: list[str]) -> _Asked:
        rows, weight = view.rows[view.few], view.weight[view.few]
        pipelines = None if refits.pipelines is None else np.asarray(refits.pipelines)[view.few]

        def predict(changed: FloatArray, index: IntArray) -> FloatArray:
            where = None if pipelines is None else pipelines[index]
            return refits.calibrator.apply(model.probability(pd.DataFrame(changed, columns=columns), where))

        base = predict(rows, np.arange(len(rows)))
        parts = model.contributions(pd.DataFrame(rows, columns=columns))
        parts = parts - np.average(parts, axis=0, weights=weight)
        return cls(predict, base, parts * _slope(base, parts.sum(axis=1), weight=weight)[:, None])


def _slope(probability: FloatArray, moved: FloatArray, *, weight: FloatArray) -> FloatArray:
    """Return what brings contributions in log-odds to probability: the secant from the average log-odds.

    Where contributions are no log-odds of this probability (deals), and lie far from it, it is the local slope.
    """
    odds = logit(probability)
    start = float(np.average(odds, weights=weight))
    far = np.abs(moved - (odds - start)) < 0.5 * np.abs(moved)
    local = probability * (1.0 - probability)
    with np.errstate(divide="ignore", invalid="ignore"):
        secant = (probability - sigmoid(np.array([start]))[0]) / moved
    return np.asarray(np.where(far & (np.abs(moved) > _LEAST_MOVED), secant, local), dtype=np.float64)


@dataclass(frozen=True)
class _Sizes:
    """How large families and facts are in the fit and in each refit, to tell how they vary."""

    view: _View
    fitted: FloatArray | None
    redrawn: tuple[FloatArray, ...]
    spread: float

    @classmethod
    def of(cls, view: _View, asked: Sequence[_Asked], *, spread: float) -> _Sizes:
        if len(asked) < 2:
            return cls(view, None, (), 1.0)
        return cls(view, asked[0].effects, tuple(one.effects for one in asked[1:]), spread)

    def again(self, columns: Sequence[int]) -> FloatArray:
        """Return the size of these columns in each refit, (refits,).

        Refits are measured by contributions that are quick to compute; the size in the fit, measured in the same way,
        brings them to the scale of the published effects.
        """
        chosen = list(columns)
        weight = self.view.weight[self.view.few]
        sizes = np.array([_mean_abs(parts[:, chosen].sum(axis=1), weight) for parts in self.redrawn])
        base = 0.0 if self.fitted is None else _mean_abs(self.fitted[:, chosen].sum(axis=1), weight)
        return sizes * (self.view.size(columns) / base) if base > 0 else sizes * 0.0

    def told(self, columns: Sequence[int]) -> dict[str, Any]:
        size = self.view.size(columns)
        low = high = None
        if self.fitted is not None and len(self.redrawn) > 1:
            half = half_width(self.again(columns), self.spread)
            low, high = max(0.0, size - half), size + half
        return {"mean_abs_effect": size, "low": low, "high": high}

    def ranked(self, described: list[dict[str, Any]], *, contract: Sequence[Feature]) -> list[dict[str, Any]]:
        """Add in how many refits each family is among the three largest."""
        again = np.array(
            [
                self.again([place for place, feature in enumerate(contract) if feature.family == entry["family"]])
                for entry in described
            ]
        )
        for place, entry in enumerate(described):
            entry["refits"] = len(self.redrawn)
            entry["in_top_three"] = int((np.sum(again > again[place], axis=0) < 3).sum()) if len(self.redrawn) else None
        return described


@dataclass(frozen=True)
class _Curve:
    """The effect of each bin (bins), and the same of each refit (refits, bins)."""

    bins: Bins
    effect: FloatArray
    again: FloatArray
    view: _View
    spread: float

    def told(self) -> list[dict[str, Any]]:
        told = []
        for place, label in enumerate(self.bins.labels):
            inside = self.bins.place == place
            if not inside.any() or np.isnan(self.effect[place]):
                continue
            effect = float(self.effect[place])
            reach = half_width(self.again[:, place], self.spread) if len(self.again) > 1 else None
            told.append(
                {
                    "label": label,
                    "rows": int(inside.sum()),
                    "objects": len(np.unique(self.view.codes[inside])),
                    "effect": effect,
                    "low": None if reach is None else effect - reach,
                    "high": None if reach is None else effect + reach,
                    "observed": float(np.average(self.view.y_obs[inside], weights=self.view.weight[inside])),
                }
            )
        return told


@dataclass(frozen=True)
class _Curves:
    """Draws the curves of the published model and of each refit, on an even choice of the rows."""

    view: _View
    asked: tuple[_Asked, ...]
    spread: float

    def told(self, group: Sequence[int], *, feature: Feature) -> _Curve:
        view, bins = self.view, bins_of(feature, self.view.rows[:, group[0]])
        if not self.asked:
            mean = [
                np.average(view.effects[inside, group[0]], weights=view.weight[inside])
                if (inside := bins.place == place).any()
                else np.nan
                for place in range(len(bins.labels))
            ]
            return _Curve(bins, np.array(mean), np.zeros((0, len(mean))), view, 1.0)
        chosen = view.few
        few = Bins(place=bins.place[chosen], labels=bins.labels, is_category=bins.is_category)
        effects = [
            accumulated_effects(
                predict=one.predict,
                rows=view.rows[chosen],
                columns=group,
                feature=feature,
                bins=few,
                weight=view.weight[chosen],
                base=one.base,
            )
            for one in self.asked
        ]
        again = np.array(effects[1:]).reshape(len(effects) - 1, len(bins.labels))
        return _Curve(bins, effects[0], again, view, self.spread)


def _fact(group: Sequence[int], *, curve: _Curve | None, sizes: _Sizes, contract: Sequence[Feature]) -> dict[str, Any]:
    direction, agree = (None, None) if curve is None else _direction(curve)
    return {
        "feature": contract[group[0]].name,
        "words": contract[group[0]].words,
        **sizes.told(group),
        "direction": direction,
        "agree": agree,
        "together": [{"feature": contract[one].name, "words": contract[one].words} for one in group[1:]],
        "bins": [] if curve is None else curve.told(),
    }


def _direction(curve: _Curve) -> tuple[str, int | None]:
    """Say which way a fact pulls, and in how many refits it pulls that way."""
    effect, again, bins, spread = curve.effect, curve.again, curve.bins, curve.spread
    filled = [place for place in range(len(effect)) if not np.isnan(effect[place])]
    known = [place for place in filled if place != bins.missing]
    if len(filled) < 2:
        return "none", None
    highest, lowest = max(filled, key=lambda place: effect[place]), min(filled, key=lambda place: effect[place])
    swing = effect[highest] - effect[lowest]
    if swing < 2 * _LEAST_EFFECT:
        return "none", None
    runs = not bins.is_category and len(known) > 1
    ends = effect[known[-1]] - effect[known[0]] if runs else 0.0
    straight = runs and abs(ends) >= 0.5 * (effect[known].max() - effect[known].min()) and abs(ends) >= 0.5 * swing
    first, last = (known[0], known[-1]) if straight else (lowest, highest)
    word = ("up" if ends > 0 else "down") if straight else "values" if bins.is_category or not runs else "mixed"
    if not len(again):
        return word, None
    moved, contrast = again[:, last] - again[:, first], effect[last] - effect[first]
    agree = int(np.sum(np.sign(moved) == np.sign(contrast)))
    sure = agree >= _AGREE * len(again) and (len(again) < 2 or abs(contrast) > half_width(moved, spread))
    return word if sure else "unclear", agree


def _codes(objects: AnyArray) -> IntArray:
    return np.unique(np.asarray(objects), return_inverse=True)[1].astype(np.int64)


def _mean_abs(values: FloatArray, weight: FloatArray) -> float:
    return float(np.average(np.abs(values), weights=weight)) if len(values) else 0.0
