"""What the columns of a matrix are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from features.activity_stream import ActivityStream
from features.behaviour import contact_activities, deal_activities
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

    @cached_property
    def activities(self) -> ActivityStream:
        """The activities of the question's objects, sorted by object when first asked for."""
        if self.contract.question == "contacts":
            return self.contact_activities
        return deal_activities(
            tables=self.tables, deal_ids=self.ids, plan=self.contract.plan, discount=self.contract.discount
        )

    @cached_property
    def contact_activities(self) -> ActivityStream:
        """The activities of all contacts, sorted by contact when first asked for."""
        return contact_activities(
            activities=self.tables["activities"],
            contact_ids=self.contact_ids,
            plan=self.contract.plan,
            discount=self.contract.discount,
        )
