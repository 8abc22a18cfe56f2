"""From learned points to a rule sheet that can be adopted, and what it did on later outcomes beside the manual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from features.tables import CrmTables
from models.boosting import FloatArray
from models.contact_fit import fit_contacts
from models.contact_start import audit_of_contacts, contact_inputs
from models.cutoffs import plan_cutoffs
from models.evaluation import Estimate, as_plain
from models.rules.comparison import OrderComparison, compare_orders
from models.rules.learning import LearnedPoint, LearnedPoints, learn_points
from models.rules.past import NoPastError, Past, labelled_past
from models.rules.replay import Points, apply_rules
from models.rules.sheet import Criterion, PointRules, RuleGroup, Thresholds
from models.rules.trial import DEFAULT_SHARE, points_at_share
from models.training import TrainingSettings, first_fact

MANUAL: Final = "manual"
LEARNED: Final = "learned"
MODEL: Final = "model"
Advice = Literal["keep", "adopt", "model", "untested"]


@dataclass(frozen=True)
class LaterTest:
    """The manual sheet, one learnt before, and a model learnt before, on outcomes later than all they knew.

    ``leads`` are the differences to the manual sheet, ``model_lead`` the model's to the learnt sheet.
    """

    since: datetime
    until: datetime
    rows: int
    winners: int
    share: float
    order: OrderComparison
    model_lead: OrderComparison | None


@dataclass(frozen=True)
class Lesson:
    """What the past teaches about a sheet."""

    as_of: datetime
    learned: LearnedPoints
    suggested: PointRules
    left_out: tuple[tuple[str, str], ...]
    test: LaterTest | None
    not_tested: str
    advice: Advice
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; the sheet as it would be written."""
        content: dict[str, Any] = as_plain({name: getattr(self, name) for name in self.__dataclass_fields__})
        content["suggested"] = self.suggested.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return content


def learn_from_the_past(
    *,
    tables: CrmTables,
    as_of: pd.Timestamp,
    settings: TrainingSettings,
    calls_a_week: float | None,
    double: float,
    model_scores: FloatArray | None = None,
) -> Lesson:
    """Learn the points of the settings' sheet, test the procedure on later outcomes, and say what to do.

    ``model_scores`` are those of a model learnt before the test, on its rows; without them one is fitted here.
    """
    rules = settings.rules
    past = labelled_past(tables=tables, as_of=as_of, settings=settings)
    learned, suggested = _learn(past, rules=rules, settings=settings, double=double)
    cutoffs = plan_cutoffs(
        first=first_fact(past.tables, question="contacts"),
        now=as_of,
        horizon_days=settings.horizon_days,
        settings=settings.split,
    )
    test, why_not = None, cutoffs.note()
    if cutoffs.test_at is not None:
        try:
            test = _test(
                tables=tables,
                as_of=as_of,
                test_at=cutoffs.test_at,
                settings=settings,
                calls_a_week=calls_a_week,
                double=double,
                model_scores=model_scores,
            )
        except NoPastError as error:
            why_not = str(error)
    advice, reason = advise(test, least_winners=settings.gate.min_positive_objects)
    return Lesson(
        as_of=as_of.to_pydatetime(),
        learned=learned,
        suggested=suggested,
        left_out=tuple(
            (one.name, one.why_not or "the past gives it no points")
            for one in learned.points
            if one.name not in {criterion.name for criterion in suggested.criteria}
        ),
        test=test,
        not_tested="" if test is not None else why_not,
        advice=advice,
        reason=reason,
    )


def advise(test: LaterTest | None, *, least_winners: int) -> tuple[Advice, str]:
    """Say whether to keep the sheet, adopt the learnt points or use the model, from later outcomes.

    Something is better if its paired AUC lead is surely above 0 among all contacts or among those without an open
    deal, and surely below 0 in neither. Fewer winners than ``least_winners`` prove nothing.
    """
    if test is None:
        return "untested", "Keep the rule until later outcomes can judge what was learnt."
    if test.winners < least_winners:
        return "keep", (
            f"Keep the rule: {test.winners} later winners prove nothing against it, {least_winners} are needed."
        )
    leads = test.order.differences
    better = [name for name in (LEARNED, MODEL) if name in leads and _is_better(leads[name])]
    over_learned = test.model_lead is None or _is_better(test.model_lead.differences[MODEL])
    if MODEL in better and (over_learned or LEARNED not in better):
        cold = leads[MODEL]["auc_no_open_deal"]
        but = "" if cold.low > 0 else " Among contacts without an open deal it is not surely better than they are."
        return "model", f"Use the model: it puts later buyers first more surely than your points.{but}"
    if LEARNED in better:
        return "adopt", "Adopt the learnt points: they put later buyers first more surely than your own."
    return "keep", "Keep the rule: nothing learnt puts later buyers first more surely than your points do."


def _is_better(lead: Mapping[str, Estimate]) -> bool:
    both = (lead["auc"], lead["auc_no_open_deal"])
    return any(one.low > 0 for one in both) and not any(one.high < 0 for one in both)


