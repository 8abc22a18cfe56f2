"""The CRM tables as they travel through the product: typed frames, one per table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from features.errors import LeadScoringError

TIME_DTYPE: Final = "datetime64[us, UTC]"
ID_DTYPE: Final = "str"
NUMBER_DTYPE: Final = "float64"

TABLE_NAMES: Final = (
    "contacts",
    "companies",
    "activities",
    "deals",
    "deal_contacts",
    "deal_stage_history",
    "stages",
    "property_history",
    "owners",
)


class IncompleteActivitiesError(LeadScoringError):
    """Somebody is looked at whose activities were not read."""

    def __init__(self, contact_id: str, *, count: int) -> None:
        self.contact_id = contact_id
        super().__init__(
            f"every contact that is looked at must have its activities in the tables; {count} have not, the first "
            f"{contact_id!r}: only a part was read, to fit into memory_gigabytes. Look at those it was read for alone."
        )


@dataclass(frozen=True)
class CrmTables:
    """CRM tables that passed their contracts.

    ``frames`` holds one frame for each of ``TABLE_NAMES``: identifiers and words are ``str``, times are
    ``datetime64[us, UTC]``, numbers are ``float64``, missing is NaN or NaT. A table that the source does not have
    is an empty frame with its columns and is named in ``absent``. Where not all activities fit at once, they are those
    of the contacts in ``complete_for``, and of nobody else but one where something began.
    """

    frames: Mapping[str, pd.DataFrame]
    absent: tuple[str, ...] = field(default=())
    complete_for: pd.Index | None = None

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.frames[table]

    def has(self, table: str) -> bool:
        """Say whether the source delivered this table, with or without rows."""
        return table not in self.absent

    def digest(self) -> str:
        """SHA-256 over the content of all tables, whatever order their rows and columns came in."""
        whole = hashlib.sha256()
        for name in TABLE_NAMES:
            whole.update(frame_digest(name, self.frames[name]))
        return whole.hexdigest()

    def without_activities(self) -> CrmTables:
        """Return the same tables, but for the activities, which are empty."""
        return self.with_activities(self.frames["activities"].iloc[:0])

    def with_activities(self, activities: pd.DataFrame, *, complete_for: pd.Index | None = None) -> CrmTables:
        """Return the same tables with other activities: all, or those of some contacts."""
        frames = {**self.frames, "activities": activities}
        return CrmTables(frames=frames, absent=self.absent, complete_for=complete_for)

    def require_complete(self, contact_ids: pd.Series) -> None:
        """Raise ``IncompleteActivitiesError`` unless all activities of these contacts are there."""
        if self.complete_for is not None:
            strange = ~contact_ids.isin(self.complete_for)
            if strange.any():
                raise IncompleteActivitiesError(str(contact_ids[strange].iloc[0]), count=int(strange.sum()))


def frame_digest(table: str, frame: pd.DataFrame) -> bytes:
    """SHA-256 over one table's name and content, whatever order its rows and columns came in."""
    columns = sorted(frame.columns)
    whole = hashlib.sha256(f"{table}:{','.join(columns)}:{len(frame)}\n".encode())
    if len(frame):
        rows = pd.util.hash_pandas_object(frame[columns], index=False).to_numpy(dtype=np.uint64)
        whole.update(np.sort(rows).tobytes())
    return whole.digest()
