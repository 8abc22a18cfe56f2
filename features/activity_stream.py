"""Activities sorted by who they belong to and when they count from, with those left out that do not count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.fact_stream import FactStream, Int64Array, fact_stream
from features.series import Discount, SeriesPlan, discounted
from features.words import Words


@dataclass(frozen=True)
class CodedActivities:
    """Activities as columns of numbers; times are microseconds since 1970 (UTC).

    ``times`` say from when each counts and ``occurred`` when it happened; they are the same array where nothing became
    known late. ``direction`` and ``outcome`` may be left out where no plan asks for them.
    """

    contact: Words
    kind: Words
    occurred: Int64Array
    times: Int64Array
    direction: Words | None = None
    outcome: Words | None = None

    def signatures(self, plan: SeriesPlan) -> NDArray[np.signedinteger]:
        """Return the signature of each activity, -1 for one of a kind that is not counted."""
        return plan.signatures_of(
            kind=self.kind, direction=self.direction, outcome=self.outcome, occurred=self.occurred
        )

    def of_contacts(self, contact_ids: pa.Array, *, plan: SeriesPlan, discount: Discount) -> ActivityStream:
        """Sort the activities by the place of their contact in ``contact_ids``; those of others belong to nobody."""
        return activity_stream(
            objects=self.contact.among(contact_ids)[self.contact.places],
            times=self.times,
            occurred=self.occurred,
            signature=self.signatures(plan),
            plan=plan,
            discount=discount,
            object_count=len(contact_ids),
        )


@dataclass(frozen=True)
class ActivityStream:
    """Activities sorted by object and effective time.

    ``signature`` (see ``SeriesPlan``) runs parallel to the stream, whose ``rows`` are those of the table.
    """

    stream: FactStream
    signature: NDArray[np.signedinteger]
    plan: SeriesPlan

    def kind_at(self, positions: Int64Array) -> NDArray[np.float64]:
        """Return the kind (place in the plan) at each position of the stream, NaN at -1."""
        kinds = np.full(len(positions), np.nan)
        known = positions >= 0
        kinds[known] = self.plan.kind_of(self.signature[positions[known]])
        return kinds


def activity_stream(
    *,
    objects: NDArray[np.signedinteger],
    times: Int64Array,
    occurred: Int64Array,
    signature: NDArray[np.signedinteger],
    plan: SeriesPlan,
    discount: Discount,
    object_count: int,
    ties: tuple[NDArray[np.signedinteger], ...] = (),
) -> ActivityStream:
    """Sort activities and leave out what does not count; those of object -1 or signature -1 belong to nothing.

    At the same instant the earlier occurrence comes first, then the lower signature, then what ``ties`` say: the
    order must not hang on how the table was delivered.
    """
    uncounted = signature < 0
    stream = fact_stream(
        objects=np.where(uncounted, objects.dtype.type(-1), objects) if uncounted.any() else objects,
        times=times,
        object_count=object_count,
        ties=(signature, *ties) if occurred is times else (occurred, signature, *ties),
    )
    if discount.discounts:
        stream = discounted(stream=stream, signature=signature, occurred=occurred, plan=plan, discount=discount)
    return ActivityStream(stream=stream, signature=signature[stream.rows], plan=plan)
