"""Where the past is cut: fit, calibrate and test on windows in time order, a horizon apart."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field


class SplitSettings(BaseModel):
    """How the history is divided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(
        default=0.25, gt=0, lt=1, description="Share of the ripe history that is kept for the test."
    )
    max_test_days: float = Field(default=180.0, gt=0, description="The test window is never longer than this.")
    min_test_days: float = Field(default=14.0, gt=0, description="A shorter test proves nothing, so there is none.")
    min_train_days: float = Field(default=30.0, gt=0, description="A fit needs at least this much ripe history.")


@dataclass(frozen=True)
class Cutoffs:
    """The moments at which a fit is made as if it were then today.

    A fit at ``test_at`` knows only facts before it and is tested on as-ofs in [``test_at``, ``ripe_until``); one at
    ``calibrate_at`` is scored on [``calibrate_at``, ``calibrate_until``), whose labels are known at ``test_at``.
    None where the history is too short.
    """

    first: pd.Timestamp
    now: pd.Timestamp
    horizon_days: float
    ripe_until: pd.Timestamp
    test_at: pd.Timestamp | None
    calibrate_at: pd.Timestamp | None
    calibrate_until: pd.Timestamp | None

    def note(self) -> str:
        """Say in a sentence which splits the history allowed."""
        days = (self.now - self.first).days
        if self.test_at is None:
            return f"{days} days of history are too short for an honest test with a horizon of {self.horizon_days:.0f}"
        if self.calibrate_at is None:
            return f"{days} days of history allow a test but no calibration window apart from it"
        return "fit, calibration and test lie in time order, each blind to what became known after its start"


def plan_cutoffs(*, first: pd.Timestamp, now: pd.Timestamp, horizon_days: float, settings: SplitSettings) -> Cutoffs:
    """Divide [first, now): the longest honest split that leaves enough ripe history to fit on."""
    horizon = pd.Timedelta(days=horizon_days)
    ripe_until = now - horizon
    usable = (ripe_until - first) / pd.Timedelta(days=1)
    room = usable - horizon_days - settings.min_train_days
    length = min(usable * settings.test_share, settings.max_test_days, room)
    test_at = calibrate_at = calibrate_until = None
    if length >= settings.min_test_days:
        test_at = ripe_until - pd.Timedelta(days=length)
        calibrate_until = test_at - horizon
        calibrate_at = calibrate_until - pd.Timedelta(days=length)
        trained = (calibrate_at - horizon - first) / pd.Timedelta(days=1)
        if trained < settings.min_train_days:
            calibrate_at = calibrate_until = None
    return Cutoffs(
        first=first,
        now=now,
        horizon_days=horizon_days,
        ripe_until=ripe_until,
        test_at=test_at,
        calibrate_at=calibrate_at,
        calibrate_until=calibrate_until,
    )


def plan_folds(
    *, first: pd.Timestamp, now: pd.Timestamp, horizon_days: float, folds: int, settings: SplitSettings
) -> list[Cutoffs]:
    """Divide the ripe past into test windows that follow each other, the oldest first, each with its own split before.

    The windows are as long as the history allows, ``max_test_days`` at most; where it does not allow so many of
    ``min_test_days``, there are fewer. Each fold's ``now`` is when its last label was ripe.
    """
    horizon = pd.Timedelta(days=horizon_days)
    usable = (now - horizon - first) / pd.Timedelta(days=1)
    room = usable - horizon_days - settings.min_train_days
    count = min(folds, int(room // settings.min_test_days))
    if count < 1:
        return []
    # One window more than are tested: the first fold, too, must have something to learn from.
    length = pd.Timedelta(days=max(min(room / (count + 1), settings.max_test_days), settings.min_test_days))
    planned = []
    for back in range(count, 0, -1):
        test_at = now - horizon - back * length
        calibrate_until = test_at - horizon
        calibrate_at = calibrate_until - length
        trained = (calibrate_at - horizon - first) / pd.Timedelta(days=1)
        enough = trained >= settings.min_train_days
        planned.append(
            Cutoffs(
                first=first,
                now=test_at + length + horizon,
                horizon_days=horizon_days,
                ripe_until=test_at + length,
                test_at=test_at,
                calibrate_at=calibrate_at if enough else None,
                calibrate_until=calibrate_until if enough else None,
            )
        )
    return planned
