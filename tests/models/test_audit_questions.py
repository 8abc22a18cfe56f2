"""The audit on a simulated CRM: every leak is caught, vouched for or not, and no honest feature is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import Question
from features.properties import PropertySettings, SafeColumns
from features.sources.synthetic import SyntheticCrm
from features.tables import CrmTables
from models.audit import Audit, AuditSettings
from models.contact_start import audit_of_contacts
from models.contact_training import train_contacts
from models.deal_training import audit_of_deals, train_deals
from models.rules.sheet import PointRules
from tests.models.market import make_settings

END = pd.Timestamp("2026-01-01", tz="UTC")
LEAKS = {
    "contacts": {"lifecyclestage", "num_associated_deals", "last_activity_at"},
    "deals": {"closed_reason", "days_to_close"},
}
HONEST = ("industry", "country", "source")
RULES = PointRules.model_validate(
    {"fit": {"criteria": [{"name": "Customer", "property": "x_lifecyclestage", "is": "customer", "points": 50}]}}
)


def audit(question: Question, tables: CrmTables, *, safe: dict[str, tuple[str, ...]], **changed: Any) -> Audit:
    properties = PropertySettings(**{table: SafeColumns(safe=names) for table, names in safe.items()})
    run = audit_of_contacts if question == "contacts" else audit_of_deals
    settings = make_settings(properties=properties, bootstrap_replicates=60, **changed)
    return run(tables=tables, as_of=END, settings=settings)


def with_fake_history(tables: CrmTables, question: Question) -> CrmTables:
    """Rename the leaks, so that no name gives them away, and date today's values at the object's creation."""
    table, key = question, f"{question.removesuffix('s')}_id"
    frame = tables[table]
    written = [tables["property_history"]]
    for name in sorted(LEAKS[question]):
        filled = frame[[key, "created_at", name]].dropna()
        written.append(
            pd.DataFrame(
                {
                    "object_type": question.removesuffix("s"),
                    "object_id": filled[key],
                    "property": f"x_{name}",
                    "value": filled[name].astype(str),
                    "known_at": filled["created_at"],
                }
            )
        )
    renamed = frame.rename(columns={name: f"x_{name}" for name in LEAKS[question]})
    history = pd.concat(written, ignore_index=True)
    return CrmTables(frames={**tables.frames, table: renamed, "property_history": history}, absent=tables.absent)


def suspicious(found: Audit) -> dict[str | None, str]:
    return {one.rests_on: one.use for one in found.columns if one.is_suspicious}


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_every_leak_is_seen_where_it_is_left_out_and_nothing_honest_is_suspected(
    question: Question, synthetic: SyntheticCrm
) -> None:
    found = audit(question, synthetic.tables, safe={"contacts": HONEST})

    assert suspicious(found) == dict.fromkeys(LEAKS[question], "left out")
    assert found.refused == {}
    assert found.positive_objects > 100


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_a_leak_that_the_configuration_vouches_for_is_warned_of(question: Question, synthetic: SyntheticCrm) -> None:
    # a time as text has no level that occurs often, so it is left out whoever vouches for it
    vouched = LEAKS[question] - {"last_activity_at"}

    found = audit(question, synthetic.tables, safe={question: tuple(vouched)})

    assert set(found.warned) == {f"property_{name}" for name in vouched}
    assert found.refused == {}


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_a_leak_with_a_made_up_history_is_refused(question: Question, synthetic: SyntheticCrm) -> None:
    found = audit(question, with_fake_history(synthetic.tables, question), safe={})

    assert set(found.refused_properties) == {f"x_{name}" for name in LEAKS[question]}
    assert all(reason.startswith("too good to be true: ") for reason in found.refused.values())


def test_training_drops_what_is_refused_from_model_and_rules_and_says_why(synthetic: SyntheticCrm) -> None:
    tables = with_fake_history(synthetic.tables, "contacts")

    trained = train_contacts(
        tables=tables, as_of=END, settings=make_settings(rules=RULES, properties=PropertySettings())
    )

    data, evaluation = trained.bundle.data, trained.bundle.evaluation
    told = {item["column"]: item["reason"] for item in data.left_out}
    assert not [name for name in data.contract.names if "x_" in name]
    assert not [name for name in data.contract.properties if name.startswith("x_")]
    assert "where the best honest column" in told["x_lifecyclestage"]
    assert data.rules.criteria == ()
    assert told["Customer"] == told["x_lifecyclestage"]
    assert {one["name"] for one in evaluation["audit"]["columns"] if one["use"] == "refused"} >= {
        "property_x_lifecyclestage"
    }
    assert trained.evaluation is not None
    assert trained.evaluation.scorers["model"].metrics["auc"].value < 0.93


def test_training_keeps_the_drift_of_the_test_and_of_those_scored(synthetic: SyntheticCrm) -> None:
    trained = train_deals(tables=synthetic.tables, as_of=END, settings=make_settings(properties=PropertySettings()))

    told = trained.bundle.evaluation["drift"]
    names = set(trained.bundle.data.contract.names)
    assert {one["name"] for one in told["reference"]["features"]} == names
    assert {one["name"] for one in told["test"]["features"]} == names
    # the more deals an owner closes the farther the count lies from its past
    assert told["scored"]["features"][0]["name"] in {"owner_closed", "owner_win_rate"}
    assert told["scored"]["large"] >= 1


def test_the_sample_keeps_the_answer(synthetic: SyntheticCrm) -> None:
    whole = audit("contacts", synthetic.tables, safe={}, audit=AuditSettings(max_rows=100_000))
    sample = audit("contacts", synthetic.tables, safe={}, audit=AuditSettings(max_rows=4_000))

    assert sample.rows < 0.25 * whole.rows
    assert suspicious(sample) == suspicious(whole)
    pairs = zip(whole.columns, sample.columns, strict=True)
    gaps = [abs(one.auc.value - other.auc.value) for one, other in pairs]
    assert np.mean(gaps) < 0.02


def test_a_feature_that_stands_for_a_protected_attribute_is_named(synthetic: SyntheticCrm) -> None:
    generator = np.random.default_rng(2)
    contacts = synthetic.tables["contacts"]
    age = np.where(contacts["source"] == "event", 60, 30) + generator.integers(0, 20, len(contacts))
    people = contacts.assign(
        age=age.astype(np.float64), marital=np.where(generator.random(len(contacts)) < 0.5, "m", "s")
    )
    tables = dataclasses.replace(synthetic.tables, frames={**synthetic.tables.frames, "contacts": people})

    found = audit("contacts", tables, safe={"contacts": ("source", "industry")})

    reasons = {one.name: one.reason for one in found.columns if one.use == "left out"}
    assert reasons["age"] == "protected attribute (age): never used unless vouched for"
    assert reasons["marital"] == "protected attribute (marital status): never used unless vouched for"
    # what happens first with a contact depends on where it came from
    assert {(one.attribute, one.feature) for one in found.proxies} == {
        ("age", "property_source"),
        ("age", "first_kind"),
    }
    assert all(one.auc > 0.7 for one in found.proxies)


def test_columns_say_how_they_are_known_and_whether_they_change(synthetic: SyntheticCrm) -> None:
    found = {one.name: one for one in audit("contacts", synthetic.tables, safe={"contacts": HONEST}).columns}

    assert found["open_deals"].known == "later of entered_at and known_at"
    assert found["property_industry"].known == "today's value, vouched for as known from creation on"
    assert found["property_job_level"].known == "history: known_at of each value"
    assert found["lifecyclestage"].known == "today's value only: no history"
    assert found["property_industry"].differs is None
    assert found["lifecyclestage"].differs is None
    assert 0.0 < (found["property_job_level"].differs or 0.0) < 1.0
    assert found["property_job_level"].filled_by_outcome is not None
    assert (found["property_job_level"].filled_by_outcome.before or 0.0) > 0.5


def test_a_property_of_the_company_is_audited_as_one_that_somebody_vouched_for(synthetic: SyntheticCrm) -> None:
    companies = synthetic.tables["companies"]
    sizes = companies.assign(size=np.where(companies["company_id"].str[-1] < "5", "small", "large"))
    tables = CrmTables(frames={**synthetic.tables.frames, "companies": sizes}, absent=synthetic.tables.absent)

    found = audit("contacts", tables, safe={"contacts": ("company_id",), "companies": ("size",)})

    column = next(one for one in found.columns if one.name == "company_property_size")
    assert (column.rests_on, column.vouched, column.use) == ("companies.size", True, "used")
