"""The compiled look at reasons: sure of what our writer writes, and never of what the full reader refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import contract
from serving.contract import ContractError, check_rows
from serving.contract_json import TOLERANCE, read_reasons, total_of_reasons
from serving.reason_sums import surely_add_up
from tests.serving.conftest import make_contact


def feature(effect: float, **changed: Any) -> dict[str, Any]:
    return {"feature": "calls", "value": 4.5, "words": "calls: 4.5", "effect": effect} | changed


def family(*effects: float, **changed: Any) -> dict[str, Any]:
    parts = [feature(effect) for effect in effects]
    return {"family": "recency", "effect": sum(effects), "words": "lately", "features": parts} | changed


def written(*families: dict[str, Any]) -> str:
    """As our writer writes it."""
    return json.dumps(list(families), separators=(",", ":"), ensure_ascii=False)


def sure(text: str, probability: float = 0.3, base_rate: float = 0.2) -> bool:
    (told,) = surely_add_up(pd.Series([text]), probability=pd.Series([probability]), base_rate=pd.Series([base_rate]))
    return bool(told)


def accepted(text: str, probability: float = 0.3, base_rate: float = 0.2) -> bool:
    """What the full reader says."""
    try:
        reasons = read_reasons(text)
        if np.isnan(probability):
            return not reasons
        return abs(base_rate + total_of_reasons(reasons) - probability) <= TOLERANCE
    except ValueError:
        return False


@pytest.mark.parametrize(
    "text",
    [
        written(family(0.1)),
        written(family(0.08, 0.04), family(-0.02)),
        written(family(0.25, -0.05), family(-0.1, family='a "quoted" \\ nämé\n💡')),
        written(
            family(features=[feature(0.1, value=value) for value in ("x", None, True, False, 0, -1e-7)][:1], effect=0.1)
        ),
        written(family(0.1, features=[feature(0.025, value=value) for value in ("words", None, True, -12)])),
        written(family(0.1), family(effect=0, features=[])),
        '[{"family":"a","effect":1e-1,"words":"","features":[{"feature":"","value":0,"words":"","effect":100E-3}]}]',
    ],
)
def test_what_our_writer_writes_is_sure(text: str) -> None:
    assert accepted(text)
    assert sure(text)


def test_effects_are_read_to_their_last_digits() -> None:
    effects = [0.1 + place / 3**20 for place in range(50)]
    for effect in effects:
        assert sure(written(family(effect)), probability=0.2 + effect)
        assert not sure(written(family(effect)), probability=0.2 + effect + 2e-9)


@pytest.mark.parametrize(
    "text",
    [
        written(family(0.2)),
        written(family(0.04), family(0.06)),
        written(family(0.1, effect=0.1000001)),
        written(family(0.1)) + " ",
        written(family(0.1))[:-1],
        written(family(0.1)).replace("0.1", "00.1"),
        written(family(0.1)).replace("0.1", "+0.1"),
        written(family(0.1)).replace("0.1", ".1"),
        written(family(0.1)).replace("0.1", "0.1."),
        written(family(0.1)).replace("0.1", "0.1e"),
        written(family(0.1)).replace("lately", "late\tly").replace("\\t", "\t"),
        written(family(0.1)).replace("lately", "\\x"),
        written(family(0.1)).replace("4.5,", "NaN,"),
        written(family(0.1)).replace('"value":4.5,', ""),
        "[]",
        "",
        "null",
    ],
)
def test_what_breaks_the_contract_or_is_no_json_is_not_sure(text: str) -> None:
    assert not accepted(text) or text.endswith(" ")
    assert not sure(text)


def test_without_a_probability_only_an_empty_list_is_sure() -> None:
    assert sure("[]", probability=float("nan"))
    assert not sure(written(family(0.1)), probability=float("nan"))


@settings(max_examples=200, deadline=None)
@given(
    places=st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(list('[]{}",:\\0123456789.eE+-ntu \t\0é'))), max_size=3
    ),
    cut=st.integers(0, 400),
)
def test_nothing_is_sure_that_the_full_reader_refuses(places: list[tuple[int, str]], cut: int) -> None:
    text = written(family(0.08, 0.04), family(-0.02))
    for place, character in places:
        place %= len(text)
        text = text[:place] + character + text[place + 1 :]
    for one in (text, text[:cut], text[:cut] + text[cut + 1 :]):
        assert accepted(one) or not sure(one)


def test_a_large_batch_is_refused_for_the_row_that_breaks_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "_WORTH_COMPILING", 2)
    good = {"reasons": written(family(0.1)), "likelihood_low": 0.0, "likelihood_high": 1.0}
    rows = pd.DataFrame([make_contact(str(number), **good) for number in range(3)])
    rows.loc[1, "reasons"] = written(family(0.1)).replace(",", ", ")

    assert len(check_rows("contacts", rows)) == 3
    rows.loc[2, "reasons"] = written(family(0.2))
    with pytest.raises(ContractError, match="must add up") as caught:
        check_rows("contacts", rows)
    assert caught.value.row == "2"
