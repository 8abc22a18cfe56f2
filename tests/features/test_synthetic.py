"""The simulated CRM: the shape of its export, its rates, its traps, and the honesty of its true probabilities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from features.sources.base import Source
from features.sources.synthetic import (
    SyntheticAsOfError,
    SyntheticCrm,
    SyntheticSettings,
    SyntheticSource,
    TruthFrames,
    simulate,
    simulate_truth,
    simulate_win_days,
)
from features.sources.synthetic_dynamics import advance
from features.sources.synthetic_history import state_at, stream
from features.sources.synthetic_state import IS_OPEN, fork, members_of
from features.tables import TABLE_NAMES, CrmTables

SMALL = SyntheticSettings(contacts=400, months=9)
HORIZON = timedelta(days=90)

KEYS = {
    "contacts": ["contact_id"],
    "companies": ["company_id"],
    "activities": ["activity_id"],
    "deals": ["deal_id"],
    "deal_contacts": ["deal_id", "contact_id"],
    "deal_stage_history": ["deal_id", "entered_at"],
    "stages": ["pipeline", "stage"],
    "property_history": ["object_type", "object_id", "property", "known_at"],
    "owners": ["owner_id"],
}
REFERENCES = [
    ("contacts", "company_id", "companies"),
    ("contacts", "owner_id", "owners"),
    ("activities", "contact_id", "contacts"),
    ("activities", "deal_id", "deals"),
    ("activities", "owner_id", "owners"),
    ("deals", "company_id", "companies"),
    ("deals", "owner_id", "owners"),
    ("deal_contacts", "deal_id", "deals"),
    ("deal_contacts", "contact_id", "contacts"),
    ("deal_stage_history", "deal_id", "deals"),
]
COLUMNS = {
    "contacts": "contact_id created_at company_id owner_id email source merged_ids country industry job_level "
    "lifecyclestage num_associated_deals last_activity_at hs_lead_status",
    "companies": "company_id created_at industry country employee_band",
    "activities": "activity_id occurred_at type contact_id deal_id known_at direction outcome name owner_id "
    "duration_seconds",
    "deals": "deal_id created_at pipeline amount currency expected_close_at owner_id company_id name closed_reason "
    "days_to_close",
    "deal_contacts": "deal_id contact_id role",
    "deal_stage_history": "deal_id stage entered_at known_at",
    "stages": "pipeline stage label position outcome probability",
    "property_history": "object_type object_id property value known_at",
    "owners": "owner_id name team",
}


@pytest.fixture(scope="module")
def crm() -> SyntheticCrm:
    return simulate(SyntheticSettings())


@pytest.fixture(scope="module")
def tables(crm: SyntheticCrm) -> CrmTables:
    return crm.tables


@pytest.fixture(scope="module")
def outcomes(tables: CrmTables) -> pd.DataFrame:
    """Stages entered, in order, each with its outcome and whether the deal has left it again."""
    stages = tables["stages"][["pipeline", "stage", "outcome", "position"]]
    history = tables["deal_stage_history"].merge(tables["deals"][["deal_id", "pipeline"]], on="deal_id")
    history = history.merge(stages, on=["pipeline", "stage"], how="left").sort_values(["deal_id", "entered_at"])
    by_deal = history.groupby("deal_id")
    return history.assign(
        left_at=by_deal["entered_at"].shift(-1),
        previous=by_deal["outcome"].shift(),
        previous_position=by_deal["position"].shift(),
    ).reset_index(drop=True)


def final_outcomes(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the stage that each deal is in at the end, by deal."""
    return outcomes[outcomes["left_at"].isna()].set_index("deal_id")


def first_wins(tables: CrmTables, outcomes: pd.DataFrame) -> pd.Series:
    """Return when each winning contact became a customer; wins undone within a day do not count."""
    wins = outcomes[(outcomes["outcome"] == "won") & outcomes["left_at"].isna()]
    return tables["deal_contacts"].merge(wins, on="deal_id").groupby("contact_id")["entered_at"].min()


