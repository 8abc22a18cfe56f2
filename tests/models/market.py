"""A small made-up market, whose winners are easy to tell: for tests of training and scoring."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from features.properties import PropertySettings, SafeColumns
from features.snapshots import SnapshotSettings
from features.tables import CrmTables
from models.boosting import BoosterSettings
from models.contact_fit import ContactSettings
from models.driver_refits import DriverSettings
from models.gate import GateSettings
from models.landmark import LandmarkSettings
from models.rules.sheet import PointRules
from models.training import TrainingSettings
from tests.features.builders import SALES_STAGES, make_tables

END: Final = pd.Timestamp("2026-01-01", tz="UTC")
MONTHS: Final = 18
RULES: Final = PointRules.model_validate(
    {
        "fit": {"cap": 20, "criteria": [{"name": "Toys", "property": "industry", "is": "toys", "points": 10}]},
        "engagement": {
            "cap": 40,
            "criteria": [
                {"name": "Asked for a demo", "activity": "demo_request", "within_days": 60, "points": 30},
                {"name": "Silent", "inactive_days": 60, "points": -15},
            ],
        },
    }
)


def make_market(*, contacts: int, hot_wins: float = 0.9, cold_wins: float = 0.05, seed: int = 1) -> CrmTables:
    """Return a year and a half of contacts of whom most get a deal after some weeks.

    Four in ten are hot: they ask for a demo a few days after they come and again when the deal opens, and win with
    ``hot_wins``; the others only read a newsletter and win with ``cold_wins``. A deal takes 10 to 50 days.
    """
    generator = np.random.default_rng(seed)
    start = END - pd.DateOffset(months=MONTHS)
    created = start + pd.to_timedelta(np.sort(generator.uniform(0, (END - start).days, contacts)), unit="D")
    hot = generator.random(contacts) < 0.4
    won = generator.random(contacts) < np.where(hot, hot_wins, cold_wins)
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("contacts", "activities", "deals", "deal_contacts", "deal_stage_history")
    }
    for number in range(contacts):
        contact, deal = f"c{number:04d}", f"d{number:04d}"
        kind = "demo_request" if hot[number] else "newsletter_open"
        opened = created[number] + pd.Timedelta(days=float(generator.uniform(20, 60)))
        length = pd.Timedelta(days=float(generator.uniform(10, 50)))
        rows["contacts"].append(
            {"contact_id": contact, "created_at": created[number], "industry": ("toys", "tools")[number % 2]}
        )
        acts = [created[number] + pd.Timedelta(days=float(generator.uniform(1, 5)))]
        if number % 5:
            rows["deals"].append({"deal_id": deal, "created_at": opened, "amount": 100.0 * (1 + number % 7)})
            rows["deal_contacts"].append({"deal_id": deal, "contact_id": contact})
            for stage, share in (("demo", 0.0), ("offer", 0.5), ("won" if won[number] else "lost", 1.0)):
                rows["deal_stage_history"].append(
                    {"deal_id": deal, "stage": stage, "entered_at": opened + share * length}
                )
            acts.append(opened + pd.Timedelta(hours=1))
        rows["activities"] += [
            {"contact_id": contact, "occurred_at": at, "type": kind, "direction": "inbound"} for at in acts
        ]
    for number, row in enumerate(rows["activities"]):
        row["activity_id"] = f"a{number:05d}"
    return before_end(make_tables(stages=SALES_STAGES, **rows))


DEAL_BOOSTER: Final = BoosterSettings(
    trees=80, learning_rate=0.06, min_leaf_rows=50, l2=10.0, feature_share=0.7, threads=1
)


def before_end(tables: CrmTables) -> CrmTables:
    """Leave out what would happen after the end."""
    frames = dict(tables.frames)
    for table, column in (
        ("activities", "occurred_at"),
        ("deals", "created_at"),
        ("deal_stage_history", "entered_at"),
    ):
        frames[table] = frames[table].loc[frames[table][column] < END].reset_index(drop=True)
    known = frames["deals"]["deal_id"]
    for table in ("deal_contacts", "deal_stage_history"):
        frames[table] = frames[table].loc[frames[table]["deal_id"].isin(known)].reset_index(drop=True)
    return CrmTables(frames=frames, absent=tables.absent)


def make_settings(**changes: Any) -> TrainingSettings:
    """Settings that train within a second or two on one thread."""
    arguments: dict[str, Any] = {
        "bootstrap_replicates": 20,
        "snapshots": SnapshotSettings(young_steps=4),
        "properties": PropertySettings(contacts=SafeColumns(safe=("industry",))),
        "contacts": ContactSettings(
            booster=BoosterSettings(trees=80, l2=10.0, feature_share=0.7, threads=1),
            small_booster=BoosterSettings(trees=60, leaves=4, l2=10.0, feature_share=0.7, threads=1),
        ),
        "deals": LandmarkSettings(booster=DEAL_BOOSTER, small_booster=DEAL_BOOSTER),
        # The signs of this market are plainer than life allows, and so few trees too cautious about them.
        "drivers": DriverSettings(refits=2),
        "gate": GateSettings(max_slope=2.0, max_auc_alike=1.0),
        "rules": RULES,
        **changes,
    }
    return TrainingSettings(**arguments)
