"""What the columns of a matrix are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.behaviour import ActivityStream, contact_activities
from features.episodes import Timelines
from features.feature_contract import FeatureContract
from features.tables import CrmTables
from features.visibility import Int64Array


@dataclass(frozen=True)
class MatrixInputs:
    """The snapshots of a question: ``objects`` are places in ``ids``, ``as_of`` microseconds since 1970."""

    tables: CrmTables
    timelines: Timelines
    contract: FeatureContract
    ids: pd.Index
    objects: Int64Array
    as_of: Int64Array

    @property
    def contact_ids(self) -> pd.Index:
        """Return the ids of all contacts."""
        ids: pd.Index = pd.Index(self.tables["contacts"]["contact_id"])
        return ids

    def contact_activities(self) -> ActivityStream:
        """Sort the activities by contact."""
        return contact_activities(
            activities=self.tables["activities"],
            contact_ids=self.contact_ids,
            plan=self.contract.plan,
            discount=self.contract.discount,
        )
