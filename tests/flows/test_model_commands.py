from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flows.commands import SMALL, Installed, leadline, leadline_json, write_config


def test_models_show_as_json_holds_the_whole_evaluation(installed: Installed) -> None:
    shown = leadline_json("models", "show", "deals", "--home", installed.home)

    evaluation = shown["evaluation"]
    assert shown["model"]["version"] == "1"
    assert shown["model"]["aliases"] == ["champion"]
    assert set(evaluation["scorers"]) == {
        "model",
        "point_rules",
        "stage_manual",
        "stage_observed",
        "naive_bayes",
        "base_rate",
    }
    wanted = {"log_loss", "brier", "auc", "auc_within_stage", "capture_20", "predicted_over_observed", "ici"}
    for scorer in evaluation["scorers"].values():
        assert wanted <= set(scorer["metrics"])
        assert all(set(measured) == {"value", "low", "high"} for measured in scorer["metrics"].values())
        assert {"label", "reliability", "gains", "calibration_null"} <= set(scorer)
    assert {"protocol", "rows", "objects", "positives", "differences", "segments", "verdict"} <= set(evaluation)
    assert evaluation["verdict"]["use"] == "rules"


def test_models_show_prints_every_scorer_on_the_same_test(installed: Installed) -> None:
    result = leadline("models", "show", "contacts", "--home", installed.home)

    assert result.exit_code == 0
    for label in ("model", "your point rules", "naive Bayes", "base rate"):
        assert f"\n  {label} " in result.stdout
    assert "Verdict for contacts: use the model (version 1)" in result.stdout


@pytest.mark.parametrize("typed", [("show", "contacts", "--version", "7"), ("promote", "contacts", "7")])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(
    installed: Installed, typed: tuple[str, ...]
) -> None:
    result = leadline("models", *typed, "--home", installed.home)

    assert result.exit_code == 1
    assert "must have version '7'; it has 1" in result.stderr


def test_promote_and_rollback_decide_which_version_scores(tmp_path: Path, installed: Installed) -> None:
    own = installed.copied_to(tmp_path)
    changed = write_config(tmp_path, SMALL.replace("bootstrap_replicates: 40", "bootstrap_replicates: 30"))
    leadline("train", "--config", changed, "--home", own.home)

    def live() -> str:
        listed = leadline_json("models", "list", "contacts", "--home", own.home)
        assert [one["version"] for one in listed] == ["1", "2"]
        return str(next(one["version"] for one in listed if "champion" in one["aliases"]))

    after_training = live()
    back = leadline("models", "rollback", "contacts", "--reason", "too bold", "--home", own.home)
    after_rollback = live()
    again = leadline("models", "promote", "contacts", "2", "--home", own.home)

    assert (after_training, after_rollback, live()) == ("2", "1", "2")
    assert back.stdout == "contacts: back to version 1 (from 2)\n"
    assert again.stdout == "contacts: version 2 is promoted (before: 1)\n"
    log = [json.loads(line) for line in (own.home / "registry" / "promotions.jsonl").read_text().splitlines()]
    assert [one["reason"] for one in log if one["question"] == "contacts"][-2:] == ["too bold", "promoted by hand"]


def test_what_was_rolled_back_by_hand_is_not_promoted_again_by_training_it_again(
    tmp_path: Path, installed: Installed
) -> None:
    own = installed.copied_to(tmp_path)
    changed = write_config(tmp_path, SMALL.replace("bootstrap_replicates: 40", "bootstrap_replicates: 30"))
    leadline("train", "--config", changed, "--home", own.home)
    leadline("models", "rollback", "contacts", "--reason", "too bold", "--home", own.home)

    run = leadline_json("run", "--config", changed, "--home", own.home)
    equal = json.loads(leadline("train", "--config", changed, "--home", own.home, "--json").stdout)

    # The run does not train what was trained already, and scores with the version that was gone back to.
    assert run["trained"] == []
    assert leadline_json("models", "show", "contacts", "--home", own.home)["model"]["version"] == "1"
    contacts, deals = equal
    assert (contacts["version"], contacts["promoted"]) == ("2", False)
    assert contacts["not_promoted"].startswith("version 2, made with the same settings, was rolled back on 20")
    assert contacts["not_promoted"].endswith("(too bold); once you trust it: leadline models promote contacts 2")
    assert (deals["promoted"], deals["not_promoted"]) == (True, None)


def test_rollback_without_an_earlier_champion_is_refused(tmp_path: Path, installed: Installed) -> None:
    own = installed.copied_to(tmp_path)

    result = leadline("models", "rollback", "deals", "--home", own.home)

    assert result.exit_code == 1
    assert "needs a champion before the present one" in result.stderr


def test_models_list_of_an_empty_home_is_empty_and_makes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"

    assert leadline_json("models", "list", "contacts", "--home", home) == []
    assert leadline("models", "list", "contacts", "--home", home).exit_code == 0
    assert not home.exists()


def test_models_show_of_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    result = leadline("models", "show", "contacts", "--home", tmp_path / "home")

    assert result.exit_code == 1
    assert 'run "leadline train" first' in result.stderr
