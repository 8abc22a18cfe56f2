"""Contacts of whom nothing is known but who they are: what became of such contacts in the past, the same for them all.

A model that has seen many winners act says little about those who have not acted yet; what it reads into a job title
or a country is mostly noise. They get the observed rate of their like, unless later outcomes surely say that the model
knows more of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.bootstrap import cluster_weights, interval
from models.metrics import AnyArray, FloatArray, row_log_loss
from models.property_tests import BoolArray

LEAD: Final = "days_since_any"
"""The feature that a silent contact's reason belongs to; without activities nobody is silent, but unheard."""
_SIGNS: Final = ("open_deals", "lost_deals", "company_open_deals", "company_won_deals", "company_lost_deals")
_SIGNS_OF_COLLEAGUES: Final = "colleagues_active_"
LEAST_WON: Final = 20
_REPLICATES: Final = 400
_SEED: Final = 7
_SHRINKAGE: Final = 10.0
"""The rate of all contacts counts as much as this many snapshots of silent ones."""


class Silence(BaseModel):
    """What became of silent contacts: ``rate`` is that of their snapshots, before calibration, of ``contacts`` in all.

    A row is silent where none of ``columns`` is above zero: no activity, no deal, and none at the company either.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...]
    rate: float
    contacts: int

    def among(self, features: pd.DataFrame) -> BoolArray:
        """Say which rows of a matrix are silent."""
        known = features[list(self.columns)].to_numpy(dtype=np.float64)
        return np.asarray(~(known > 0.0).any(axis=1), dtype=np.bool_)

    def apply(self, probability: FloatArray, *, features: pd.DataFrame) -> FloatArray:
        """Return probabilities in which every silent row has the rate."""
        return np.where(self.among(features), self.rate, probability)

    def alone(self, effects: FloatArray, *, where: BoolArray, effect: FloatArray, names: Sequence[str]) -> None:
        """Let silence be the only reason in some rows of ``effects`` (n, features), in place."""
        effects[where] = 0.0
        effects[where, list(names).index(LEAD)] = effect[where]

    @property
    def words(self) -> str:
        """Say what the rate rests on."""
        return f"of such contacts, {self.contacts:,} in the past, {self.rate:.1%} bought"


@dataclass(frozen=True)
class SilenceTest:
    """The model and the one rate on the silent rows of a test: log loss, and the model less the rate.

    ``won`` of ``contacts`` won; ``low`` and ``high`` are the 95 % interval of the difference over contacts.
    """

    rows: int
    contacts: int
    won: int
    rate: float
    model: float
    difference: float
    low: float
    high: float

    @property
    def model_knows_more(self) -> bool:
        """Say whether the model is surely better; of a few winners an interval says nothing."""
        return self.won >= LEAST_WON and self.high < 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"model_knows_more": self.model_knows_more}


def silence_of(
    *, names: Sequence[str], features: pd.DataFrame, y_obs: FloatArray, objects: AnyArray, base_rate: float
) -> Silence | None:
    """Count what became of the silent among ripe snapshots; None where no activities are known of anybody."""
    if LEAD not in names:
        return None
    columns = (LEAD, *(one for one in names if one in _SIGNS or one.startswith(_SIGNS_OF_COLLEAGUES)))
    found = Silence(columns=columns, rate=base_rate, contacts=0)
    silent = found.among(features)
    rate = (float(y_obs[silent].sum()) + _SHRINKAGE * base_rate) / (int(silent.sum()) + _SHRINKAGE)
    return found.model_copy(update={"rate": rate, "contacts": len(np.unique(objects[silent]))})


def against_rate(*, model: FloatArray, rate: FloatArray, y_obs: FloatArray, objects: AnyArray) -> SilenceTest:
    """Set the model's probabilities of silent rows, at least one, against the ``rate``, the same on all of them."""
    loss, other = (row_log_loss(y_obs=y_obs, y_pred=values) for values in (model, rate))
    gap = loss - other
    found = [
        np.divide(block @ gap, block.sum(axis=1))
        for block in cluster_weights(cluster=objects, replicates=_REPLICATES, seed=_SEED)
    ]
    ends = interval(np.concatenate(found))
    return SilenceTest(
        rows=len(y_obs),
        contacts=len(np.unique(objects)),
        won=len(np.unique(objects[y_obs == 1.0])),
        rate=float(other.mean()),
        model=float(loss.mean()),
        difference=float(gap.mean()),
        low=ends.low,
        high=ends.high,
    )