def days_before_end(days: int) -> datetime:
    return SyntheticSettings().end - timedelta(days=days)


def test_synthetic_crm_is_a_source_without_findings() -> None:
    source: Source = SyntheticSource(SMALL)

    tables, findings = source.read()

    assert set(tables.frames) == set(TABLE_NAMES)
    assert tables.absent == ()
    assert findings == []


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    digest = simulate(SMALL).tables.digest()

    assert simulate(SMALL).tables.digest() == digest
    assert simulate(SMALL.model_copy(update={"seed": 8})).tables.digest() != digest


@pytest.mark.parametrize("seed", range(3))
def test_smallest_world_has_all_tables_in_the_right_types(seed: int) -> None:
    tables = simulate(SyntheticSettings(seed=seed, contacts=50, months=3)).tables

    for name in TABLE_NAMES:
        assert_contract_types(tables, name)


def assert_contract_types(tables: CrmTables, name: str) -> None:
    numbers = {"amount", "days_to_close", "duration_seconds", "num_associated_deals", "position", "probability"}
    instants = {"created_at", "occurred_at", "known_at", "entered_at", "expected_close_at"}
    for column, dtype in tables[name].dtypes.items():
        wanted = "float64" if column in numbers else "datetime64[us, UTC]" if column in instants else "str"
        assert str(dtype) == wanted, (name, column)


def test_settings_refuse_unknown_keys_and_naive_ends() -> None:
    with pytest.raises(ValidationError):
        SyntheticSettings.model_validate({"contact": 100})
    with pytest.raises(ValidationError):
        SyntheticSettings.model_validate({"end": datetime(2026, 1, 1)})  # noqa: DTZ001  a naive time is the point


def test_history_begins_whole_calendar_months_before_the_end() -> None:
    settings = SyntheticSettings(months=24, end=datetime(2026, 1, 1, tzinfo=UTC))

    assert settings.start == datetime(2024, 1, 1, tzinfo=UTC)
    assert settings.days == 366 + 365


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_columns_are_those_of_the_contract_and_types_fit(tables: CrmTables, name: str) -> None:
    assert list(tables[name].columns) == COLUMNS[name].split()
    assert_contract_types(tables, name)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_keys_are_unique_and_complete(tables: CrmTables, name: str) -> None:
    key = tables[name][KEYS[name]]

    assert not key.isna().any(axis=None)
    assert not key.duplicated().any()


@pytest.mark.parametrize(("table", "column", "target"), REFERENCES)
def test_references_hold(tables: CrmTables, table: str, column: str, target: str) -> None:
    referred = tables[table][column].dropna()

    assert referred.isin(tables[target][KEYS[target][0]]).all()


def test_property_history_refers_to_objects_of_the_export(tables: CrmTables) -> None:
    history = tables["property_history"]

    for object_type, table in (("contact", "contacts"), ("deal", "deals")):
        objects = history.loc[history["object_type"] == object_type, "object_id"]
        assert len(objects) > 0
        assert objects.isin(tables[table][f"{object_type}_id"]).all()


def test_no_fact_reaches_the_end(tables: CrmTables) -> None:
    end = pd.Timestamp(SyntheticSettings().end)

    for name in TABLE_NAMES:
        for column in tables[name].columns.intersection(["created_at", "occurred_at", "known_at", "entered_at"]):
            assert (tables[name][column] < end).all(), (name, column)


def test_nothing_is_known_before_it_happened_or_before_its_object_exists(tables: CrmTables) -> None:
    activities = tables["activities"].merge(tables["contacts"][["contact_id", "created_at"]], on="contact_id")
    contact_history = tables["property_history"].query("object_type == 'contact'")
    contact_history = contact_history.merge(tables["contacts"], left_on="object_id", right_on="contact_id")
    deal_history = tables["property_history"].query("object_type == 'deal'")
    deal_history = deal_history.merge(tables["deals"], left_on="object_id", right_on="deal_id")

    assert (activities["known_at"] >= activities["occurred_at"]).all()
    assert (activities["occurred_at"] >= activities["created_at"]).all()
    assert (contact_history["known_at"] >= contact_history["created_at"]).all()
    assert (deal_history["known_at"] >= deal_history["created_at"]).all()


