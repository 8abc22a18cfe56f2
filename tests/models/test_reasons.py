"""Reasons written by the kernel against their definition, spelled out row by row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.catalogue import FAMILY_WORDS, Feature
from models.boosting import FloatArray
from models.reasons import OTHER, SHOWN_FEATURES, write_reasons

FAMILIES = ["stage", "pace", "people"]
MEMBERS = np.array([0, 1, 0, 0, 1, 0, 2, 0])
CONTRACT = tuple(
    Feature(
        name=f"f{column}",
        family=FAMILIES[place],
        unit="category" if column == 3 else "count",
        words=f'the "{column}" \u00fc',
        levels=("a", "b\\", "(other)") if column == 3 else (),
    )
    for column, place in enumerate(MEMBERS)
)


def write(effects: FloatArray, values: FloatArray, *, base_rate: float = 0.25) -> list[Any]:
    texts = write_reasons(
        effects=effects,
        base_rate=base_rate,
        probability=base_rate + effects.sum(axis=1),
        values=values,
        contract=CONTRACT,
        families=FAMILIES,
        family=MEMBERS,
    )
    return [json.loads(text) for text in texts]


def one_by_one(effects: FloatArray, values: FloatArray) -> list[Any]:
    """What the reasons of one row are, without thought of speed."""
    written = []
    for row, own in zip(effects, values, strict=True):
        entries = []
        for place, name in enumerate(FAMILIES):
            columns = sorted((c for c in range(8) if MEMBERS[c] == place and row[c]), key=lambda c: -abs(row[c]))
            told = []
            for column in columns[:SHOWN_FEATURES]:
                feature, value = CONTRACT[column], own[column]
                plain = None if np.isnan(value) else feature.levels[int(value)] if column == 3 else round(value, 6)
                words = feature.describe(value)
                told.append({"feature": feature.name, "value": plain, "words": words, "effect": row[column]})
            lead = f" ({told[0]['words']})" if told else ""
            rest = sum(row[column] for column in columns[SHOWN_FEATURES:])
            if len(columns) > SHOWN_FEATURES and abs(rest) > 1e-9:
                told.append({"feature": OTHER, "value": None, "words": "everything else here", "effect": rest})
            total = sum(row[column] for column in columns)
            entries.append({"family": name, "effect": total, "words": f"{FAMILY_WORDS[name]}{lead}", "features": told})
        written.append(sorted(entries, key=lambda entry: (-round(abs(entry["effect"]), 9), entry["family"])))
    return written


def rounded(reasons: list[Any]) -> list[Any]:
    """Reasons with their effects to nine places and without an ``other`` of nothing."""
    return json.loads(
        json.dumps(
            [
                [
                    {
                        **entry,
                        "effect": round(entry["effect"], 9) + 0.0,
                        "features": [
                            {**one, "effect": round(one["effect"], 9) + 0.0}
                            for one in entry["features"]
                            if one["feature"] != OTHER or abs(one["effect"]) > 1e-9
                        ],
                    }
                    for entry in row
                ]
                for row in reasons
            ]
        )
    )


# Steps of a thousandth: no two sums that differ do so by a rounding.
EFFECTS = arrays(np.float64, (6, 8), elements=st.integers(-40, 40).map(lambda step: step / 1000))


@settings(max_examples=60, deadline=None)
@given(effects=EFFECTS, missing=arrays(bool, (6, 8)))
def test_reasons_are_what_their_definition_says(effects: FloatArray, missing: Any) -> None:
    values = np.where(missing, np.nan, np.arange(48).reshape(6, 8) % 3 + np.where(np.arange(8) == 3, 0.0, 0.1234567))

    assert rounded(write(effects, values)) == rounded(one_by_one(effects, values))


def test_effects_add_up_for_every_row() -> None:
    generator = np.random.default_rng(1)
    effects = generator.normal(size=(3000, 8)) * 10.0 ** generator.integers(-9, 0, (3000, 8))

    for row, reasons in zip(effects, write(effects, np.ones((3000, 8))), strict=True):
        assert sum(entry["effect"] for entry in reasons) == pytest.approx(row.sum(), abs=1e-9)
        for entry in reasons:
            assert sum(one["effect"] for one in entry["features"]) == pytest.approx(entry["effect"], abs=1e-9)


def test_nothing_is_left_over_where_every_feature_is_shown() -> None:
    effects = np.zeros((1, 8))
    effects[0, [1, 4]] = 1 / 3, -1 / 7

    told = {entry["family"]: [one["feature"] for one in entry["features"]] for entry in write(effects, effects)[0]}

    assert told == {"pace": ["f1", "f4"], "people": [], "stage": []}


def test_many_rows_are_written_as_each_alone() -> None:
    generator = np.random.default_rng(2)
    effects, values = generator.normal(size=(10_050, 8)), generator.integers(0, 3, (10_050, 8)).astype(float)

    every = write(effects, values)

    for row in (0, 9_999, 10_000, 10_049):
        assert every[row : row + 1] == write(effects[row : row + 1], values[row : row + 1])


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_effects_that_are_no_numbers_are_refused(number: float) -> None:
    effects = np.zeros((2, 8))
    effects[1, 2] = number

    with pytest.raises(ValueError, match="must be finite"):
        write(effects, np.zeros((2, 8)))


def test_half_a_surrogate_pair_in_a_word_stays_json() -> None:
    broken = (CONTRACT[0].model_copy(update={"words": "caf\u00e9 \ud800"}),)

    (text,) = write_reasons(
        effects=np.array([[0.1]]),
        base_rate=0.2,
        probability=np.array([0.3]),
        values=np.array([[1.0]]),
        contract=broken,
        families=["stage"],
        family=np.array([0]),
    )

    assert json.loads(text)[0]["words"] == f"{FAMILY_WORDS['stage']} (caf\u00e9 \ud800: 1)"
    assert text.encode()


def test_what_a_value_is_compared_with_stands_in_the_words_of_the_family_alone() -> None:
    effects = np.array([[0.2, 0.0, 0.1, -0.4, 0.0, 0.0, 0.0, 0.0]])
    values = np.array([[3.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]])

    (text,) = write_reasons(
        effects=effects,
        base_rate=0.2,
        probability=0.2 + effects.sum(axis=1),
        values=values,
        contract=CONTRACT,
        families=FAMILIES,
        family=MEMBERS,
        compared=lambda column, value: f"elsewhere {value:g}" if column == 3 else "",
    )

    stage = json.loads(text)[0]
    assert stage["words"].endswith('(the "3" \u00fc: b\\; elsewhere 1)')
    assert [one["words"] for one in stage["features"]] == [
        'the "3" \u00fc: b\\',
        'the "0" \u00fc: 3',
        'the "2" \u00fc: 2',
    ]


def test_no_rows_have_no_reasons() -> None:
    assert write(np.zeros((0, 8)), np.zeros((0, 8))) == []
