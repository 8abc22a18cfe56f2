from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.tables import CrmTables
from models.boosting import BoosterSettings
from models.cutoffs import SplitSettings
from models.evaluation import Estimate
from models.ladder import Rung, Step
from models.procedure import Procedure, procedure_of
from models.tuning import (
    Finished,
    NoTuningError,
    Problem,
    Tuned,
    booster_place,
    inner_folds,
    inner_problem,
    judge_tuned,
    outer_cutoffs,
    search,
)
from tests.models.market import make_settings

SETTINGS = make_settings(split=SplitSettings(max_test_days=60.0), horizon_days=60.0)
DEFAULT = SETTINGS.contacts.booster


@pytest.fixture(scope="module")
def procedure(market: CrmTables, as_of: pd.Timestamp) -> Procedure:
    return procedure_of("contacts", tables=market, as_of=as_of, settings=SETTINGS)


@pytest.fixture(scope="module")
def problems(procedure: Procedure, as_of: pd.Timestamp) -> list[Problem]:
    outer = outer_cutoffs(procedure, now=as_of, settings=SETTINGS.split)
    folds = inner_folds(procedure, outer, settings=SETTINGS.split)
    return [problem for cutoffs in folds[-1:] if (problem := inner_problem(procedure, cutoffs)) is not None]


def look(
    problems: list[Problem], *, file: Path, trials: int, minutes: float = 5.0
) -> tuple[tuple[BoosterSettings, float, float, int], list[Finished]]:
    told: list[Finished] = []
    found = search(
        problems,
        question="contacts",
        default=DEFAULT,
        trials=trials,
        minutes=minutes,
        study_file=file,
        study_name="one",
        seed=1,
        on_trial=told.append,
    )
    return found, told


def test_the_search_sees_nothing_of_the_test_that_judges(procedure: Procedure, as_of: pd.Timestamp) -> None:
    outer = outer_cutoffs(procedure, now=as_of, settings=SETTINGS.split)

    folds = inner_folds(procedure, outer, settings=SETTINGS.split)

    assert folds
    # Every label of the search is ripe before the first moment of the test.
    assert all(fold.now <= outer.test_at for fold in folds)
    assert all(fold.ripe_until + pd.Timedelta(days=60) == fold.now for fold in folds)


def test_the_default_is_tried_first_and_a_study_is_gone_on_with(problems: list[Problem], tmp_path: Path) -> None:
    (first, first_loss, default, done), told = look(problems, file=tmp_path / "study.db", trials=3)
    (again, again_loss, same_default, more), told_again = look(problems, file=tmp_path / "study.db", trials=5)
    _, nothing = look(problems, file=tmp_path / "study.db", trials=5)

    assert default == same_default == pytest.approx(problems[0].loss(DEFAULT))
    assert (done, more) == (3, 5)
    assert [one.done for one in told] == [1, 2, 3]
    assert [one.done for one in told_again] == [4, 5]
    assert nothing == []
    assert again_loss <= first_loss <= default
    assert problems[0].loss(again) == pytest.approx(again_loss)
    assert first.seed == DEFAULT.seed


def test_the_time_limit_ends_the_search(problems: list[Problem], tmp_path: Path) -> None:
    (_, _, _, done), _ = look(problems, file=tmp_path / "study.db", trials=500, minutes=1e-6)

    assert 1 <= done < 500


def test_default_and_tuned_are_compared_on_the_same_rows(problems: list[Problem]) -> None:
    worse = DEFAULT.model_copy(update={"trees": 3})

    found = judge_tuned(
        problems[0], question="contacts", default=DEFAULT, best=worse, inner_default=0.2, inner_best=0.1, trials=7,
        replicates=20, seed=1,
    )  # fmt: skip

    assert found.difference.value == pytest.approx(found.test_best - found.test_default)
    assert found.difference.low > 0
    assert not found.adopt
    assert found.to_dict()["adopt"] is False
    assert found.snippet() == "contacts:\n  booster:\n    trees: 3\n"


@pytest.mark.parametrize(("rung", "place"), [("model", "booster"), ("small_model", "small_booster")])
def test_the_booster_that_the_ladder_allows_is_tuned(problems: list[Problem], rung: Rung, place: str) -> None:
    proof = problems[0].proof
    past = replace(proof.made.past, step=Step(rung, "as many winners as that takes"))

    assert booster_place(replace(problems[0], proof=replace(proof, made=replace(proof.made, past=past)))) == place


def test_the_snippet_names_the_booster_that_was_tuned() -> None:
    gap = Estimate(-0.01, -0.02, -0.001)
    found = Tuned("deals", 9, DEFAULT, DEFAULT.model_copy(update={"l2": 3.0}), 0.3, 0.29, 9, 5, 0.31, 0.30, gap,
                  place="small_booster")  # fmt: skip

    assert found.snippet() == "deals:\n  small_booster:\n    l2: 3.0\n"


def test_only_a_sure_gain_is_worth_adopting() -> None:
    def tuned(high: float) -> Tuned:
        gap = Estimate(-0.01, -0.02, high)
        return Tuned("deals", 9, DEFAULT, DEFAULT, 0.3, 0.29, 100, 50, 0.31, 0.30, gap)

    assert tuned(-0.001).adopt
    assert not tuned(0.0).adopt
    assert tuned(0.0).snippet() == ""


def test_a_history_too_short_for_a_test_is_refused(procedure: Procedure) -> None:
    with pytest.raises(NoTuningError, match=r"contacts cannot be tuned: .* too short for an honest test"):
        outer_cutoffs(procedure, now=procedure.first + pd.Timedelta(days=100), settings=SETTINGS.split)
    with pytest.raises(NoTuningError, match="no stretch before the test window"):
        look([], file=Path("nowhere.db"), trials=1)