def test_every_stage_entered_belongs_to_the_pipeline_of_its_deal(outcomes: pd.DataFrame) -> None:
    assert outcomes["outcome"].notna().all()


def test_a_deal_is_created_when_it_enters_its_first_stage(tables: CrmTables, outcomes: pd.DataFrame) -> None:
    first = outcomes.groupby("deal_id")["entered_at"].min()

    assert (tables["deals"].set_index("deal_id")["created_at"] == first).all()


def test_won_stage_cannot_be_told_from_its_id(tables: CrmTables) -> None:
    stages = tables["stages"].set_index("stage")

    assert stages.loc["closedwon", "outcome"] == "open"
    assert stages.loc["3419822", "outcome"] == "won"
    assert not stages.index[stages["outcome"] == "won"].str.contains("won|sign|order").any()
    assert stages.groupby("pipeline")["outcome"].apply(lambda found: set(found) == {"open", "won", "lost"}).all()


def test_slow_pipeline_takes_quarters_where_the_other_takes_weeks(tables: CrmTables) -> None:
    days = tables["deals"].groupby("pipeline")["days_to_close"].median()

    assert days["default"] < 60
    assert days["machines"] > 90


def test_stages_are_skipped_and_entered_again(outcomes: pd.DataFrame) -> None:
    moves = outcomes[(outcomes["outcome"] == "open") & (outcomes["previous"] == "open")]
    step = moves["position"] - moves["previous_position"]

    assert (step == 2).mean() > 0.05
    assert (step == -1).mean() > 0.005
    assert set(step) == {-1.0, 1.0, 2.0}


def test_a_few_deals_are_reopened_and_a_few_wins_are_undone_within_a_day(outcomes: pd.DataFrame) -> None:
    reopened = outcomes[(outcomes["outcome"] == "open") & (outcomes["previous"] == "lost")]
    undone = outcomes[(outcomes["outcome"] == "won") & outcomes["left_at"].notna()]

    assert 3 <= len(reopened) <= 40
    assert 3 <= len(undone) <= 40
    assert (undone["left_at"] - undone["entered_at"] < pd.Timedelta(days=1)).all()


def test_some_owners_leave_dead_deals_open(outcomes: pd.DataFrame) -> None:
    still_open = final_outcomes(outcomes).query("outcome == 'open' and pipeline == 'default'")
    untouched = SyntheticSettings().end - still_open["entered_at"]

    assert (untouched > pd.Timedelta(days=120)).sum() >= 5


@pytest.mark.parametrize(("share", "careless"), [(0.0, []), (0.25, [3, 7]), (0.5, [1, 3, 5, 7]), (1.0, [*range(8)])])
def test_so_many_owners_are_careless_as_the_settings_say(share: float, careless: list[int]) -> None:
    world, _ = state_at(settings=SyntheticSettings(contacts=330 * 8, months=3, careless_owners=share), day=0)

    assert np.flatnonzero(world.owners.careless).tolist() == careless
    assert set(world.owners.neglect[careless]) <= {0.4}
    assert set(np.delete(world.owners.neglect, careless)) <= {0.03}


def test_counts_lie_in_the_stated_bands(tables: CrmTables, outcomes: pd.DataFrame) -> None:
    final = final_outcomes(outcomes)["outcome"].value_counts()
    activities = tables["activities"]["contact_id"].value_counts()
    activities = activities.reindex(tables["contacts"]["contact_id"], fill_value=0)

    assert 900 <= len(tables["deals"]) <= 1300
    assert 140 <= final["open"] <= 210
    assert final["lost"] >= 300
    assert 350 <= len(first_wins(tables, outcomes)) <= 600
    assert 30 <= activities.mean() <= 60
    assert activities.median() < activities.mean() / 2
    assert activities.quantile(0.99) > 5 * activities.mean()


