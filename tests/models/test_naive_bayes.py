"""Behaviour of models.naive_bayes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from models.naive_bayes import LOWEST, Count, NaiveBayesError, OdooNaiveBayes

STAGES = {"new": 0.0, "qualified": 1.0, "proposition": 2.0, "won": 3.0}


def words(*values: str | None) -> pd.Series:
    return pd.Series(list(values), dtype="str")


# The closed records of Odoo's own test (addons/crm/tests/test_crm_pls.py): team, country, state, source, stage, won.
# E-mail and phone quality are computed there from an address that no record has, so they are empty throughout.
ODOO_CLOSED = [
    ("team 1", "c0", "s0", "u0", "new", False),
    ("team 1", "c1", "s1", "u1", "qualified", False),
    ("team 1", "c2", "s2", "u2", "proposition", True),
    ("team 2", "c0", "s1", "u1", "proposition", False),
    ("team 2", "c0", "s1", "u2", "qualified", False),
    ("team 2", "c0", "s2", "u2", "new", True),
    ("team 3", "c1", "s1", "u1", "proposition", True),
    ("team 3", "c0", "s1", "u0", "new", False),
    ("team 3", "c1", "s2", "u2", "new", False),
]
# Leads 3, 8 and 13 of that test, which stay open: all have country 0, state 1, source 2 and the second stage.
OPEN_FIELDS = pd.DataFrame({"country": words("c0"), "state": words("s1"), "source": words("u2")})
OPEN_STAGE = words("qualified")


def odoo_model(*, third_team: str | None = "team 3") -> OdooNaiveBayes:
    team, country, state, source, stage, won = zip(*ODOO_CLOSED, strict=True)
    return OdooNaiveBayes.fit(
        fields=pd.DataFrame({"country": words(*country), "state": words(*state), "source": words(*source)}),
        won=np.array(won),
        stage=words(*stage),
        stage_position=STAGES,
        team=words(*(third_team if name == "team 3" else name for name in team)),
    )


@pytest.mark.parametrize(("team", "percent"), [("team 1", 33.49), ("team 2", 7.74), ("team 3", 35.09)])
def test_odoo_s_own_probabilities_of_teams_are_reproduced(team: str, percent: float) -> None:
    model = odoo_model()

    probability = model.predict(fields=OPEN_FIELDS, stage=OPEN_STAGE, team=words(team))

    assert round(100 * float(probability[0]), 2) == percent


def test_odoo_s_own_probability_without_a_team_is_reproduced() -> None:
    model = odoo_model(third_team=None)

    probability = model.predict(fields=OPEN_FIELDS, stage=OPEN_STAGE, team=words(None))

    assert round(100 * float(probability[0]), 2) == 35.19


def test_an_unknown_team_takes_the_sum_of_all_tables() -> None:
    model = odoo_model()

    both = model.predict(
        fields=pd.concat([OPEN_FIELDS, OPEN_FIELDS]), stage=words("qualified", "qualified"), team=words("team 9", None)
    )

    assert both[0] == both[1] == model.predict(fields=OPEN_FIELDS, stage=OPEN_STAGE)[0]


def test_a_won_record_counts_in_every_stage_and_a_lost_one_up_to_its_own() -> None:
    model = OdooNaiveBayes.fit(
        fields=pd.DataFrame(index=range(3)),
        won=np.array([True, False, False]),
        stage=words("new", "new", "qualified"),
        stage_position=STAGES,
    )

    assert model.everyone.stages == {
        "new": Count(won=1.1, lost=2.1),
        "qualified": Count(won=1.1, lost=1.1),
        "proposition": Count(won=1.1, lost=0.1),
        "won": Count(won=1.1, lost=0.1),
    }
    assert model.everyone.prior == Count(won=1.1, lost=2.1)


def test_contacts_have_no_stage_and_the_overall_counts_as_prior() -> None:
    fields = pd.DataFrame({"country": words("at", "at", "de", None)})
    model = OdooNaiveBayes.fit(fields=fields, won=np.array([True, False, False, False]))

    probability = model.predict(fields=pd.DataFrame({"country": words("at", "fr", None, "")}))

    # Prior 1.1 : 3.1. Value at: 1.1 of 1.2 won, 1.1 of 2.2 lost (at 1.1 + de 1.1; won at 1.1 + de 0.1).
    won, lost = 1.1 * (1.1 / 1.2), 3.1 * (1.1 / 2.2)
    prior = 1.1 / 4.2
    assert probability == pytest.approx([won / (won + lost), prior, prior, prior])


def test_empty_counts_as_a_value_only_where_it_is_said_to() -> None:
    fields = pd.DataFrame({"email_quality": words(None, None, "correct")})
    won = np.array([False, False, True])

    plain = OdooNaiveBayes.fit(fields=fields, won=won)
    counted = OdooNaiveBayes.fit(fields=fields, won=won, empty_is_value=("email_quality",))

    assert plain.everyone.fields["email_quality"] == {"correct": Count(won=1.1, lost=0.1)}
    assert counted.everyone.fields["email_quality"][""] == Count(won=0.1, lost=2.1)
    assert counted.predict(fields=fields)[0] < plain.predict(fields=fields)[0]


def test_a_record_without_a_stage_gets_the_lowest_probability() -> None:
    probability = odoo_model().predict(fields=OPEN_FIELDS, stage=words(None))

    assert probability.tolist() == [LOWEST]


def test_arguments_are_matched_by_place_and_not_by_index() -> None:
    fields = pd.DataFrame({"country": words("at", "de")})
    model = OdooNaiveBayes.fit(fields=fields, won=np.array([True, False]))

    shuffled = model.predict(fields=fields.set_index(pd.Index([7, 7])))

    assert shuffled.tolist() == model.predict(fields=fields).tolist()
    assert shuffled[0] > 0.5 > shuffled[1]


def test_saving_and_loading_gives_the_same_model() -> None:
    model = OdooNaiveBayes.fit(
        fields=pd.DataFrame({"country": words("at", "de"), "size": [1.0, 2.0]}),
        won=np.array([True, False]),
        stage=words("new", "qualified"),
        stage_position=STAGES,
        team=words("a", None),
        empty_is_value=("country",),
    )

    loaded = OdooNaiveBayes.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))

    assert loaded == model


def test_no_closed_record_is_refused() -> None:
    with pytest.raises(NaiveBayesError, match="at least one closed record"):
        OdooNaiveBayes.fit(fields=pd.DataFrame({"country": words()}), won=np.array([], dtype=bool))


def test_a_stage_without_a_position_is_refused_with_its_name() -> None:
    with pytest.raises(NaiveBayesError, match="'lead'"):
        OdooNaiveBayes.fit(
            fields=pd.DataFrame(index=range(1)), won=np.array([True]), stage=words("lead"), stage_position=STAGES
        )


def test_stages_that_are_all_missing_are_refused() -> None:
    with pytest.raises(NaiveBayesError, match="must have one"):
        OdooNaiveBayes.fit(
            fields=pd.DataFrame(index=range(1)), won=np.array([True]), stage=words(None), stage_position={}
        )


def test_a_field_that_fit_did_not_see_is_refused_with_its_name() -> None:
    with pytest.raises(NaiveBayesError, match="colour"):
        odoo_model().predict(fields=pd.DataFrame({"colour": words("red")}), stage=OPEN_STAGE)


def test_leaving_out_the_stage_after_fitting_with_it_is_refused() -> None:
    with pytest.raises(NaiveBayesError, match="stage must be given"):
        odoo_model().predict(fields=OPEN_FIELDS)