def suggest(*, rules: PointRules, learned: LearnedPoints, points: Points, past: Past) -> PointRules:
    """Return the sheet with learned points, its limits wide open, and thresholds and grades that as many reach."""
    by_name = {one.name: one for one in learned.points}
    groups = {name: _priced(group, by_name) for name, group in rules.groups()}
    priced = rules.model_copy(
        update={**groups, "cap": None, "floor": None, "learned_until": past.as_of.to_pydatetime()}
    )
    now = apply_rules(rules=priced, tables=past.tables, snapshots=past.snapshots, properties=past.inputs.properties)
    for name, group in rules.groups():
        if groups[name].criteria:
            groups[name] = groups[name].model_copy(
                update={"grade_from": _grades_alike(group, before=points.of_group(name), now=now.of_group(name))}
            )
    thresholds = {
        name.lower(): _reached_alike(value, before=points.total, now=now.total)
        for name, value in rules.thresholds.named().items()
    }
    return priced.model_copy(update={**groups, "thresholds": Thresholds(**thresholds)})


def _learn(
    past: Past, *, rules: PointRules, settings: TrainingSettings, double: float
) -> tuple[LearnedPoints, PointRules]:
    points = apply_rules(rules=rules, tables=past.tables, snapshots=past.snapshots, properties=past.inputs.properties)
    learned = learn_points(
        past=past,
        rules=rules,
        points=points,
        double=double,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )
    return learned, suggest(rules=rules, learned=learned, points=points, past=past)


def _test(
    *,
    tables: CrmTables,
    as_of: pd.Timestamp,
    test_at: pd.Timestamp,
    settings: TrainingSettings,
    calls_a_week: float | None,
    double: float,
    model_scores: FloatArray | None,
) -> LaterTest:
    later = labelled_past(tables=tables, as_of=as_of, settings=settings, since=test_at)
    before = labelled_past(tables=tables, as_of=test_at, settings=settings)
    _, sheet = _learn(before, rules=settings.rules, settings=settings, double=double)
    scores: dict[str, FloatArray] = {
        name: apply_rules(
            rules=rules, tables=later.tables, snapshots=later.snapshots, properties=later.inputs.properties
        ).total
        for name, rules in ((MANUAL, settings.rules), (LEARNED, sheet))
    }
    model = _model(later, test_at=test_at, settings=settings) if model_scores is None else model_scores
    if model is not None:
        scores[MODEL] = model
    share = DEFAULT_SHARE if calls_a_week is None else later.share_called(calls_a_week)
    return LaterTest(
        since=later.since.to_pydatetime(),
        until=later.until.to_pydatetime(),
        rows=len(later.won),
        winners=len(np.unique(later.contacts[later.won == 1.0])),
        share=share,
        order=_compared(later, scores, share=share, settings=settings, reference=MANUAL),
        model_lead=None
        if model is None
        else _compared(
            later, {LEARNED: scores[LEARNED], MODEL: model}, share=share, settings=settings, reference=LEARNED
        ),
    )


def _compared(
    past: Past, scores: Mapping[str, FloatArray], *, share: float, settings: TrainingSettings, reference: str
) -> OrderComparison:
    return compare_orders(
        scores=scores,
        y_obs=past.won,
        objects=past.contacts,
        open_deal=past.open_deal,
        share=share,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
        reference=reference,
    )


def _model(later: Past, *, test_at: pd.Timestamp, settings: TrainingSettings) -> FloatArray | None:
    """Fit what a training as of the test would have fitted; None where the data allow no model."""
    audit = audit_of_contacts(tables=later.tables, as_of=test_at, settings=settings)
    fit = fit_contacts(
        tables=later.tables,
        cutoff=test_at,
        first=first_fact(later.tables, question="contacts"),
        inputs=contact_inputs(settings).refusing(audit),
    )
    if fit.booster is None:
        return None
    return fit.raw(fit.matrix(tables=later.tables, snapshots=later.snapshots).features)


def _priced(group: RuleGroup, learned: Mapping[str, LearnedPoint]) -> RuleGroup:
    criteria = tuple(
        priced for criterion in group.criteria if (priced := _repriced(criterion, learned[criterion.name])) is not None
    )
    most = [one.cap or abs(one.points) for one in criteria]
    # Without a limit of its own, what is given for each event is held by no sum.
    unlimited = any(one.per_event and one.cap is None for one in criteria)
    return RuleGroup(cap=max(sum(most), 1.0) * (100.0 if unlimited else 1.0), criteria=criteria)


def _repriced(criterion: Criterion, learned: LearnedPoint) -> Criterion | None:
    points = round(learned.learned.value, 1 if criterion.per_event else 0)
    if learned.why_not is not None or points == 0:
        return None
    cap = criterion.cap
    if cap is not None and criterion.points:
        cap = max(round(cap * abs(points / criterion.points)), 1.0)
    return criterion.model_copy(update={"points": float(points), "cap": cap})


def _grades_alike(group: RuleGroup, *, before: FloatArray, now: FloatArray) -> tuple[float, float] | None:
    best, middle = (_reached_alike(edge, before=before, now=now) for edge in group.grades_from)
    return (best, middle) if best > middle else None


def _reached_alike(value: float, *, before: FloatArray, now: FloatArray) -> float:
    """Return the points that as large a share of rows reaches now as reached ``value`` before."""
    known = ~np.isnan(before)
    # Where the past gives no criterion any points, there is nothing that a threshold could be moved to.
    if not known.any() or np.isnan(now).all():
        return value
    share = float(np.mean(np.where(known, before, -np.inf) >= value))
    return points_at_share(now, share=share) if share else float(np.nanmax(now)) + 1.0
