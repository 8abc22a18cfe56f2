"""Who became whom: ids of objects that were merged lead to the one that is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features.sources.hubspot.landing import Landing


@dataclass(frozen=True)
class Survivors:
    """The survivor of each id that took part in a merge; all others are their own."""

    of_merged: Mapping[int, int]

    def of(self, number: int) -> int:
        """Return the id that an object goes by now."""
        return self.of_merged.get(number, number)


def survivors(*, merges: Iterable[tuple[int, int]], alive: Iterable[int]) -> Survivors:
    """Follow (loser, winner) pairs, in whatever order, to the one object of each group that is left.

    HubSpot may keep the winner's id or make a new one, so the survivor is the one that is alive, and of several the
    one that never lost, then the youngest.

    >>> survivors(merges=[(1, 2), (2, 3)], alive=[3]).of(1)
    3
    """
    pairs = list(merges)
    parents: dict[int, int] = {}

    def root(number: int) -> int:
        parents.setdefault(number, number)
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for loser, winner in pairs:
        parents[root(loser)] = root(winner)
    groups: dict[int, list[int]] = {}
    for number in list(parents):
        groups.setdefault(root(number), []).append(number)
    living, lost = set(alive), {loser for loser, _ in pairs}
    chosen = {
        base: max(group, key=lambda number: (number in living, number not in lost, number))
        for base, group in groups.items()
    }
    return Survivors({number: chosen[root(number)] for number in parents})


def landed_survivors(landing: Landing, kind: str) -> Survivors:
    """Return the survivors of all merges that the landing knows of."""
    merges = [(row[0], row[1]) for row in landing.rows("SELECT loser, winner FROM merges WHERE kind = ?", (kind,))]
    alive = [
        row[0]
        for row in landing.rows(
            "SELECT id FROM records WHERE kind = ? AND archived_at IS NULL "
            "AND id IN (SELECT loser FROM merges WHERE kind = ? UNION SELECT winner FROM merges WHERE kind = ?)",
            (kind, kind, kind),
        )
    ]
    return survivors(merges=merges, alive=alive)