@pytest.mark.parametrize("days", [540, 365, 180, 90])
def test_base_rate_of_contacts_lies_in_the_stated_band(tables: CrmTables, outcomes: pd.DataFrame, days: int) -> None:
    as_of = days_before_end(days)
    contacts = tables["contacts"]
    won_at = contacts["contact_id"].map(first_wins(tables, outcomes))
    eligible = (contacts["created_at"] < as_of) & ~(won_at < as_of)

    rate = (won_at[eligible].between(as_of, as_of + HORIZON, inclusive="left")).mean()

    assert 0.012 <= rate <= 0.042


def test_contacts_without_an_open_deal_win_too(tables: CrmTables, outcomes: pd.DataFrame) -> None:
    wins = first_wins(tables, outcomes)
    opened = tables["deal_contacts"].merge(tables["deals"], on="deal_id").groupby("contact_id")["created_at"].min()
    as_of = wins - pd.Timedelta(days=60)

    assert (opened.reindex(wins.index) > as_of).mean() > 0.3


def test_export_columns_filled_after_the_outcome_match_it(tables: CrmTables, outcomes: pd.DataFrame) -> None:
    contacts = tables["contacts"].set_index("contact_id")
    closed = final_outcomes(outcomes)["outcome"] != "open"
    deals = tables["deals"].set_index("deal_id")
    counted = tables["deal_contacts"]["contact_id"].value_counts().reindex(contacts.index, fill_value=0)
    last = tables["activities"].groupby("contact_id")["occurred_at"].max().reindex(contacts.index)

    assert set(contacts.index[contacts["lifecyclestage"] == "customer"]) == set(first_wins(tables, outcomes).index)
    assert (contacts["num_associated_deals"] == counted).all()
    assert pd.to_datetime(contacts["last_activity_at"]).equals(last.rename("last_activity_at"))
    assert (deals["closed_reason"].notna() == closed).all()
    assert (deals["days_to_close"].notna() == closed).all()


@pytest.mark.parametrize(
    ("table", "key", "column"),
    [
        ("contacts", "contact_id", "job_level"),
        ("contacts", "contact_id", "hs_lead_status"),
        ("deals", "deal_id", "owner_id"),
    ],
)
def test_exported_value_is_the_last_of_its_history(tables: CrmTables, table: str, key: str, column: str) -> None:
    history = tables["property_history"].query("property == @column")
    last = history.groupby("object_id")["value"].last()

    exported = tables[table].set_index(key)[column].dropna()

    assert exported.to_dict() == last.to_dict()


def test_amounts_change_or_are_missing_and_close_dates_slip(tables: CrmTables) -> None:
    deals = tables["deals"].set_index("deal_id")
    amounts = tables["property_history"].query("property == 'amount'").groupby("object_id")["value"]
    close_dates = tables["property_history"].query("property == 'expected_close_at'").groupby("object_id")["value"]

    assert 0.10 <= deals["amount"].isna().mean() <= 0.20
    assert amounts.last().astype(float).to_dict() == deals["amount"].dropna().to_dict()
    assert (amounts.nunique() > 1).mean() > 0.2
    assert pd.to_datetime(close_dates.last()).to_dict() == deals["expected_close_at"].dropna().to_dict()
    assert (close_dates.nunique() > 1).mean() > 0.4


def test_one_call_or_meeting_in_twenty_is_logged_days_late(tables: CrmTables) -> None:
    activities = tables["activities"]
    delay = activities["known_at"] - activities["occurred_at"]
    held_by_seller = activities["type"].isin(["call", "meeting"])

    assert 0.04 <= (delay[held_by_seller] >= pd.Timedelta(days=1)).mean() <= 0.07
    assert (delay[~held_by_seller] == pd.Timedelta(0)).all()


