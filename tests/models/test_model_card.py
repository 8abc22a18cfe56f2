from __future__ import annotations

import re
from dataclasses import replace

import pytest

from models.evaluation import Verdict
from models.model_card import inert, model_card
from models.training import Trained
from tests.models.test_bundle import make_bundle


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_the_card_tells_what_was_learnt_how_it_did_and_why(question: str, request: pytest.FixtureRequest) -> None:
    trained: Trained = request.getfixturevalue(f"trained_{question}")
    bundle = trained.bundle

    card = model_card(bundle)

    assert card.startswith(f"# {bundle.version}\n")
    assert f"SHA-256 of the tables `{bundle.data.data_digest}`" in card
    assert f"{len(bundle.data.contract.features)} features:" in card
    assert f"before {bundle.data.trained_as_of:%Y-%m-%d %H:%M} UTC" in card
    assert isinstance(trained.verdict, Verdict)
    assert inert(trained.verdict.reasons[0]) in card
    auc = bundle.evaluation["scorers"]["model"]["metrics"]["auc"]
    model, base = (
        next(line for line in card.splitlines() if line.startswith(f"| {name}")) for name in ("the model", "the base")
    )
    assert f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" in model
    assert model.count("|") == base.count("|") == 8
    assert re.search(r"lightgbm \d", card)


def test_the_card_of_ranks_says_that_they_are_no_percentages() -> None:
    bundle = replace(make_bundle(calibrated=False), evaluation={"scorers": {}, "protocol": {"note": "too young"}})

    card = model_card(bundle)

    assert "as ranks only: its probabilities failed their calibration test" in card
    assert "The history allowed no test: too young" in card
    assert "within 2 to 4 days, which is as far ahead as the history supports" in card


def test_names_from_the_data_stay_text() -> None:
    hostile = "x\n# Heading\n<script>alert(1)</script> ![i](http://e) |cell| `code` \u202e"
    bundle = replace(
        make_bundle(left_out=({"table": "deals", "column": hostile, "reason": hostile},)),
        evaluation={"scorers": {}, "verdict": {"reasons": [hostile]}},
    )

    card = model_card(bundle)

    assert "\n# Heading" not in card
    for active in ("<script>", "![i]", " |cell|", " `code`", "\u202e"):
        assert active not in card
    assert "\\<script\\>alert(1)" in card
