"""Thin, renamed, skipped, re-entered and unheard-of stages: each deal in them still gets an honest answer."""

from __future__ import annotations

import pandas as pd
import pytest

from features.tables import CrmTables
from features.visibility import as_known_at
from models.deal_training import train_deals
from models.training import Trained
from tests.models.market import END, make_market, make_settings
from tests.models.scoring import assert_publishable, score

PILOT = {"pipeline": "sales", "stage": "pilot", "label": "Pilot", "position": 1.5, "outcome": "open"}


def with_pilots(tables: CrmTables, *, deals: int) -> CrmTables:
    """Send this many won deals of the past through a new stage between demo and offer."""
    history = tables["deal_stage_history"]
    won = history.loc[history["stage"] == "won", "deal_id"].head(deals)
    opened = history.loc[history["stage"].eq("demo") & history["deal_id"].isin(won)]
    entered = opened.assign(stage="pilot", entered_at=opened["entered_at"] + pd.Timedelta(days=1))
    frames = {
        **tables.frames,
        "stages": pd.concat([tables["stages"], pd.DataFrame([PILOT])], ignore_index=True),
        "deal_stage_history": pd.concat([history, entered], ignore_index=True),
    }
    return CrmTables(frames=frames, absent=tables.absent)


def moved(tables: CrmTables, *, at: pd.Timestamp, stage: str, deals: pd.Index) -> CrmTables:
    """Put these deals into a stage just before an instant."""
    entries = pd.DataFrame({"deal_id": deals, "stage": stage, "entered_at": at - pd.Timedelta(hours=1)})
    history = pd.concat([tables["deal_stage_history"], entries], ignore_index=True)
    history = history.astype(tables["deal_stage_history"].dtypes.to_dict())
    return CrmTables(frames={**tables.frames, "deal_stage_history": history}, absent=tables.absent)


def renamed(tables: CrmTables, *, old: str, new: str) -> CrmTables:
    frames = dict(tables.frames)
    for table in ("stages", "deal_stage_history"):
        frames[table] = frames[table].assign(stage=frames[table]["stage"].replace({old: new}))
    return CrmTables(frames=frames, absent=tables.absent)


@pytest.fixture(scope="module")
def thin() -> tuple[Trained, CrmTables]:
    tables = with_pilots(make_market(contacts=900), deals=12)
    return train_deals(tables=tables, as_of=END, settings=make_settings()), tables


def test_a_stage_with_twelve_lucky_deals_leans_on_the_rest(thin: tuple[Trained, CrmTables]) -> None:
    trained, tables = thin
    open_now = score(trained.bundle, as_known_at(tables, as_of=END), END).index[:40]

    before = score(trained.bundle, tables, END).loc[open_now]
    after = score(trained.bundle, moved(tables, at=END, stage="pilot", deals=open_now), END).loc[open_now]

    rates = trained.bundle.data.stage_rates
    parent = rates["pipelines"]["sales"]
    # All twelve were won; with 20 deals at the pipeline's rate beside them that is far from certain.
    assert parent < rates["stages"]["sales"]["pilot"] <= (12 + 20 * parent) / 32
    assert (after["stage"] == "pilot").all()
    # Hot deals stay likely and cold ones unlikely: what is known of each deal is not drowned by its stage.
    assert after["win_probability"].corr(before["win_probability"], method="spearman") > 0.6
    assert after["win_probability"].min() < 0.5


def test_a_stage_that_was_renamed_falls_back_on_its_pipeline(thin: tuple[Trained, CrmTables]) -> None:
    trained, tables = thin

    rows = score(trained.bundle, renamed(tables, old="offer", new="proposal"), END)

    new = rows.loc[rows["stage"] == "proposal"]
    assert len(new)
    assert new["stage_rate_observed"].to_numpy() == pytest.approx(trained.bundle.data.stage_rates["pipelines"]["sales"])
    assert new["win_probability"].notna().all()
    assert_publishable("deals", rows)


def test_a_deal_that_goes_back_or_skips_a_stage_is_scored_as_it_stands(thin: tuple[Trained, CrmTables]) -> None:
    trained, tables = thin
    placed = score(trained.bundle, tables, END)
    back = placed.index[placed["stage"] == "offer"][:5]

    rows = score(trained.bundle, moved(tables, at=END, stage="demo", deals=back), END).loc[back]

    assert (rows["stage"] == "demo").all()
    assert rows["days_in_stage"].to_numpy() == pytest.approx(1 / 24)
    assert rows["win_probability"].between(0, 1).all()
