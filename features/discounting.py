"""Machines at work: bursts of opens and clicks, and more in a day than anybody does, do not count."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.fact_stream import Int64Array
from features.series import SeriesPlan


class Discount(BaseModel):
    """Which activities are machines at work and do not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    burst_kinds: tuple[str, ...] = Field(
        default=("open", "click", "view"), description="Kinds whose name holds one of these words may come in bursts."
    )
    burst_seconds: float = Field(
        default=2.0,
        ge=0,
        description="Of such a kind, one that follows another this soon is not counted; 0 counts all.",
    )
    max_per_day: int = Field(
        default=1000, ge=0, description="Of a contact's or deal's activities of one day no more count; 0 counts all."
    )

    @property
    def discounts(self) -> bool:
        """Say whether there can be any activity that does not count."""
        return self.max_per_day > 0 or (self.burst_seconds > 0 and bool(self.burst_kinds))


NO_DISCOUNT: Final = Discount(burst_kinds=(), burst_seconds=0.0, max_per_day=0)


def counting(
    starts: Int64Array,
    signature: NDArray[np.unsignedinteger],
    occurred: Int64Array,
    *,
    plan: SeriesPlan,
    discount: Discount,
) -> NDArray[np.bool_]:
    """Say which activities count, sorted by object and effective time; object i's begin at ``starts[i]``.

    Whether one counts depends only on what came before it in the stream, so nothing later can change it.
    """
    bursty = np.array([any(word in kind for word in discount.burst_kinds) for kind in plan.kinds], dtype=bool)
    return np.asarray(
        _counting(
            starts,
            plan.kind_of(np.arange(plan.signatures)).astype(np.int64),
            signature,
            occurred,
            bursty & (discount.burst_seconds > 0),
            int(discount.burst_seconds * 1_000_000),
            discount.max_per_day,
        ),
        dtype=np.bool_,
    )


@njit(cache=True)
def _counting(starts, kind_of, signature, occurred, bursty, burst, max_per_day):  # type: ignore[no-untyped-def]  # Numba
    day = 86_400_000_000
    keep = np.ones(signature.shape[0], dtype=np.bool_)
    latest = np.zeros(bursty.shape[0], dtype=np.int64)
    owner = np.full(bursty.shape[0], -1, dtype=np.int64)
    for item in range(starts.shape[0] - 1):
        first, end = starts[item], starts[item + 1]
        for position in range(first, end):
            at = occurred[position]
            kind = kind_of[signature[position]]
            if bursty[kind]:
                if owner[kind] == item and abs(at - latest[kind]) <= burst:
                    keep[position] = False
                owner[kind] = item
                latest[kind] = at
        if 0 < max_per_day < end - first:
            # What became known late stands between later days.
            days = occurred[first:end] // day
            today = np.int64(0)
            counted = 0
            for place in np.argsort(days, kind="mergesort"):
                if days[place] != today:
                    today = days[place]
                    counted = 0
                if keep[first + place]:
                    counted += 1
                    keep[first + place] = counted <= max_per_day
    return keep
