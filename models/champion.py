"""The challenger against the champion: both on the same later rows, the champion scored from its own bundle.

Only a champion that was trained before the test window began can be compared: a later one knows outcomes of the test.
Deals are compared on winning within the shorter of the two horizons, which both can speak of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from features.episodes import build_timelines
from features.errors import LeadScoringError
from features.labels import won_within
from features.matrix import build_matrix
from features.tables import CrmTables
from models.bundle import Bundle
from models.contact_proof import ContactProof
from models.contact_scoring import contact_probability
from models.cutoffs import Cutoffs
from models.deal_fit import points_of_deals
from models.deal_proof import DealProof
from models.deal_scoring import deal_curve, win_within
from models.evaluation import CHAMPION, MODEL, Evaluation, Use
from models.gate import FALLBACKS
from models.out_of_time import OutOfTime
from models.rules.replay import apply_rules
from models.training import TrainingSettings, protocol_of


@dataclass(frozen=True)
class Champion:
    """The version that is live when a challenger is trained."""

    version: str
    bundle: Bundle


@dataclass(frozen=True)
class ChampionTest:
    """What the comparison with the champion found.

    ``evaluation`` measures the champion (scorer "champion") and the challenger's scorers on the same rows; where there
    is none, ``why_not`` says why. ``same_question`` is False where the champion answers for another horizon;
    ``same_settings`` says that a refit with the same settings challenges it. ``features`` are those it rests on.
    """

    version: str
    trained_as_of: pd.Timestamp
    use: Use
    same_question: bool
    same_settings: bool
    features: frozenset[str] = frozenset()
    why_not: str = ""
    evaluation: Evaluation | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON: both beside each other, and challenger minus champion."""
        plain: dict[str, Any] = {
            "version": self.version,
            "trained_as_of": self.trained_as_of.isoformat(),
            "publishes": self.use,
            "why_not": self.why_not or None,
        }
        if self.evaluation is not None:
            measured = self.evaluation.to_dict()
            plain |= {name: measured[name] for name in ("horizon_days", "rows", "objects", "positive_objects")}
            plain["metrics"] = {name: scorer["metrics"] for name, scorer in measured["scorers"].items()}
            plain["difference"] = measured["differences"].get(CHAMPION)
        return plain


def against_champion_of_contacts(
    *,
    champion: Champion,
    proof: ContactProof | None,
    tables: CrmTables,
    cutoffs: Cutoffs,
    settings: TrainingSettings,
) -> ChampionTest:
    """Score the champion on the challenger's test window."""
    data = champion.bundle.data
    about = _about(champion, settings=settings, same_question=data.horizon_days == settings.horizon_days)
    if not about.same_question:
        return replace(
            about,
            why_not=f"it tells whether a contact buys within {data.horizon_days:g} days, which is another question",
        )
    why_not = _why_not(about, proof=proof, cutoffs=cutoffs)
    if why_not or proof is None:
        return replace(about, why_not=why_not)
    snapshots = proof.rows.snapshots
    try:
        matrix = build_matrix(tables=tables, snapshots=snapshots, contract=data.contract)
    except LeadScoringError as error:
        return replace(about, why_not=f"today's tables cannot feed it: {error}")
    points = apply_rules(rules=data.rules, tables=tables, snapshots=snapshots, properties=data.properties)
    scores = {CHAMPION: contact_probability(bundle=champion.bundle, matrix=matrix, points=points)}
    return _measured(about, replace(proof.rows, scores={**proof.rows.scores, **scores}), cutoffs, settings)


def against_champion_of_deals(
    *,
    champion: Champion,
    proof: DealProof | None,
    tables: CrmTables,
    cutoffs: Cutoffs,
    settings: TrainingSettings,
) -> ChampionTest:
    """Score the champion on the challenger's test window, for the horizon that both support."""
    data = champion.bundle.data
    about = _about(champion, settings=settings, same_question=True)
    why_not = _why_not(about, proof=proof, cutoffs=cutoffs)
    if why_not or proof is None:
        return replace(about, why_not=why_not)
    rows = proof.labelled
    try:
        matrix = build_matrix(tables=tables, snapshots=rows.snapshots, contract=data.contract)
    except LeadScoringError as error:
        return replace(about, why_not=f"today's tables cannot feed it: {error}")
    points = None
    if data.points_known:
        points = points_of_deals(tables=tables, snapshots=rows.snapshots, rules=data.rules, properties=data.properties)
    probability, curve = deal_curve(bundle=champion.bundle, matrix=matrix, rows=rows, points=points)
    days = np.minimum(curve.edges[:, -1], proof.curve.edges[:, -1])
    y_obs = won_within(
        wins=build_timelines(tables).closings,
        objects=rows.snapshots["deal"].to_numpy(),
        as_of=rows.snapshots["as_of"],
        days=days,
        known_until=cutoffs.now,
    )
    scores = {
        name: win_within(curve=proof.curve, probability=values, days=days) for name, values in proof.rows.scores.items()
    }
    scores[CHAMPION] = win_within(curve=curve, probability=probability, days=days)
    compared = replace(proof.rows, y_obs=y_obs, scores=scores)
    if not compared.both_outcomes:
        return replace(about, why_not="within the horizon that both support, the test holds one outcome only")
    return _measured(about, compared, cutoffs, settings)


def _about(champion: Champion, *, settings: TrainingSettings, same_question: bool) -> ChampionTest:
    data = champion.bundle.data
    return ChampionTest(
        version=champion.version,
        trained_as_of=pd.Timestamp(data.trained_as_of),
        use=data.use,
        same_question=same_question,
        same_settings=data.settings_digest == settings.digest(),
        features=frozenset(data.contract.names) if data.use == "model" else frozenset(),
    )


def _why_not(about: ChampionTest, *, proof: ContactProof | DealProof | None, cutoffs: Cutoffs) -> str:
    if proof is None or cutoffs.test_at is None:
        return "there is no test to compare them on"
    if about.trained_as_of > cutoffs.test_at:
        return (
            f"it was trained on facts up to {about.trained_as_of:%Y-%m-%d}, and the test begins on "
            f"{cutoffs.test_at:%Y-%m-%d}: it would know outcomes of the test"
        )
    return ""


def _measured(about: ChampionTest, rows: OutOfTime, cutoffs: Cutoffs, settings: TrainingSettings) -> ChampionTest:
    compared = {name: values for name, values in rows.scores.items() if name in (MODEL, CHAMPION, *FALLBACKS)}
    return replace(
        about,
        evaluation=replace(rows, scores=compared, segments={}).evaluate(
            as_of=cutoffs.now,
            horizon_days=cutoffs.horizon_days,
            protocol=protocol_of(cutoffs),
            replicates=settings.bootstrap_replicates,
            seed=settings.seed,
        ),
    )
