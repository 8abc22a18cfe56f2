"""Spark gives the numbers that this machine gives, and those of a plain reading."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import Question
from features.contact_features import Column
from features.discounting import NO_DISCOUNT, Discount
from features.engines.engine import LocalEngine, behaviour_engine, computing_with
from features.engines.spark import SparkEngine, behaviour_on_spark
from features.engines.spark_session import SparkFailedError, open_session
from features.episodes import build_timelines
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.matrix import build_matrix
from features.matrix_inputs import MatrixInputs
from features.properties import PropertySettings
from features.sources.synthetic import SyntheticSettings, simulate
from features.tables import CrmTables
from tests.features.builders import make_tables
from tests.features.plain_reading import (
    CONTACTS,
    DAY,
    Happening,
    activities_frame,
    assert_agrees,
    contract_with,
    happenings,
    is_exact,
    moments,
    plain_row,
    snapshots,
)

DEALS = ("d0", "d1", "d2")
FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def tables_of(facts: list[Happening]) -> CrmTables:
    return make_tables(contacts=[{"contact_id": who} for who in CONTACTS], activities=activities_frame(facts))


def inputs_of(tables: CrmTables, asked: list[tuple[str, int]], contract: FeatureContract) -> MatrixInputs:
    ids = pd.Index(CONTACTS if contract.question == "contacts" else DEALS, dtype="str")
    return MatrixInputs(
        tables=tables,
        timelines=build_timelines(tables),
        contract=contract,
        ids=ids,
        objects=ids.get_indexer(pd.Index([who for who, _ in asked])),
        as_of=np.array([now for _, now in asked], dtype=np.int64),
    )


def assert_same(found: dict[str, Column], expected: dict[str, Column]) -> None:
    assert list(found) == list(expected)
    for name, column in found.items():
        if is_exact(name):
            np.testing.assert_array_equal(column, expected[name], err_msg=name)
        else:
            np.testing.assert_allclose(column, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def time_of(moment: int) -> pd.Timestamp:
    return pd.Timestamp(moment, unit="us", tz="UTC")


@FEW
@given(facts=st.lists(happenings, min_size=40, max_size=100), asked=snapshots)
def test_contacts_have_the_same_behaviour_on_spark(
    spark: SparkEngine, facts: list[Happening], asked: list[tuple[str, int]]
) -> None:
    contract = contract_with()
    inputs = inputs_of(tables_of(facts), asked, contract)

    found = spark.activity_columns(inputs)

    assert_same(found, LocalEngine().activity_columns(inputs))
    own = {who: [one for one in facts if one.contact == who] for who in CONTACTS}
    assert_agrees(found, [plain_row(own[who], as_of=now, contract=contract) for who, now in asked])


@FEW
@given(
    facts=st.lists(
        st.builds(
            Happening,
            contact=st.sampled_from([*CONTACTS, "nobody", None]),
            kind=st.sampled_from(["call", "email_open", "fax"]),
            occurred=moments,
            known=st.none() | moments,
            direction=st.sampled_from(["inbound", "outbound", None]),
            deal=st.sampled_from([*DEALS, "gone", None, None, None]),
        ),
        min_size=40,
        max_size=100,
    ),
    links=st.lists(st.tuples(st.sampled_from(DEALS), st.sampled_from([*CONTACTS, "nobody"])), max_size=8),
    created=st.tuples(moments, moments, moments),
    asked=st.lists(st.tuples(st.sampled_from(DEALS), moments), min_size=1, max_size=12),
)
def test_deals_have_the_same_behaviour_on_spark(
    spark: SparkEngine,
    facts: list[Happening],
    links: list[tuple[str, str]],
    created: tuple[int, int, int],
    asked: list[tuple[str, int]],
) -> None:
    contacts = [{"contact_id": who, "created_at": time_of(when)} for who, when in zip(CONTACTS, created, strict=True)]
    tables = make_tables(
        activities=activities_frame(facts),
        contacts=contacts,
        deals=[{"deal_id": deal} for deal in DEALS],
        # a link told twice is one link
        deal_contacts=[{"deal_id": deal, "contact_id": who} for deal, who in [*links, *links[:1]]],
    )
    inputs = inputs_of(tables, asked, contract_with(question="deals"))

    found = spark.activity_columns(inputs)

    assert_same(found, LocalEngine().activity_columns(inputs))


# each would be lost, doubled, moved or reordered by an engine that is a little wrong
ODD: dict[str, list[Happening]] = {
    "at the very instant of the as-of": [
        Happening("c1", "call", 10 * DAY - 1),
        Happening("c1", "call", 10 * DAY),
        Happening("c1", "call", 10 * DAY + 1),
    ],
    "centuries away": [
        Happening("c1", "call", -270 * 365 * DAY),
        Happening("c1", "email_open", 9 * DAY),
        Happening("c1", "call", 1000 * 365 * DAY),
    ],
    "known late": [Happening("c1", "call", 2 * DAY, known=10 * DAY), Happening("c1", "call", DAY, known=9 * DAY)],
    "ties": [
        Happening("c1", kind, 9 * DAY, direction=side)
        for kind in ("email_open", "fax", "call")
        for side in ("outbound", "inbound", None)
    ],
    "a bot": [Happening("c1", "email_open", 9 * DAY + second * 1_000_000) for second in range(60)],
    "nobody's": [Happening("nobody", "call", 9 * DAY), Happening(None, "call", 9 * DAY)],
}


@pytest.mark.parametrize("facts", ODD.values(), ids=list(ODD))
def test_odd_facts_mean_the_same_on_spark(spark: SparkEngine, facts: list[Happening]) -> None:
    contract = contract_with()
    asked = [("c1", 10 * DAY), ("c0", 10 * DAY), ("c1", 10 * DAY), ("c1", 10 * DAY + 1)]
    inputs = inputs_of(tables_of(facts), asked, contract)

    found = spark.activity_columns(inputs)

    assert_same(found, LocalEngine().activity_columns(inputs))
    own = {who: [one for one in facts if one.contact == who] for who in CONTACTS}
    assert_agrees(found, [plain_row(own[who], as_of=now, contract=contract) for who, now in asked])


def test_kinds_may_have_any_name_on_spark(spark: SparkEngine) -> None:
    kinds = ("Call", "call", "e.mail, `sent`")
    facts = [Happening("c1", kind, 9 * DAY) for kind in (*kinds, "call")]
    contract = contract_with(kinds=kinds, outcomes=(), discount=NO_DISCOUNT)

    found = spark.activity_columns(inputs_of(tables_of(facts), [("c1", 10 * DAY)], contract))

    assert [found[f"{kind}_total"].tolist() for kind in kinds] == [[1], [2], [1]]


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_a_matrix_built_with_spark_is_the_one_built_here(spark: SparkEngine, question: Question) -> None:
    tables = simulate(SyntheticSettings(contacts=300, months=12, seed=7)).tables
    contract, _ = learn_contract(
        question=question, tables=tables, settings=FeatureSettings(), properties=PropertySettings()
    )
    now = pd.Timestamp("2026-01-01T00:00Z").as_unit("us")
    key = f"{question[:-1]}_id"
    times = tables[question].set_index(key)["created_at"]
    # on the day after each became known, and at the end, in no order
    asked = pd.concat([(times + pd.Timedelta(days=1)).rename("as_of"), pd.Series(now, index=times.index, name="as_of")])
    asked = asked[asked <= now].sample(frac=1, random_state=7).reset_index()

    with computing_with(replace(spark, settings=spark.settings.model_copy(update={"rows_at_once": 1000}))):
        found = build_matrix(tables=tables, snapshots=asked, contract=contract)

    expected = build_matrix(tables=tables, snapshots=asked, contract=contract)
    pd.testing.assert_frame_equal(found.snapshots, expected.snapshots)
    pd.testing.assert_frame_equal(found.features, expected.features, rtol=1e-9, atol=1e-12)
    assert found.features["email_open_total"].sum() > 100


def test_activities_and_snapshots_may_lie_anywhere_that_spark_reads(spark: SparkEngine, tmp_path: Path) -> None:
    # a folder of several files, without the columns that are optional, and snapshots with neither row nor order
    facts = [Happening(who, "call", day * DAY) for day in range(5) for who in CONTACTS]
    for part in range(3):
        frame = activities_frame(facts[part::3])[["activity_id", "contact_id", "occurred_at", "type"]]
        frame.loc[len(frame)] = ["untimed", "c2", pd.NaT, "call"]
        frame.to_parquet(tmp_path / f"part-{part}.parquet")
    asked = pd.DataFrame({"contact_id": ["c2", "c0"], "as_of": [time_of(2 * DAY + 1), time_of(DAY)]})
    asked.to_parquet(tmp_path / "asked.snapshots")
    session = open_session(spark.settings, scratch=spark.scratch)

    behaviour_on_spark(
        activities=session.read.parquet(str(tmp_path / "part-*.parquet")),
        snapshots=session.read.parquet(str(tmp_path / "asked.snapshots")),
        contract=contract_with(),
    ).write.parquet(str(tmp_path / "found"))

    found = pd.read_parquet(tmp_path / "found").sort_values("contact_id")
    assert found[["contact_id", "call_total"]].to_numpy().tolist() == [["c0", 1], ["c2", 3]]
    assert found["as_of"].tolist() == [time_of(DAY), time_of(2 * DAY + 1)]


def test_deals_need_to_be_told_whose_they_are(spark: SparkEngine) -> None:
    nothing = open_session(spark.settings, scratch=spark.scratch).range(0)

    with pytest.raises(TypeError, match="need deal_contacts and contacts"):
        behaviour_on_spark(activities=nothing, snapshots=nothing, contract=contract_with(question="deals"))


def test_what_fails_on_an_executor_is_told_with_its_reason(spark: SparkEngine) -> None:
    # no number of microseconds
    contract = contract_with(discount=Discount(burst_seconds=inf))
    inputs = inputs_of(tables_of([Happening("c1", "email_open", DAY)]), [("c1", 2 * DAY)], contract)

    with pytest.raises(
        SparkFailedError, match=r"Spark at local\[2\] failed to compute behaviour features: .*float infinity"
    ):
        spark.activity_columns(inputs)

    assert list(spark.exchange.iterdir()) == []


def test_without_snapshots_or_activities_nothing_is_asked_of_spark() -> None:
    unused: Any = None
    engine = SparkEngine(settings=unused, exchange=unused, scratch=unused)
    nobody = inputs_of(tables_of([Happening("c1", "call", DAY)]), [], contract_with())
    nothing = inputs_of(tables_of([]), [("c1", DAY)], contract_with())

    assert len(engine.activity_columns(nobody)["call_total"]) == 0
    assert engine.activity_columns(nothing)["call_total"].tolist() == [0]


def test_an_engine_is_chosen_for_what_is_inside_and_for_nothing_else() -> None:
    chosen = LocalEngine()

    with computing_with(chosen):
        inside = behaviour_engine()

    assert inside is chosen
    assert behaviour_engine() is not chosen
