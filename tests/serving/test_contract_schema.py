"""The contract as JSON Schema: as published in docs, true of real rows, and never narrower than an earlier one.

Renew the files in docs with ``RENEW_PAGES=1 pytest tests/serving/test_contract_schema.py``. ``tests/serving/contracts``
holds the schema of every released version, and is never renewed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema_rs
import pandas as pd
import pytest

from serving.contract import CONTRACTS
from serving.contract_schema import contract_schema, render
from serving.export import export
from serving.store import ScoreStore
from tests.serving.conftest import make_batch, make_deal, unscored_deal

DOCS = Path(__file__).resolve().parents[2] / "docs"
EARLIER = sorted((Path(__file__).parent / "contracts").glob("*.json"))


def kinds(told: dict[str, Any]) -> set[str]:
    return {told["type"]} if isinstance(told["type"], str) else set(told["type"])


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Say what a client of an old schema may trip over in rows of a new one."""
    found = [f"{name} is gone" for name in old["required"] if name not in new["required"]]
    for name, told in old["properties"].items():
        now = new["properties"].get(name, {"type": told["type"]})
        if not kinds(now) <= kinds(told):
            found.append(f"{name} may now be {sorted(kinds(now) - kinds(told))}")
        if "enum" in told and not set(now.get("enum", ["anything"])) <= set(told["enum"]):
            found.append(f"{name} has other values")
    positions = [list(new["properties"]).index(name) for name in old["required"] if name in new["properties"]]
    if positions != sorted(positions):
        found.append("the columns stand in another order")
    return found


@pytest.mark.parametrize("question", CONTRACTS)
def test_the_schema_in_docs_is_that_of_the_contract(question: str) -> None:
    file = DOCS / f"{question}.schema.json"
    if os.environ.get("RENEW_PAGES"):
        file.write_text(render(question), encoding="utf-8")

    assert file.read_text(encoding="utf-8") == render(question)


@pytest.mark.parametrize("file", EARLIER, ids=[file.stem for file in EARLIER])
def test_a_client_of_an_earlier_contract_reads_rows_of_this_one(file: Path) -> None:
    question = file.stem.split("-")[0]
    old = json.loads(file.read_text(encoding="utf-8"))

    assert breaks(old, contract_schema(question)) == []
    assert list(contract_schema(question)["properties"])[: len(old["required"])] == old["required"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda told: told["required"].remove("tier"), "tier is gone"),
        (lambda told: told["properties"]["points"].update(type="string"), "points may now be ['string']"),
        (lambda told: told["properties"]["tier"].update(enum=["best"]), "tier has other values"),
        (lambda told: told["properties"]["batch_id"].update(type=["string", "null"]), "batch_id may now be ['null']"),
    ],
)
def test_a_breaking_change_would_be_seen(change: Any, told: str) -> None:
    changed = json.loads(render("contacts"))

    change(changed)

    assert breaks(contract_schema("contacts"), changed) == [told]


def test_published_rows_keep_the_schema_and_broken_ones_do_not(store: ScoreStore, tmp_path: Path) -> None:
    store.publish(make_batch(deals=pd.DataFrame([make_deal("d1", owner_id="7"), unscored_deal("d2")])))

    for question in CONTRACTS:
        validator = jsonschema_rs.validator_for(contract_schema(question))
        export(store, question, "latest", "ndjson", tmp_path / question)
        rows = [json.loads(line) for line in (tmp_path / question).read_text(encoding="utf-8").splitlines()]
        assert [list(validator.iter_errors(row)) for row in rows] == [[]] * len(rows)
        for broken in ({"base_rate": 2}, {"batch_id": None}, {"reasons": [{"family": "x"}]}, {"scored_at": 5}):
            assert not validator.is_valid(rows[0] | broken)
