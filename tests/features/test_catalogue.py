"""The catalogue: complete, equal to what the matrix computes, and readable."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, FAMILY_WORDS, Entry, Feature, Question, Unit, entry_of
from features.contact_columns import contact_columns
from features.deal_columns import deal_columns
from features.episodes import build_timelines, contact_wins
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.matrix import build_matrix, matrix_inputs
from features.properties import PropertySettings, SafeColumns
from features.snapshots import SnapshotSettings, contact_snapshots, deal_snapshots
from features.sources.synthetic import SyntheticSettings, simulate
from features.tables import CrmTables

QUESTIONS: tuple[Question, ...] = ("contacts", "deals")


@pytest.fixture(scope="module")
def tables() -> CrmTables:
    return simulate(SyntheticSettings(contacts=1500, months=12)).tables


def learn(tables: CrmTables, question: Question) -> FeatureContract:
    vouched = PropertySettings(
        contacts=SafeColumns(safe=("country", "company_id")),
        companies=SafeColumns(safe=("employee_band",)),
        deals=SafeColumns(safe=("currency",)),
    )
    settings = FeatureSettings(min_level_count=1, season_from_days=30)
    return learn_contract(question=question, tables=tables, settings=settings, properties=vouched)[0]


def draw(tables: CrmTables, question: Question) -> pd.DataFrame:
    timelines = build_timelines(tables)
    end = tables["activities"]["occurred_at"].max()
    start = end - pd.Timedelta(days=200)
    if question == "deals":
        return deal_snapshots(timelines=timelines, start=start, end=end, settings=SnapshotSettings())
    wins = contact_wins(tables=tables, timelines=timelines, contact_ids=pd.Index(tables["contacts"]["contact_id"]))
    return contact_snapshots(
        contacts=tables["contacts"],
        activities=tables["activities"],
        wins=wins,
        start=start,
        end=end,
        settings=SnapshotSettings(),
    )


def pattern(entry: Entry, contract: FeatureContract) -> re.Pattern[str]:
    """Return what the names of an entry's features look like under a contract."""
    known = {
        "{kind}": contract.kinds,
        "{outcome}": [outcome for _, outcome in contract.outcomes],
        "{direction}": ["inbound", "outbound"],
        "{days}": ["1", "7", "28", "90"],
        "{property}": [*contract.properties, *contract.company_properties],
    }
    name = re.escape(entry.name).replace(r"\{", "{").replace(r"\}", "}")
    for placeholder, words in known.items():
        name = name.replace(placeholder, f"({'|'.join(map(re.escape, words))})")
    return re.compile(name)


def entries_of(question: Question) -> Iterator[Entry]:
    return (entry for entry in CATALOGUE if question in entry.questions)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_entry_of_the_catalogue_is_computed(tables: CrmTables, question: Question) -> None:
    contract = learn(tables, question)

    built = build_matrix(tables=tables, snapshots=draw(tables, question), contract=contract).features

    assert built.columns.tolist() == contract.names
    for entry in entries_of(question):
        own = [name for name in built if pattern(entry, contract).fullmatch(name)]
        assert own, entry.name
        assert built[own].notna().any().all(), entry.name


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_is_computed_that_the_catalogue_lacks(tables: CrmTables, question: Question) -> None:
    contract = learn(tables, question)
    inputs = matrix_inputs(tables=tables, snapshots=draw(tables, question), contract=contract)

    computed = contact_columns(inputs) if question == "contacts" else deal_columns(inputs)

    # what the catalogue names for deals only is computed along the way
    extra = {name for name in computed if question not in entry_of(name).questions}
    assert set(computed) - extra == set(contract.names)
    assert extra == ({"won_deals"} if question == "contacts" else set())


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_at_most_nine_families(question: Question) -> None:
    families = {entry.family_of(question) for entry in entries_of(question)} - {"by_direction"}

    # exact Shapley values of the deal model cost twice as much with every further one
    assert len(families | {"their_activity", "our_activity", "activity"}) == 9


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_feature_has_one_name_a_family_in_words_and_words(tables: CrmTables, question: Question) -> None:
    features = learn(tables, question).features

    assert len({feature.name for feature in features}) == len(features)
    assert {feature.family for feature in features} <= set(FAMILY_WORDS)
    assert all(feature.words and "{" not in feature.words and "_" not in feature.words for feature in features)
    assert all(bool(feature.levels) == feature.is_category for feature in features)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("call_7d", "{kind}_{days}d"),
        ("inbound_7d", "{direction}_{days}d"),
        ("warmth_7d", "warmth_{days}d"),
        ("warmth_outbound_7d", "warmth_{direction}_{days}d"),
        ("days_since_first", "days_since_first"),
        ("company_property_size", "company_property_{property}"),
        ("colleague_activity_90d", "colleague_activity_{days}d"),
    ],
)
def test_a_feature_is_found_back_in_the_catalogue(name: str, entry: str) -> None:
    assert entry_of(name).name == entry


def test_families_in_words_are_all_in_use() -> None:
    named = {entry.family_of(question) for question in QUESTIONS for entry in entries_of(question)}

    assert named - {"by_direction"} | {"their_activity", "our_activity", "activity"} == set(FAMILY_WORDS)


def test_words_of_a_window_of_one_day_say_last_day(tables: CrmTables) -> None:
    words = {feature.name: feature.words for feature in learn(tables, "contacts").features}

    assert words["email_open_1d"] == "email open in the last day"
    assert words["email_open_28d"] == "email open in the last 28 days"
    assert words["warmth_7d"] == "activity so far, fading by half every 7 days"


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        ("count", 1234.0, "1,234"),
        ("money", 1234.5, "1,234"),
        ("share", 0.254, "25%"),
        ("days", 3.14159, "3.1"),
        ("days", -3.14159, "-3.1"),
        ("days", 123.4, "123"),
        ("ratio", 1.256, "1.26"),
        ("number", 0.5, "0.50"),
        ("number", float("nan"), "unknown"),
    ],
)
def test_values_are_written_as_a_person_reads_them(unit: Unit, value: float, words: str) -> None:
    feature = Feature(name="x", family="profile", unit=unit, words="x")

    assert feature.format(value) == words


def test_category_is_written_by_its_level_and_a_missing_recency_as_never() -> None:
    stage = Feature(name="stage", family="stage", unit="category", words="stage", levels=("Demo", "(other)"))
    recency = Feature(name="days_since_call", family="recency", unit="days", words="days since the last call")

    answer = Feature(name="their_last_answer_days", family="pace", unit="days", words="days", missing="none yet")

    assert answer.format(np.nan) == "none yet"
    assert stage.describe(1.0) == "stage: (other)"
    assert stage.describe(np.nan) == "stage: unknown"
    assert recency.describe(np.nan) == "days since the last call: never"


def test_the_words_of_every_family_of_features_read_as_a_person_says_them(tables: CrmTables) -> None:
    words = {feature.name: feature.words for feature in learn(tables, "contacts").features}

    assert words["meeting_no_show_total"] == "meeting that ended as no show"
    assert words["days_since_inbound"] == "days since the last of their activities"
    assert words["outbound_1d"] == "our activities in the last day"
    assert words["trend_28d"] == "share of the last 28 days in the activities of these and the 28 days before"
    assert words["company_property_employee_band"] == "employee band of the company"
