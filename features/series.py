"""Series of activities: what is counted together, and what counts at all.

An activity belongs to several series at once: its kind, its direction, its kind with its outcome, working hours. All
activities that belong to the same series share a signature, a small number, so that the kernel finds the series of an
activity in one table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

OTHER_KIND: Final = "other"
DIRECTIONS: Final = ("inbound", "outbound")
WORKING_HOURS: Final = "working_hours"
SIDES: Final = 1 + len(DIRECTIONS)
"""Who acted: nobody knows, they did, we did."""


@dataclass(frozen=True)
class SeriesPlan:
    """The series to count, in this order: kinds, directions, outcomes (a kind with an outcome), working hours.

    ``utc_offset_hours`` moves the clock that working hours are read from; None leaves them out.
    """

    kinds: tuple[str, ...]
    directed: bool = False
    outcomes: tuple[tuple[str, str], ...] = ()
    utc_offset_hours: float | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of all series, in order."""
        return (
            *self.kinds,
            *(DIRECTIONS if self.directed else ()),
            *(f"{kind}_{outcome}" for kind, outcome in self.outcomes),
            *((WORKING_HOURS,) if self.utc_offset_hours is not None else ()),
        )

    @property
    def inbound(self) -> int:
        """Return the place of the inbound series; the outbound one follows. -1 without directions."""
        return len(self.kinds) if self.directed else -1

    @property
    def windowed(self) -> int:
        """Return how many series, the first ones, are counted in windows."""
        return len(self.kinds) + len(DIRECTIONS) * self.directed

    @property
    def signatures(self) -> int:
        """Return how many signatures there are."""
        return len(self.kinds) * SIDES * (len(self.outcomes) + 1) * 2

    def kind_of(self, signature: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the kind (place in ``kinds``) behind each signature."""
        return signature // (SIDES * (len(self.outcomes) + 1) * 2)

    def side_of(self, signature: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return who acted behind each signature: 0 nobody knows, 1 they did, 2 we did."""
        return signature // ((len(self.outcomes) + 1) * 2) % SIDES

    def members(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the series of each signature: those of signature i lie from ``starts[i]`` to ``starts[i + 1]``."""
        lists = [list(self._series_of(*parts)) for parts in product(*map(range, self._shape))]
        starts = np.append(0, np.cumsum([len(members) for members in lists]))
        return starts.astype(np.int64), np.array([place for members in lists for place in members], dtype=np.int64)

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return len(self.kinds), SIDES, len(self.outcomes) + 1, 2

    def _series_of(self, kind: int, side: int, outcome: int, working: int) -> Iterator[int]:
        yield kind
        if self.directed and side:
            yield len(self.kinds) + side - 1
        if outcome:
            yield self.windowed + outcome - 1
        if self.utc_offset_hours is not None and working:
            yield len(self.names) - 1
