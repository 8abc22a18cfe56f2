"""The catalogue: complete, equal to what the matrix computes, and readable."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from features import matrix
from features.catalogue import CATALOGUE, FAMILY_WORDS, Entry, Feature, Question, Unit
from features.episodes import build_timelines, contact_wins
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.properties import PropertySettings, SafeColumns
from features.snapshots import SnapshotSettings, contact_snapshots, deal_snapshots
from features.sources.synthetic import SyntheticSettings, simulate
from features.tables import CrmTables
from features.visibility import microseconds

QUESTIONS: tuple[Question, ...] = ("contacts", "deals")


@pytest.fixture(scope="module")
def tables() -> CrmTables:
    return simulate(SyntheticSettings(contacts=1500, months=12)).tables


def learn(tables: CrmTables, question: Question) -> FeatureContract:
    vouched = PropertySettings(contacts=SafeColumns(safe=("country",)), deals=SafeColumns(safe=("currency",)))
    settings = FeatureSettings(min_level_count=1)
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
    spans = contract.half_lives_days if entry.name.startswith("warmth") else contract.windows_days
    known = {
        "{kind}": contract.kinds,
        "{days}": [f"{days:g}" for days in spans],
        "{property}": list(contract.properties),
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

    built = matrix.build_matrix(tables=tables, snapshots=draw(tables, question), contract=contract).features

    assert built.columns.tolist() == contract.names
    for entry in entries_of(question):
        own = [name for name in built if pattern(entry, contract).fullmatch(name)]
        assert own, entry.name
        assert built[own].notna().any().all(), entry.name


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_is_computed_that_the_catalogue_lacks(tables: CrmTables, question: Question) -> None:
    contract, snapshots = learn(tables, question), draw(tables, question)
    compute = matrix._contact_columns if question == "contacts" else matrix._deal_columns

    computed = compute(
        tables=tables,
        timelines=build_timelines(tables),
        snapshots=snapshots,
        as_of=microseconds(snapshots["as_of"]),
        contract=contract,
    )

    known = [pattern(entry, contract) for entry in CATALOGUE]
    assert [name for name in computed if not any(entry.fullmatch(name) for entry in known)] == []
    assert set(contract.names) <= set(computed)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_feature_has_one_name_a_family_in_words_and_words(tables: CrmTables, question: Question) -> None:
    features = learn(tables, question).features

    assert len({feature.name for feature in features}) == len(features)
    assert {feature.family for feature in features} <= set(FAMILY_WORDS)
    assert all(feature.words and "{" not in feature.words and "_" not in feature.words for feature in features)
    assert all(bool(feature.levels) == feature.is_category for feature in features)


def test_families_in_words_are_all_in_use() -> None:
    by_direction = {"their_activity", "our_activity", "activity"}

    assert {entry.family for entry in CATALOGUE} - {"by_direction"} | by_direction == set(FAMILY_WORDS)


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

    assert stage.describe(1.0) == "stage: (other)"
    assert stage.describe(np.nan) == "stage: unknown"
    assert recency.describe(np.nan) == "days since the last call: never"
