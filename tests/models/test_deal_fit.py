"""What the deal question learns as of a cut-off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.episodes import LOST, OPEN, WON, build_timelines
from features.tables import CrmTables
from models.deal_fit import (
    deal_rows,
    fit_deals,
    flat_curve,
    points_of_deals,
    rows_of,
    support_buckets,
    won_in_support,
)
from models.deal_training import deal_inputs
from models.ladder import LadderSettings
from models.landmark import Buckets
from tests.features.builders import SALES_STAGES, make_tables
from tests.models.market import RULES, make_market, make_settings

INPUTS = deal_inputs(make_settings())
NO_PROPERTIES = make_settings(properties={}).properties


def time(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def three_deals() -> CrmTables:
    """d1 is won after 20 days, d2 lost after 10, d3 stays open."""
    return make_tables(
        deals=[{"deal_id": name, "created_at": "2025-03-01T00:00:00Z"} for name in ("d1", "d2", "d3")],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "demo", "entered_at": "2025-03-01T00:00:00Z"},
            {"deal_id": "d1", "stage": "offer", "entered_at": "2025-03-11T00:00:00Z"},
            {"deal_id": "d1", "stage": "won", "entered_at": "2025-03-21T00:00:00Z"},
            {"deal_id": "d2", "stage": "demo", "entered_at": "2025-03-01T00:00:00Z"},
            {"deal_id": "d2", "stage": "lost", "entered_at": "2025-03-11T00:00:00Z"},
            {"deal_id": "d3", "stage": "demo", "entered_at": "2025-03-01T00:00:00Z"},
        ],
        stages=SALES_STAGES,
    )


def snapshots_of(*rows: tuple[int, str]) -> pd.DataFrame:
    deal, as_of = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "deal": np.array(deal),
            "deal_id": pd.Series([f"d{number + 1}" for number in deal], dtype="str"),
            "as_of": pd.to_datetime(pd.Series(as_of), utc=True).dt.as_unit("us"),
            "weight": 1.0,
        }
    )


def test_rows_tell_where_a_deal_stood_and_what_became_of_it() -> None:
    timelines = build_timelines(three_deals())

    rows = rows_of(
        snapshots=snapshots_of((0, "2025-03-02"), (0, "2025-03-12"), (1, "2025-03-06"), (2, "2025-03-06")),
        timelines=timelines,
    )

    assert rows.stage.tolist() == ["demo", "offer", "demo", "demo"]
    assert rows.outcome.tolist() == [WON, WON, LOST, OPEN]
    assert rows.days_to_outcome[:3].tolist() == [19.0, 9.0, 5.0]
    assert np.isnan(rows.days_to_outcome[3])
    assert (rows.deals_with(WON), rows.deals_with(LOST)) == (1, 1)


def test_a_win_counts_within_the_horizon_that_the_history_supports() -> None:
    timelines = build_timelines(three_deals())
    rows = rows_of(
        snapshots=snapshots_of((0, "2025-03-02"), (0, "2025-03-12"), (1, "2025-03-06"), (2, "2025-03-20")),
        timelines=timelines,
    )

    labels = won_in_support(
        rows=rows, timelines=timelines, buckets=Buckets(edges={}, shared=(5.0, 12.0)), known_until=time("2025-03-26")
    )

    # Won after 19 days (beyond the 12), after 9, lost, and not yet ripe: 20 + 12 days reach beyond the 26th.
    assert labels[:3].tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(labels[3])


def test_kept_rows_stay_aligned() -> None:
    timelines = build_timelines(three_deals())
    rows = rows_of(snapshots=snapshots_of((0, "2025-03-02"), (1, "2025-03-06")), timelines=timelines)

    kept = rows.keep(np.array([False, True]))

    assert kept.deal_id.tolist() == ["d2"]
    assert kept.outcome.tolist() == [LOST]
    assert kept.weight.tolist() == [1.0]


def test_no_closed_deal_supports_no_horizon() -> None:
    tables = make_tables(deals=[{"deal_id": "d1"}], deal_stage_history=[{"deal_id": "d1"}], stages=SALES_STAGES)

    assert support_buckets(tables=tables, now=time("2025-01-01"), first=time("2024-01-01"), inputs=INPUTS) is None


def test_a_rate_is_spread_evenly_and_the_rest_is_lost() -> None:
    curve = flat_curve(np.array([0.4]), edges=np.array([[5.0, 10.0, 20.0]]))

    assert curve.won[0] == pytest.approx([0.1, 0.2, 0.4])
    assert curve.lost[0] == pytest.approx([0.15, 0.3, 0.6])


def test_a_fit_knows_nothing_after_its_cut_off() -> None:
    tables = make_market(contacts=200)
    cutoff, first = time("2025-09-01"), time("2024-07-01")
    buckets = support_buckets(tables=tables, now=time("2026-01-01"), first=first, inputs=INPUTS)
    assert buckets is not None

    fit = fit_deals(tables=tables, cutoff=cutoff, first=first, buckets=buckets, inputs=INPUTS)
    seen, _ = deal_rows(tables=tables, start=first, end=cutoff, inputs=INPUTS)

    ends = fit.train.snapshots["as_of"] + pd.to_timedelta(buckets.support_days(fit.train.pipeline), unit="D")
    assert (ends <= cutoff).all()
    assert len(fit.train.outcome) < len(seen.outcome)


def test_few_deals_are_fitted_with_the_small_booster() -> None:
    small = INPUTS.landmark.booster.model_copy(update={"trees": 5})
    inputs = replace(INPUTS, landmark=INPUTS.landmark.model_copy(update={"small_booster": small}))
    tables, first, now = make_market(contacts=200), time("2024-07-01"), time("2026-01-01")
    buckets = support_buckets(tables=tables, now=now, first=first, inputs=inputs)
    assert buckets is not None

    fit = fit_deals(tables=tables, cutoff=now, first=first, buckets=buckets,
                    inputs=replace(inputs, ladder=LadderSettings(deals_model_from=10)))  # fmt: skip

    assert fit.step.rung == "small_model"
    assert fit.model is not None
    # On top of the ten rounds that learn the buckets alone.
    assert fit.model.booster.current_iteration() == 10 + 5


def test_every_baseline_answers_on_every_row() -> None:
    tables = make_market(contacts=200)
    first, now = time("2024-07-01"), time("2026-01-01")
    buckets = support_buckets(tables=tables, now=now, first=first, inputs=INPUTS)
    assert buckets is not None
    fit = fit_deals(tables=tables, cutoff=now, first=first, buckets=buckets, inputs=INPUTS)
    rows = fit.train

    points = points_of_deals(tables=tables, snapshots=rows.snapshots, rules=INPUTS.rules, properties=INPUTS.properties)
    scores = fit.baselines(matrix=fit.matrix(tables=tables, snapshots=rows.snapshots), rows=rows, points=points)

    assert set(scores) == {"stage_observed", "stage_manual", "base_rate", "point_rules", "naive_bayes"}
    assert set(scores["stage_manual"][rows.stage == "offer"]) == {0.5}
    for values in scores.values():
        assert np.all((values >= 0) & (values <= 1))


@pytest.mark.parametrize(("leaving", "limits"), [(19, {}), (20, {"sales/demo": 19.05})])
def test_a_stage_is_stalled_once_nearly_all_of_enough_deals_had_left_it(leaving: int, limits: dict[str, float]) -> None:
    days = range(1, 26)
    opened = "2025-01-01T00:00:00Z"
    tables = make_tables(
        deals=[{"deal_id": f"d{day}", "created_at": opened} for day in days],
        deal_stage_history=[
            *({"deal_id": f"d{day}", "stage": "demo", "entered_at": opened} for day in days),
            # The first leaves after a day, the second after two, and so on; the rest stay.
            *(
                {"deal_id": f"d{day}", "stage": "offer", "entered_at": f"2025-01-{day + 1:02d}T00:00:00Z"}
                for day in days
                if day <= leaving
            ),
            {"deal_id": "d1", "stage": "won", "entered_at": "2025-02-01T00:00:00Z"},
        ],
        stages=SALES_STAGES,
    )
    first, now = time("2025-01-01"), time("2025-03-01")
    buckets = support_buckets(tables=tables, now=now, first=first, inputs=INPUTS)
    assert buckets is not None

    fit = fit_deals(tables=tables, cutoff=now, first=first, buckets=buckets, inputs=INPUTS)

    # The 95 % point of 1, 2, ... 20 days lies at 1 + .95 x 19; the one deal that left the offer sets no limit.
    assert fit.stall_days == pytest.approx(limits)


def linked(*, contact_created: str) -> CrmTables:
    """One deal from March with one contact, who asked for a demo in March."""
    return make_tables(
        contacts=[{"contact_id": "anna", "created_at": contact_created, "industry": "toys"}],
        activities=[{"contact_id": "anna", "type": "demo_request", "occurred_at": "2025-03-10T00:00:00Z"}],
        deals=[{"deal_id": "d1", "created_at": "2025-03-01T00:00:00Z"}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "anna"}],
    )


def points_at(tables: CrmTables, *as_ofs: str) -> list[float]:
    points = points_of_deals(
        tables=tables,
        snapshots=snapshots_of(*((0, as_of) for as_of in as_ofs)),
        rules=RULES,
        properties=INPUTS.properties,
    )
    assert points is not None
    return points.tolist()


def test_a_deal_has_the_points_of_its_contact_at_the_as_of() -> None:
    tables = linked(contact_created="2025-01-01T00:00:00Z")

    # Toys 10; from the tenth on, when the first of all activities is recorded, the demo 30; sixty days without
    # anything -15, and the demo is too long ago.
    assert points_at(tables, "2025-03-09", "2025-03-11", "2025-06-01") == [10.0, 40.0, -5.0]


def test_the_points_of_a_deal_whose_contact_was_not_known_yet_are_unknown() -> None:
    tables = linked(contact_created="2025-03-20T00:00:00Z")

    found = points_at(tables, "2025-03-15", "2025-03-20", "2025-03-21")

    assert found == pytest.approx([np.nan, np.nan, 40.0], nan_ok=True)


def test_the_best_rated_contact_speaks_for_the_deal() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "anna", "industry": "tools"}, {"contact_id": "ben", "industry": "toys"}],
        activities=[{"contact_id": "someone", "type": "visit"}],
        deals=[{"deal_id": "d1", "created_at": "2024-01-02T00:00:00Z"}, {"deal_id": "d2"}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "anna"}, {"deal_id": "d1", "contact_id": "ben"}],
    )

    points = points_of_deals(
        tables=tables,
        snapshots=snapshots_of((0, "2024-01-10"), (1, "2024-01-10")),
        rules=RULES,
        properties=INPUTS.properties,
    )

    assert points is not None
    assert points.tolist() == pytest.approx([10.0, np.nan], nan_ok=True)


def test_without_rules_contacts_or_usable_criteria_deals_have_no_points() -> None:
    tables = linked(contact_created="2025-01-01T00:00:00Z")
    alone = make_tables(deals=[{"deal_id": "d1"}])
    quiet = make_tables(
        contacts=[{"contact_id": "anna"}],
        deals=[{"deal_id": "d1"}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "anna"}],
    )
    snapshots = snapshots_of((0, "2025-03-09"))

    for given, rules in ((tables, make_settings(rules={}).rules), (alone, RULES), (quiet, RULES)):
        assert points_of_deals(tables=given, snapshots=snapshots, rules=rules, properties=NO_PROPERTIES) is None
