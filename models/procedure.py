"""A question's whole procedure behind one face: prove it as of any past day, refit it, set it against a champion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import pandas as pd

from features.catalogue import Question
from features.tables import CrmTables
from models.champion import Champion, ChampionTest, against_champion_of_contacts, against_champion_of_deals
from models.contact_fit import ContactInputs
from models.contact_proof import ContactProof, prove_contacts
from models.contact_start import contact_inputs, start_contacts
from models.cutoffs import Cutoffs
from models.deal_fit import DealInputs
from models.deal_proof import DealProof, prove_deals
from models.deal_training import deal_inputs, start_deals
from models.landmark import Buckets
from models.metrics import AnyArray, FloatArray
from models.out_of_time import OutOfTime
from models.refit import Refitter, contact_refitter, deal_refitter
from models.training import TrainingSettings


@dataclass(frozen=True)
class Proof:
    """A test window: its rows, their features, each row's pipeline (deals), and how the fit before it can be refitted.

    ``made`` is the question's own proof. ``raw`` are the model's probabilities before calibration.
    """

    cutoffs: Cutoffs
    rows: OutOfTime
    features: pd.DataFrame
    pipelines: AnyArray | None
    raw: FloatArray
    made: ContactProof | DealProof


class Procedure(Protocol):
    """What a backtest and a tuning ask of a question."""

    @property
    def question(self) -> Question:
        """The question's word."""

    @property
    def known(self) -> CrmTables:
        """All that was known at the as-of."""

    @property
    def first(self) -> pd.Timestamp:
        """When the history begins."""

    @property
    def horizon_days(self) -> float:
        """How far ahead a label looks."""

    @property
    def settings(self) -> TrainingSettings:
        """The settings that the procedure follows."""

    def prove(self, cutoffs: Cutoffs) -> Proof | None:
        """Fit as of ``test_at`` and score what came later; None where nothing can be tested."""

    def refitter(self, proof: Proof) -> Refitter | None:
        """Return the training rows of a proof's fit; None without a model."""

    def against(self, champion: Champion, proof: Proof) -> ChampionTest:
        """Score a champion on a proof's rows."""

    def told(self, settings: TrainingSettings) -> Procedure:
        """Return the same procedure under other settings of the model."""


def procedure_of(
    question: Question, *, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings
) -> Procedure:
    """Prepare a question on what was known just before ``as_of``, without what the leak audit refuses.

    Raises ``NothingToLearnError`` if there is nothing to learn from.
    """
    if question == "contacts":
        start = start_contacts(tables=tables, as_of=as_of, settings=settings)
        return _Contacts(start.known, start.first, start.inputs.refusing(start.audit), settings)
    begun = start_deals(tables=tables, as_of=as_of, settings=settings)
    return _Deals(begun.known, begun.first, begun.inputs.refusing(begun.audit), settings, begun.buckets)


@dataclass(frozen=True)
class _Contacts:
    known: CrmTables
    first: pd.Timestamp
    inputs: ContactInputs
    settings: TrainingSettings

    @property
    def question(self) -> Question:
        return "contacts"

    @property
    def horizon_days(self) -> float:
        return self.settings.horizon_days

    def prove(self, cutoffs: Cutoffs) -> Proof | None:
        made = prove_contacts(
            tables=self.known,
            cutoffs=cutoffs,
            first=self.first,
            inputs=self.inputs,
            calibration=self.settings.calibration,
        )
        if made is None:
            return None
        return Proof(cutoffs, made.rows, made.matrix.features, None, made.raw, made)

    def refitter(self, proof: Proof) -> Refitter | None:
        assert isinstance(proof.made, ContactProof)
        return contact_refitter(tables=self.known, fit=proof.made.past, inputs=self.inputs)

    def against(self, champion: Champion, proof: Proof) -> ChampionTest:
        assert isinstance(proof.made, ContactProof)
        return against_champion_of_contacts(
            champion=champion, proof=proof.made, tables=self.known, cutoffs=proof.cutoffs, settings=self.settings
        )

    def told(self, settings: TrainingSettings) -> Procedure:
        fresh = contact_inputs(settings)
        inputs = replace(
            fresh,
            refused=self.inputs.refused,
            rules=self.inputs.rules,
            refused_criteria=self.inputs.refused_criteria,
        )
        return replace(self, settings=settings, inputs=inputs)


@dataclass(frozen=True)
class _Deals:
    known: CrmTables
    first: pd.Timestamp
    inputs: DealInputs
    settings: TrainingSettings
    buckets: Buckets

    @property
    def question(self) -> Question:
        return "deals"

    @property
    def horizon_days(self) -> float:
        return self.buckets.longest_days

    def prove(self, cutoffs: Cutoffs) -> Proof | None:
        made = prove_deals(
            tables=self.known,
            cutoffs=cutoffs,
            first=self.first,
            buckets=self.buckets,
            inputs=self.inputs,
            calibration=self.settings.calibration,
        )
        if made is None:
            return None
        return Proof(cutoffs, made.rows, made.matrix.features, made.labelled.pipeline, made.raw, made)

    def refitter(self, proof: Proof) -> Refitter | None:
        assert isinstance(proof.made, DealProof)
        return deal_refitter(tables=self.known, first=self.first, fit=proof.made.past, inputs=self.inputs)

    def against(self, champion: Champion, proof: Proof) -> ChampionTest:
        assert isinstance(proof.made, DealProof)
        return against_champion_of_deals(
            champion=champion, proof=proof.made, tables=self.known, cutoffs=proof.cutoffs, settings=self.settings
        )

    def told(self, settings: TrainingSettings) -> Procedure:
        return replace(self, settings=settings, inputs=replace(deal_inputs(settings), refused=self.inputs.refused))
