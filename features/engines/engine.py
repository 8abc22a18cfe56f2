"""The engine that computes behaviour features: chosen once for a command, asked wherever a matrix is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

from features.activity_columns import activity_columns
from features.contact_features import Column
from features.matrix_inputs import MatrixInputs


class BehaviourEngine(Protocol):
    """Something that computes the features of activities; every engine gives the same numbers."""

    def activity_columns(self, inputs: MatrixInputs) -> dict[str, Column]:
        """Return every feature of the activities of each snapshot's object before its as-of."""
        ...


class LocalEngine:
    """This machine."""

    def activity_columns(self, inputs: MatrixInputs) -> dict[str, Column]:
        """Return every feature of the activities of each snapshot's object before its as-of."""
        return activity_columns(
            inputs.activities, objects=inputs.objects, as_of=inputs.as_of, plan=inputs.contract.behaviour
        )


_CHOSEN: Final[ContextVar[BehaviourEngine | None]] = ContextVar("behaviour engine", default=None)


def behaviour_engine() -> BehaviourEngine:
    """Return the engine that was chosen, the local one if none was."""
    return _CHOSEN.get() or LocalEngine()


@contextmanager
def computing_with(engine: BehaviourEngine) -> Iterator[None]:
    """Choose the engine of every matrix that is built inside.

    Not an argument of all that leads to a matrix, as it decides where numbers are computed and never which.
    """
    before = _CHOSEN.set(engine)
    try:
        yield
    finally:
        _CHOSEN.reset(before)
