"""The promise that matters most: nothing after the as-of changes a feature, nothing after the horizon a label.

Random small CRMs are split at an instant T by a plain reading of the rule (a fact counts from the later of when it
happened and when it could be known, and not before what it is about was created). What is computed from the facts
before T must be what is computed from all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from features.catalogue import Question
from features.discounting import Discount
from features.episodes import build_timelines, contact_wins
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.labels import closing_within, won_within
from features.matrix import build_matrix
from features.properties import PropertySettings, SafeColumns
from features.snapshots import is_customer
from features.tables import CrmTables
from features.visibility import as_known_at, codes, microseconds
from tests.features.builders import make_tables

CASES: Final = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
MANY_CASES: Final = settings(CASES, max_examples=10_000)

START: Final = pd.Timestamp("2024-02-20T00:00Z")
DAYS: Final = 60
MINUTES_PER_DAY: Final = 1440
QUESTIONS: Final[tuple[Question, ...]] = ("contacts", "deals")
STAGES: Final = [
    {"pipeline": "sales", "stage": "demo", "label": "Demo", "position": 1, "outcome": "open"},
    {"pipeline": "sales", "stage": "offer", "label": "Offer", "position": 2, "outcome": "open"},
    {"pipeline": "sales", "stage": "won", "label": "Won", "position": 3, "outcome": "won"},
    {"pipeline": "sales", "stage": "lost", "label": "Lost", "position": 4, "outcome": "lost"},
    {"pipeline": "renewal", "stage": "check", "label": "Check", "position": 1, "outcome": "open"},
    {"pipeline": "renewal", "stage": "signed", "label": "Signed", "position": 2, "outcome": "won"},
    {"pipeline": "renewal", "stage": "lost", "label": "Lost", "position": 3, "outcome": "lost"},
]
STAGE_NAMES: Final = ["demo", "offer", "won", "lost", "check", "signed", "nowhere"]
VOUCHED: Final = PropertySettings(
    contacts=SafeColumns(safe=("country", "company_id")),
    companies=SafeColumns(safe=("sector",)),
    deals=SafeColumns(safe=("region",)),
)
LINKED_DEALS: Final = VOUCHED.model_copy(update={"deals": SafeColumns(safe=("region", "company_id"))})
EVERY_LEVEL: Final = FeatureSettings(
    min_level_count=1,
    max_kinds=3,
    season_from_days=0,
    discount=Discount(burst_kinds=("email", "visit", "fair"), burst_seconds=1_500_000.0, max_per_day=3),
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Fact:
    """A row of a table with the minute (since ``START``) from which it counts on its own."""

    table: str
    row: Row
    counts_from: int


@dataclass(frozen=True)
class World:
    """Everything that ever became known, and an instant (a minute since ``START``)."""

    facts: tuple[Fact, ...]
    minute: int

    def born(self, key: str) -> dict[str, int]:
        """Return the minute of creation of each contact, deal or company."""
        table = "companies" if key == "company_id" else f"{key[:-3]}s"
        return {fact.row[key]: fact.counts_from for fact in self.facts if fact.table == table}

    def tables(self) -> CrmTables:
        return tables_of(self.facts)

    def tables_before(self) -> CrmTables:
        """Return what was known just before the instant, without whatever is about objects not yet created.

        A link needs both its ends; an activity may be about a contact or a deal that is there already.
        """
        born_at = {"contact": self.born("contact_id"), "deal": self.born("deal_id"), "company": self.born("company_id")}

        def known(fact: Fact) -> bool:
            row = fact.row
            about = {"contact": row.get("contact_id"), "deal": row.get("deal_id")}
            if fact.table == "property_history":
                about = {row["object_type"]: row["object_id"]}
            born = [born_at[kind][thing] for kind, thing in about.items() if thing] or [0]
            from_when_on = min(born) if fact.table == "activities" else max(born)
            return max(fact.counts_from, from_when_on) < self.minute

        return tables_of(fact for fact in self.facts if known(fact))


def at(minute: int) -> pd.Timestamp:
    return START + pd.Timedelta(minutes=minute)


def tables_of(facts: Any) -> CrmTables:
    rows: dict[str, list[Row]] = {
        name: []
        for name in (
            "contacts",
            "companies",
            "deals",
            "deal_contacts",
            "activities",
            "deal_stage_history",
            "property_history",
        )
    }
    for fact in facts:
        rows[fact.table].append(fact.row)
    columns = {
        "contacts": ["contact_id", "created_at", "company_id", "country", "rank"],
        "companies": ["company_id", "created_at", "sector", "size"],
        "deals": ["deal_id", "created_at", "pipeline", "company_id", "region"],
    }
    frames: dict[str, Any] = {
        name: pd.DataFrame(found, columns=columns.get(name), dtype=object) if found or name in columns else []
        for name, found in rows.items()
    }
    return make_tables(**frames, stages=STAGES)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a small CRM in which no two facts happen or become known at the same minute."""
    facts: list[Fact] = []
    # Hypothesis likes small numbers, and nothing would happen late: times are spread evenly instead.
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    serials = iter(range(MINUTES_PER_DAY))
    delays = st.sampled_from([None, None, None, 0, 1, 3, 20])

    def moment(latest: int = DAYS) -> int:
        return int(chance.integers(latest)) * MINUTES_PER_DAY + next(serials)

    def fact(table: str, time_column: str, **row: Any) -> None:
        happened, delay = moment(), draw(delays)
        known = None if delay is None else happened + delay * MINUTES_PER_DAY
        times = {time_column: at(happened), "known_at": None if known is None else at(known)}
        facts.append(Fact(table, {**row, **times}, happened if known is None else known))

    contacts = [f"c{number}" for number in range(1, draw(st.integers(1, 4)) + 1)]
    deals = [f"d{number}" for number in range(1, draw(st.integers(1, 4)) + 1)]
    companies = ["acme", "zoo", "acme", None]
    for company in companies[:2]:
        created = moment()
        row = {"company_id": company, "sector": draw(st.sampled_from(["toys", "food", None])), "size": float(created)}
        facts.append(Fact("companies", {**row, "created_at": at(created)}, created))
    for contact in contacts:
        created = moment()
        row = {"contact_id": contact, "country": draw(st.sampled_from(["de", "fr", None])), "rank": float(created)}
        row["company_id"] = draw(st.sampled_from(companies))
        facts.append(Fact("contacts", {**row, "created_at": at(created)}, created))
    for deal in deals:
        created = moment(DAYS // 2)
        pipeline, region = draw(st.sampled_from([("sales", "north"), ("sales", None), ("renewal", "south")]))
        row = {"deal_id": deal, "pipeline": pipeline, "region": region, "created_at": at(created)}
        row["company_id"] = draw(st.sampled_from(companies))
        facts.append(Fact("deals", row, created))
        linked = draw(st.lists(st.sampled_from(contacts), unique=True, max_size=3))
        facts += [Fact("deal_contacts", {"deal_id": deal, "contact_id": contact}, 0) for contact in linked]
        for stage in draw(st.lists(st.sampled_from(STAGE_NAMES), min_size=1, max_size=7)):
            fact("deal_stage_history", "entered_at", deal_id=deal, stage=stage)
        taken_back_after = draw(st.sampled_from([None, 720, 1440, 2160]))
        if taken_back_after is not None:
            mistake = moment()
            for stage, entered in (("won", mistake), ("offer", mistake + taken_back_after)):
                row = {"deal_id": deal, "stage": stage, "entered_at": at(entered), "known_at": None}
                facts.append(Fact("deal_stage_history", row, entered))
    for number in range(draw(st.integers(0, 20))):
        contact, deal = draw(st.sampled_from([*contacts, None])), draw(st.sampled_from([*deals, None, None]))
        fact(
            "activities",
            "occurred_at",
            activity_id=f"a{number}",
            type=draw(st.sampled_from(["call", "email_open", "visit", "demo", "fair"])),
            contact_id=contacts[0] if contact is None and deal is None else contact,
            deal_id=deal,
            owner_id=draw(st.sampled_from(["u1", "u2", None])),
            direction=draw(st.sampled_from(["inbound", "outbound", None])),
            outcome=draw(st.sampled_from(["held", "missed", None])),
        )
    values: dict[tuple[str, str], list[str | None]] = {
        ("contact", "level"): ["junior", "senior", None],
        ("contact", "employees"): ["10", "250", None],
        ("deal", "amount"): ["100", "250.5", None],
        ("deal", "expected_close_at"): ["2024-04-01T00:00:00Z", "2024-05-15T00:00:00+02:00", None],
        ("deal", "owner_id"): ["u1", "u2", None],
        ("company", "tier"): ["low", "top", None],
    }
    linked = [("contact", "company_id"), ("deal", "company_id")] if draw(st.booleans()) else []
    values |= {link: [*companies] for link in linked}
    things = {"contact": contacts, "deal": deals, "company": companies[:2]}
    for kind, name in draw(st.lists(st.sampled_from([*sorted(values), *linked, *linked]), max_size=14)):
        row = {
            "object_type": kind,
            "object_id": draw(st.sampled_from(things[kind])),
            "property": name,
            "value": draw(st.sampled_from(values[kind, name])),
        }
        known = moment()
        facts.append(Fact("property_history", {**row, "known_at": at(known)}, known))

    moments = sorted({fact.counts_from for fact in facts} | {DAYS * MINUTES_PER_DAY})
    return World(tuple(facts), int(chance.choice(moments)))


def learn(question: Question, tables: CrmTables, properties: PropertySettings = VOUCHED) -> FeatureContract:
    return learn_contract(question=question, tables=tables, settings=EVERY_LEVEL, properties=properties)[0]


def snapshots_until(minute: int, *, question: Question, tables: CrmTables) -> pd.DataFrame:
    """Look at everything known at the instant, a minute before it, and every five days before that."""
    moments = [at(minute), at(minute - 1), *(at(minute - 5 * ago * MINUTES_PER_DAY) for ago in range(1, 8))]
    key = f"{question[:-1]}_id"
    pairs = tables[question][[key, "created_at"]].merge(pd.DataFrame({"as_of": moments}), how="cross")
    if question == "contacts":
        return pairs.loc[pairs["created_at"] < pairs["as_of"], [key, "as_of"]].reset_index(drop=True)
    timelines = build_timelines(tables)
    deal = codes(pairs[key], index=timelines.deal_ids)
    seen = timelines.stream.before(objects=deal, as_of=microseconds(pairs["as_of"]))
    return pairs.loc[seen > 0, [key, "as_of"]].reset_index(drop=True)


def features(tables: CrmTables, snapshots: pd.DataFrame, contract: FeatureContract) -> pd.DataFrame:
    return build_matrix(tables=tables, snapshots=snapshots, contract=contract).features


def labels(tables: CrmTables, snapshots: dict[Question, pd.DataFrame], *, days: float, known_until: Any) -> Any:
    """Return every label there is: contacts won, customers, deals won, how and when deals closed."""
    timelines = build_timelines(tables)
    contact_ids = pd.Index(tables["contacts"]["contact_id"])
    wins = contact_wins(tables=tables, timelines=timelines, contact_ids=contact_ids)
    contact = codes(snapshots["contacts"]["contact_id"], index=contact_ids)
    deal = codes(snapshots["deals"]["deal_id"], index=timelines.deal_ids)
    as_of = {question: snapshots[question]["as_of"] for question in QUESTIONS}
    outcome, waited = closing_within(closings=timelines.closings, objects=deal, as_of=as_of["deals"], days=days)
    return {
        "customer": is_customer(wins=wins, contacts=contact, as_of=microseconds(as_of["contacts"])),
        "contact_won": won_within(
            wins=wins, objects=contact, as_of=as_of["contacts"], days=days, known_until=known_until
        ),
        "deal_won": won_within(
            wins=timelines.closings, objects=deal, as_of=as_of["deals"], days=days, known_until=known_until
        ),
        "outcome": outcome,
        "waited": waited,
    }


def check_features_rest_on_what_was_known(world: World) -> None:
    cases: list[tuple[Question, PropertySettings]] = [
        ("contacts", VOUCHED),
        ("deals", VOUCHED),
        ("deals", LINKED_DEALS),
    ]
    known, everything = world.tables_before(), world.tables()
    gated = as_known_at(everything, as_of=at(world.minute))
    for question, properties in cases:
        contract = learn(question, known, properties)
        snapshots = snapshots_until(world.minute, question=question, tables=known)

        then = features(known, snapshots, contract)

        pd.testing.assert_frame_equal(features(gated, snapshots, contract), then, check_exact=True)
        pd.testing.assert_frame_equal(features(everything, snapshots, contract), then, check_exact=True)


def check_labels_rest_on_what_was_known(world: World, days: float) -> None:
    known, everything = world.tables_before(), world.tables()
    end_of_horizon = at(world.minute)
    as_of_minute = world.minute - int(days * MINUTES_PER_DAY)
    snapshots = {
        question: snapshots_until(as_of_minute, question=question, tables=known).query("as_of >= @START")
        for question in QUESTIONS
    }

    then = labels(known, snapshots, days=days, known_until=end_of_horizon)
    now = labels(everything, snapshots, days=days, known_until=end_of_horizon)

    for name, values in then.items():
        np.testing.assert_array_equal(now[name], values, err_msg=name)


@CASES
@given(world=worlds())
def test_facts_not_known_before_an_instant_change_no_feature_until_then(world: World) -> None:
    check_features_rest_on_what_was_known(world)


@pytest.mark.slow
@MANY_CASES
@given(world=worlds())
def test_facts_not_known_before_an_instant_change_no_feature_until_then_in_many_cases(world: World) -> None:
    check_features_rest_on_what_was_known(world)


@CASES
@given(world=worlds(), days=st.sampled_from([0.5, 1.0, 7.0, 30.0]))
def test_facts_not_known_before_the_end_of_the_horizon_change_no_label(world: World, days: float) -> None:
    check_labels_rest_on_what_was_known(world, days)


@pytest.mark.slow
@MANY_CASES
@given(world=worlds(), days=st.sampled_from([0.5, 1.0, 7.0, 30.0]))
def test_facts_not_known_before_the_end_of_the_horizon_change_no_label_in_many_cases(world: World, days: float) -> None:
    check_labels_rest_on_what_was_known(world, days)


@settings(CASES, max_examples=15)
@given(world=worlds(), late=st.booleans())
def test_activity_counts_only_if_it_lies_strictly_before_the_as_of(world: World, late: bool) -> None:
    tables = world.tables_before()
    contacts = tables["contacts"]["contact_id"].tolist()
    assume(contacts)
    snapshots = pd.DataFrame({"contact_id": contacts, "as_of": [at(world.minute)] * len(contacts)})
    contract = learn("contacts", with_activities(tables, contacts, at=at(world.minute) - pd.Timedelta("1us")))
    moment = at(world.minute) if late else at(world.minute) - pd.Timedelta("1us")

    before = features(tables, snapshots, contract)
    after = features(with_activities(tables, contacts, at=moment), snapshots, contract)

    if late:
        pd.testing.assert_frame_equal(after, before, check_exact=True)
    else:
        assert (after["call_total"] - before["call_total"] == 1.0).all()
        assert (after["call_1d"] - before["call_1d"] == 1.0).all()


def with_activities(tables: CrmTables, contacts: list[str], *, at: pd.Timestamp) -> CrmTables:
    """Add a call with each contact at one moment."""
    rows = [
        {"activity_id": f"new {contact}", "type": "call", "contact_id": contact, "occurred_at": at}
        for contact in contacts
    ]
    added = make_tables(activities=rows)["activities"]
    frames = {**tables.frames, "activities": pd.concat([tables["activities"], added], ignore_index=True)}
    return CrmTables(frames=frames, absent=tables.absent)


@settings(CASES, max_examples=25)
@given(world=worlds(), seed=st.integers(0, 2**32 - 1))
def test_order_of_the_rows_of_the_tables_changes_nothing(world: World, seed: int) -> None:
    tables = world.tables()
    shuffled = CrmTables(
        frames={
            name: frame.sample(frac=1.0, random_state=(seed + place) % 2**32).reset_index(drop=True)
            for place, (name, frame) in enumerate(tables.frames.items())
        },
        absent=tables.absent,
    )
    for question in QUESTIONS:
        contract = learn(question, tables)
        snapshots = snapshots_until(DAYS * MINUTES_PER_DAY, question=question, tables=tables)

        pd.testing.assert_frame_equal(
            features(shuffled, snapshots, contract), features(tables, snapshots, contract), check_exact=True
        )
        assert learn(question, shuffled) == contract


@settings(CASES, max_examples=15)
@given(world=worlds(), seed=st.integers(0, 2**32 - 1))
def test_permuting_the_snapshots_permutes_the_rows(world: World, seed: int) -> None:
    tables = world.tables()
    for question in QUESTIONS:
        contract = learn(question, tables)
        snapshots = snapshots_until(world.minute, question=question, tables=tables)
        order = np.random.default_rng(seed).permutation(len(snapshots))

        permuted = features(tables, snapshots.iloc[order], contract)

        expected = features(tables, snapshots, contract).iloc[order].reset_index(drop=True)
        pd.testing.assert_frame_equal(permuted, expected, check_exact=True)