def test_calls_and_meetings_have_their_own_outcomes(tables: CrmTables) -> None:
    with_outcome = tables["activities"].dropna(subset=["outcome"])
    found = set(zip(with_outcome["type"], with_outcome["outcome"], strict=True))

    assert found == {("call", "connected"), ("call", "no_answer"), ("meeting", "held"), ("meeting", "no_show")}


def test_merged_duplicates_are_gone_and_unmerged_ones_stand_beside_their_contact(crm: SyntheticCrm) -> None:
    contacts = crm.tables["contacts"]
    merged = contacts["merged_ids"].dropna()
    known_to_truth = contacts["contact_id"].isin(crm.truth.contact_quality["contact_id"])

    assert len(merged) > 20
    assert not merged.isin(contacts["contact_id"]).any()
    assert 5 <= (~known_to_truth).sum() <= 80
    assert crm.tables["activities"]["contact_id"].isin(contacts.loc[~known_to_truth, "contact_id"]).any()


def test_august_and_december_are_quiet(tables: CrmTables) -> None:
    by_month = tables["deals"]["created_at"].dt.month.value_counts()

    assert by_month[[8, 12]].mean() < 0.8 * by_month[[7, 9, 10, 11]].mean()


def test_source_mix_shifts_in_the_last_third(tables: CrmTables) -> None:
    contacts = tables["contacts"]
    late = contacts["created_at"] >= days_before_end(240)

    outbound = (contacts["source"] == "outbound").groupby(late).mean()

    assert outbound[True] > outbound[False] + 0.05


def test_emails_use_names_reserved_for_examples(tables: CrmTables) -> None:
    emails = tables["contacts"]["email"].dropna()

    assert emails.str.fullmatch(r"[a-z0-9]+@[a-z0-9]+\.example").all()


def test_truth_is_in_no_table(crm: SyntheticCrm) -> None:
    qualities = [crm.truth.contact_quality["quality"], crm.truth.company_quality["quality"]]
    hidden = np.concatenate([quality.to_numpy() for quality in qualities])

    for name in TABLE_NAMES:
        for column in crm.tables[name].select_dtypes("float64").columns:
            assert not crm.tables[name][column].isin(hidden).any(), (name, column)


def test_winners_have_the_better_hidden_quality(crm: SyntheticCrm, outcomes: pd.DataFrame) -> None:
    quality = crm.truth.contact_quality.set_index("contact_id")["quality"]
    won = quality.index.isin(first_wins(crm.tables, outcomes).index)

    assert quality[won].mean() > quality[~won].mean() + 0.3


@pytest.fixture(scope="module", params=[365, 180, 90])
def truth(request: pytest.FixtureRequest) -> tuple[datetime, TruthFrames]:
    as_of = days_before_end(request.param)
    return as_of, simulate_truth(SyntheticSettings(), as_of, draws=60)


def assert_calibrated(happened: pd.Series, probability: pd.Series) -> None:
    """Hold the number of outcomes against its expectation, within three and a half standard errors."""
    error = np.sqrt((probability * (1 - probability)).sum())
    assert abs(happened.sum() - probability.sum()) < 3.5 * error


def test_contact_truth_agrees_with_what_then_happened(
    tables: CrmTables, outcomes: pd.DataFrame, truth: tuple[datetime, TruthFrames]
) -> None:
    as_of, frames = truth
    won_at = frames.contacts["contact_id"].map(first_wins(tables, outcomes))
    won = won_at.between(as_of, as_of + HORIZON, inclusive="left")
    probability = frames.contacts["customer_within_horizon"]
    likely = probability > probability.quantile(0.9)

    assert not (won_at < as_of).any()
    assert_calibrated(won, probability)
    assert_calibrated(won[likely], probability[likely])
    assert won[likely].sum() > 0.6 * won.sum()


