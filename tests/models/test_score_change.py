"""Why scores changed: worlds that could have been, between two batches of one made-up market."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from features.matrix import Matrix
from features.tables import CrmTables
from features.visibility import as_known_at
from models.bundle import Bundle
from models.calibration import Calibrator
from models.contact_scoring import contact_matrix, contact_population, contact_probability
from models.deal_scoring import deal_matrix, deal_population
from models.explanation import family_codes
from models.rules.replay import apply_rules
from models.score_change import NO_MODEL, NOT_THERE, Earlier, explain_changes, has_moved
from models.training import Trained
from models.worlds import step, world_of, worlds
from tests.features.builders import make_frame
from tests.models.market import RULES

CALIBRATOR = Calibrator(kind="platt", slope=0.8, intercept=0.3)
WEEK = pd.Timedelta(days=7)


def changed(bundle: Bundle, **data: object) -> Bundle:
    return replace(bundle, data=bundle.data.model_copy(update=data))


def pruned(bundle: Bundle) -> Bundle:
    """Another model: the first half of the trees."""
    booster = lightgbm.Booster(model_str=bundle.booster)
    iterations = booster.current_iteration() // 2
    return replace(bundle, booster=booster.model_to_string(num_iteration=iterations))


def with_rows(tables: CrmTables, table: str, *rows: dict[str, object]) -> CrmTables:
    frame = pd.concat([tables[table], make_frame(table, list(rows)).reindex(columns=tables[table].columns)])
    return CrmTables(frames={**tables.frames, table: frame.reset_index(drop=True)}, absent=tables.absent)


def matrix_of(bundle: Bundle, tables: CrmTables, as_of: pd.Timestamp) -> Matrix:
    if bundle.data.question == "contacts":
        population = contact_population(bundle=bundle, tables=tables, as_of=as_of)
        return contact_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
    population = deal_population(tables=tables, as_of=as_of, staleness=bundle.data.staleness)
    return deal_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)


def probabilities(bundle: Bundle, tables: CrmTables, as_of: pd.Timestamp) -> pd.Series:
    """Return what a batch would publish, without the reasons, which take most of its time."""
    matrix = matrix_of(bundle, tables, as_of)
    world = world_of(bundle=bundle, known=as_known_at(tables, as_of=as_of), matrix=matrix)
    return pd.Series(world.probability, index=matrix.snapshots[f"{bundle.data.question[:-1]}_id"])


def explained(
    old: Bundle,
    new: Bundle,
    tables: CrmTables,
    *,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    then: CrmTables | None = None,
) -> dict[str, dict[str, Any]]:
    """Score both batches and return, by id, why those whose probability moved have moved; ``then`` as it was."""
    before, after = probabilities(old, tables if then is None else then, since), probabilities(new, tables, as_of)
    matrix = matrix_of(new, tables, as_of)
    ids = matrix.snapshots[f"{new.data.question[:-1]}_id"]
    now, was = after.to_numpy(), before.reindex(ids).to_numpy()
    moved = has_moved(now, was)
    texts = explain_changes(
        bundle=new,
        earlier=Earlier(as_of=since, bundle=old),
        tables=tables,
        matrix=Matrix(matrix.snapshots[moved].reset_index(drop=True), matrix.features[moved].reset_index(drop=True)),
        as_of=as_of,
        probability=now[moved],
        previous=was[moved],
    )
    told = {name: json.loads(text) for name, text in zip(ids[moved], texts, strict=True)}
    for name, one in told.items():
        assert one["difference"] == pytest.approx(after[name] - before[name], abs=1e-9)
        assert sum(part["effect"] for part in one["parts"]) == pytest.approx(one["difference"], abs=1e-9)
        for part in one["parts"]:
            within = sum(family["effect"] for family in part["families"])
            assert not part["families"] or within == pytest.approx(part["effect"], abs=1e-9)
    return told


def effects(told: dict[str, dict[str, Any]], part: str) -> list[float]:
    return [one["effect"] for change in told.values() for one in change["parts"] if one["part"] == part]


@pytest.fixture(scope="module", params=["contacts", "deals"])
def bundle(request: pytest.FixtureRequest, trained_contacts: Trained, trained_deals: Trained) -> Bundle:
    found: Bundle = {"contacts": trained_contacts, "deals": trained_deals}[request.param].bundle
    assert found.data.use == "model"
    return found


def test_the_same_model_splits_into_facts_and_time(bundle: Bundle, market: CrmTables, as_of: pd.Timestamp) -> None:
    told = explained(bundle, bundle, market, since=as_of, as_of=as_of + WEEK)

    assert len(told) > 5
    assert max(map(abs, effects(told, "facts"))) > 0.01
    assert max(map(abs, effects(told, "time"))) > 0.01
    assert set(effects(told, "model")) == set(effects(told, "calibration")) == {0.0}


def test_where_nothing_became_known_only_time_has_passed(
    bundle: Bundle, market: CrmTables, as_of: pd.Timestamp
) -> None:
    frames = dict(market.frames)
    for table, column in (("activities", "occurred_at"), ("deal_stage_history", "entered_at")):
        frames[table] = frames[table].loc[frames[table][column] < as_of].reset_index(drop=True)
    quiet = CrmTables(frames=frames, absent=market.absent)

    told = explained(bundle, bundle, quiet, since=as_of, as_of=as_of + WEEK)

    assert told
    assert set(effects(told, "facts")) == {0.0}
    assert {one["words"].partition(": ")[2] for one in told.values()} == {"7 days without anything new"}


def test_where_no_time_passed_only_facts_have_moved_it(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    cold = probabilities(trained_contacts.bundle, market, as_of).idxmin()
    asked = with_rows(
        market,
        "activities",
        {
            "activity_id": "new",
            "contact_id": cold,
            "occurred_at": as_of,
            "type": "demo_request",
            "direction": "inbound",
        },
    )

    told = explained(
        trained_contacts.bundle, trained_contacts.bundle, asked, since=as_of, as_of=as_of + pd.Timedelta(microseconds=1)
    )

    assert list(told) == [cold]
    assert told[cold]["words"].endswith("percentage points: new: 1 × demo request")
    assert effects(told, "time") == pytest.approx([0.0], abs=1e-9)


@pytest.mark.parametrize(
    ("exchange", "still"),
    [
        (lambda bundle: changed(bundle, calibrator=CALIBRATOR), "model"),
        (pruned, "calibration"),
    ],
)
def test_model_and_calibration_are_told_apart(
    bundle: Bundle,
    market: CrmTables,
    as_of: pd.Timestamp,
    exchange: Callable[[Bundle], Bundle],
    still: str,
) -> None:
    told = explained(bundle, exchange(bundle), market, since=as_of, as_of=as_of + WEEK)

    moved = {"model", "calibration"} - {still}
    assert max(map(abs, effects(told, moved.pop()))) > 0.01
    assert effects(told, still) == pytest.approx([0.0] * len(told), abs=1e-9)


def test_the_step_of_the_model_is_what_the_new_model_says_with_the_old_calibration(
    bundle: Bundle, market: CrmTables, as_of: pd.Timestamp
) -> None:
    old, new = changed(bundle, calibrator=CALIBRATOR), pruned(bundle)
    later = as_of + WEEK

    told = explained(old, new, market, since=as_of, as_of=later)

    today = {name: probabilities(one, market, later) for name, one in (("old", old), ("new", new))}
    between = probabilities(changed(new, calibrator=CALIBRATOR), market, later)
    ids = list(told)
    assert effects(told, "model") == pytest.approx((between - today["old"])[ids].tolist(), abs=1e-9)
    assert effects(told, "calibration") == pytest.approx((today["new"] - between)[ids].tolist(), abs=1e-9)


def test_families_of_a_deals_step_are_shapley_values_between_its_two_moments(
    trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    bundle = changed(trained_deals.bundle, calibrator=CALIBRATOR)
    ids = matrix_of(bundle, market, as_of).snapshots["deal_id"].iloc[:3]
    before, after = worlds(bundle=bundle, known=market, ids=ids, as_ofs=[as_of - WEEK, as_of + WEEK])

    families, family = family_codes(bundle.data.contract.features)
    was, now = (world.described.values.to_numpy(copy=True) for world in (before, after))
    # Four families at most, so that all their orders can be gone through; the others stay what they were.
    chosen = [place for place in range(len(families)) if (was != now)[:, family == place].any()][:4]
    now[:, ~np.isin(family, chosen)] = was[:, ~np.isin(family, chosen)]
    model, names = bundle.landmark(), bundle.data.contract.names

    def probability(rows: np.ndarray) -> np.ndarray:
        curve = model.curve(features=pd.DataFrame(rows), pipelines=np.full(len(rows), "", dtype=object))
        return bundle.data.calibrator.apply(curve.won[:, -1])

    after = replace(
        after,
        described=replace(after.described, values=pd.DataFrame(now, columns=names)),
        probability=probability(now),
    )

    effects = step(bundle=bundle, before=before, after=after).effects

    orders = list(permutations(chosen))
    expected = np.zeros((len(ids), len(families)))
    for order in orders:
        mixed = was.copy()
        for place in order:
            earlier = probability(mixed)
            mixed[:, family == place] = now[:, family == place]
            expected[:, place] += (probability(mixed) - earlier) / len(orders)
    for place in range(len(families)):
        assert effects[:, family == place].sum(axis=1) == pytest.approx(expected[:, place], abs=1e-12)
    assert (effects[(was == now) | (np.isnan(was) & np.isnan(now))] == 0.0).all()


def test_a_past_that_was_rewritten_is_told_apart_from_time(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    hot = probabilities(trained_contacts.bundle, market, as_of).idxmax()
    asked = (market["activities"]["contact_id"] == hot) & (market["activities"]["type"] == "demo_request")
    cleaned = CrmTables(
        frames={**market.frames, "activities": market["activities"].loc[~asked].reset_index(drop=True)},
        absent=market.absent,
    )

    told = explained(
        trained_contacts.bundle,
        trained_contacts.bundle,
        cleaned,
        since=as_of,
        as_of=as_of + pd.Timedelta(hours=1),
        then=market,
    )

    assert told[hot]["difference"] < -0.1
    assert told[hot]["words"].endswith("the CRM now tells the time before otherwise")


def test_rules_are_told_by_their_criteria_and_their_map_is_the_calibration(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    data = trained_contacts.bundle.data
    assert data.points_map is not None
    rules = changed(trained_contacts.bundle, use="rules", calibrated=True)
    steeper = changed(rules, points_map=data.points_map.model_copy(update={"slope": 2 * data.points_map.slope}))

    told = explained(rules, steeper, market, since=as_of, as_of=as_of + WEEK)

    words = " ".join(one["words"] for one in told.values())
    assert "+30 points for 'Asked for a demo'" in words
    assert "what points are worth was learnt anew" in words
    assert set(effects(told, "model")) == {0.0}


def test_another_kind_of_scorer_is_all_model(trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp) -> None:
    rules = changed(trained_contacts.bundle, use="rules", calibrated=True)

    told = explained(rules, trained_contacts.bundle, market, since=as_of, as_of=as_of + WEEK)

    assert any("scored by the model, before by your point rules" in one["words"] for one in told.values())
    assert set(effects(told, "calibration")) == {0.0}


@pytest.mark.parametrize("use", ["stage_rate", "base_rate"])
def test_rates_are_split_too(trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp, use: str) -> None:
    bundle = changed(trained_deals.bundle, use=use, calibrated=True, base_rate=0.4)

    told = explained(bundle, bundle, market, since=as_of, as_of=as_of + WEEK)

    # A deal moves when its stage does, and one rate for all never.
    assert {one["words"].partition(": ")[2] for one in told.values()} == (
        {"stage: Demo → Offer"} if use == "stage_rate" else set()
    )


def test_what_cannot_be_asked_any_more_is_said(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    matrix = matrix_of(trained_contacts.bundle, market, as_of)
    first = Matrix(matrix.snapshots.iloc[:1], matrix.features.iloc[:1])
    created = market["contacts"].set_index("contact_id")["created_at"][first.snapshots["contact_id"].iloc[0]]
    lacking = changed(
        trained_contacts.bundle,
        contract=trained_contacts.bundle.data.contract.model_copy(
            update={"vouched": ("hobby",), "properties": {"hobby": ()}}
        ),
    )

    def words(old: Bundle | None, since: pd.Timestamp) -> str:
        (text,) = explain_changes(
            bundle=trained_contacts.bundle,
            earlier=Earlier(as_of=since, bundle=old),
            tables=market,
            matrix=first,
            as_of=as_of,
            probability=np.array([0.3]),
            previous=np.array([0.2]),
        )
        told = json.loads(text)
        assert (told["parts"], told["difference"]) == ([], pytest.approx(0.1))
        return str(told["words"])

    assert words(None, as_of - WEEK) == f"not split: {NO_MODEL}"
    assert words(trained_contacts.bundle, created) == f"not split: {NOT_THERE}"
    assert words(lacking, as_of).startswith("not split: the model uses contacts.hobby, which the source no longer has")


@pytest.mark.parametrize("use", ["model", "rules", "base_rate"])
def test_a_world_says_what_a_batch_publishes(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp, use: str
) -> None:
    bundle = changed(trained_contacts.bundle, use=use, calibrated=True)
    matrix = matrix_of(bundle, market, as_of)
    points = apply_rules(
        rules=RULES,
        tables=as_known_at(market, as_of=as_of),
        snapshots=matrix.snapshots,
        properties=bundle.data.properties,
    )

    published = contact_probability(bundle=bundle, matrix=matrix, points=points)

    assert probabilities(bundle, market, as_of).tolist() == published.tolist()