def test_deal_truth_agrees_with_what_then_happened(outcomes: pd.DataFrame, truth: tuple[datetime, TruthFrames]) -> None:
    as_of, frames = truth
    undone = (outcomes["outcome"] == "won") & outcomes["left_at"].notna()
    closings = outcomes[(outcomes["entered_at"] >= as_of) & (outcomes["outcome"] != "open") & ~undone]
    closing = closings.groupby("deal_id").first().reindex(frames.deals["deal_id"]).reset_index()
    won = closing["outcome"] == "won"
    resolved = closing["outcome"].notna()

    assert_calibrated(won & (closing["entered_at"] < as_of + HORIZON), frames.deals["won_within_horizon"])
    assert (frames.deals["won"] >= frames.deals["won_within_horizon"]).all()
    assert frames.deals.loc[resolved & won, "won"].mean() > frames.deals.loc[resolved & ~won, "won"].mean() + 0.1


def test_truth_covers_the_deals_open_and_the_contacts_present_at_the_as_of(
    tables: CrmTables, outcomes: pd.DataFrame, truth: tuple[datetime, TruthFrames]
) -> None:
    as_of, frames = truth
    current = outcomes[outcomes["entered_at"] < as_of].groupby("deal_id")["outcome"].last()
    created = tables["contacts"].set_index("contact_id")["created_at"]

    assert set(frames.deals["deal_id"]) == set(current.index[current == "open"])
    assert (created.loc[frames.contacts["contact_id"]] < as_of).all()


def test_truth_is_repeatable_and_reached_from_the_crm() -> None:
    crm = simulate(SMALL)
    as_of = SMALL.end - timedelta(days=100)

    contacts = crm.truth.contact_probability(as_of, draws=5)

    pd.testing.assert_frame_equal(contacts, simulate_truth(SMALL, as_of, draws=5).contacts)
    pd.testing.assert_frame_equal(
        crm.truth.deal_probability(as_of, draws=5), simulate_truth(SMALL, as_of, draws=5).deals
    )


@pytest.mark.parametrize(
    "as_of",
    [
        SMALL.end - timedelta(hours=5),
        SMALL.end + timedelta(days=1),
        SMALL.start - timedelta(days=1),
        datetime(2025, 12, 1),  # noqa: DTZ001  a naive time is the point
    ],
)
def test_truth_refuses_an_as_of_that_is_no_day_of_the_history(as_of: datetime) -> None:
    with pytest.raises(SyntheticAsOfError, match="whole number of days"):
        simulate_truth(SMALL, as_of, draws=2)


def test_days_of_winning_give_the_same_truth_for_any_horizon() -> None:
    as_of = SMALL.end - timedelta(days=150)

    found = simulate_win_days(SMALL, as_of, draws=3, longest_days=90)

    deals = simulate_truth(SMALL, as_of, draws=3).deals
    assert list(found.deal_id) == list(deals["deal_id"])
    assert found.won_within(np.full(len(deals), 90.0)).tolist() == deals["won_within_horizon"].tolist()
    assert (found.won_within(np.full(len(deals), 10.0)) <= deals["won_within_horizon"]).all()
    assert found.days.min() >= 1


def test_state_keeps_count_of_open_deals_while_many_draws_advance() -> None:
    world, state = state_at(settings=SMALL, day=200)
    future = fork(state=state, rows=np.arange(len(state.deals)), draws=4)
    rng = stream(SMALL, "behaviour")

    for day in range(200, 260):
        advance(world=world, state=future, day=day, rng=rng)

    recounted = np.zeros_like(future.open_deals)
    np.add.at(recounted, members_of(future.deals, np.flatnonzero(IS_OPEN[future.deals.stage])), 1)
    assert (future.open_deals == recounted).all()
    assert ((future.eagerness == 0) | (recounted == 0)).all()


def test_forking_leaves_the_state_as_it_was() -> None:
    world, state = state_at(settings=SMALL, day=200)
    before = state.interest.copy()
    future = fork(state=state, rows=np.arange(len(state.deals)), draws=2)

    advance(world=world, state=future, day=200, rng=stream(SMALL, "behaviour"))

    assert (state.interest == before).all()
    assert future.draws == 2
