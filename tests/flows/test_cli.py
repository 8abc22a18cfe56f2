from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

from flows.cli import main
from flows.settings import CONFIGS
from serving.contract import contract_of, read_reasons
from tests.flows.commands import (
    END,
    FOLDER,
    SMALL,
    TINY,
    Installed,
    contents,
    leadline,
    leadline_json,
    tiny_tables,
    write_config,
    write_csv,
)


@pytest.fixture
def wrong_data(tmp_path: Path) -> Path:
    """Tables that are in order but for one activity without an owner of its time: a time without a zone."""
    folder = write_csv(tiny_tables(), tmp_path / "wrong")
    file = folder / "activities.csv"
    rows = file.read_text(encoding="utf-8").splitlines()
    column = rows[0].split(",").index("occurred_at")
    cells = rows[5].split(",")
    cells[column] = "2025-03-04 05:06:07"
    rows[5] = ",".join(cells)
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder_config(tmp_path: Path) -> Path:
    return write_config(tmp_path, FOLDER)


def test_check_says_that_sound_tables_are_in_order_and_makes_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, TINY)
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)

    result = leadline("check", "--config", config)

    assert (result.exit_code, result.stdout) == (0, "Nothing was found: the tables are in order.\n")
    assert contents(tmp_path) == before
    assert not (tmp_path / "var").exists()


def test_check_names_an_error_and_ends_with_one(
    tmp_path: Path, folder_config: Path, wrong_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)

    result = leadline("check", "--config", folder_config, "--data", wrong_data)

    assert result.exit_code == 1
    assert "error" in result.stdout
    assert "occurred_at" in result.stdout
    assert contents(tmp_path) == before


def test_check_prints_its_findings_as_json_for_scripts(folder_config: Path, wrong_data: Path) -> None:
    result = leadline("check", "--config", folder_config, "--data", wrong_data, "--json")

    findings = json.loads(result.stdout)
    (error,) = [one for one in findings if one["severity"] == "error"]
    assert result.exit_code == 1
    assert (error["code"], error["table"], error["column"], error["count"]) == (
        "naive-time",
        "activities",
        "occurred_at",
        1,
    )
    assert error["examples"]


def test_check_with_findings_but_no_error_ends_with_zero(tmp_path: Path, folder_config: Path) -> None:
    folder = write_csv(tiny_tables(), tmp_path / "data", without=("owners", "property_history"))

    result = leadline("check", "--config", folder_config, "--data", folder, "--as-of", "2025-07-01", "--json")

    findings = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {one["severity"] for one in findings} == {"info"}
    assert {"absent-table", "not-yet-known"} <= {one["code"] for one in findings}


@pytest.mark.parametrize("command", ["run", "train", "score"])
def test_tables_with_an_error_leave_no_trace_under_home(
    tmp_path: Path, folder_config: Path, wrong_data: Path, command: str
) -> None:
    home = tmp_path / "home"

    result = leadline(command, "--config", folder_config, "--data", wrong_data, "--home", home)

    assert result.exit_code == 1
    assert "nothing was written" in result.stderr
    assert "occurred_at" in result.stderr
    assert not home.exists()


def test_tables_with_an_error_change_nothing_in_a_home_that_serves(
    tmp_path: Path, installed: Installed, folder_config: Path, wrong_data: Path
) -> None:
    own = installed.copied_to(tmp_path)
    before = contents(own.home)

    result = leadline("run", "--config", folder_config, "--data", wrong_data, "--home", own.home)

    assert result.exit_code == 1
    assert contents(own.home) == before


def test_score_without_any_model_says_what_to_do(tmp_path: Path) -> None:
    config, home = write_config(tmp_path, TINY), tmp_path / "home"

    result = leadline("score", "--config", config, "--as-of", END.isoformat(), "--home", home)

    assert result.exit_code == 1
    assert 'contacts has no promoted model; train one with "leadline train"' in result.stderr
    assert leadline_json("status", "--home", home)["batch"] is None


def test_score_with_a_model_that_knows_the_future_is_refused(tmp_path: Path, installed: Installed) -> None:
    own = installed.copied_to(tmp_path)

    result = leadline("score", "--config", own.config, "--as-of", "2025-12-31", "--home", own.home)

    assert result.exit_code == 1
    assert "was trained on facts up to 2026-01-01T00:00:00+00:00" in result.stderr
    assert "later than the as-of 2025-12-31T00:00:00+00:00" in result.stderr
    assert "leadline train" in result.stderr
    assert leadline_json("status", "--home", own.home)["batch"]["batch_id"] == installed.batch_id


def test_score_publishes_with_the_promoted_models(tmp_path: Path, installed: Installed) -> None:
    own = installed.copied_to(tmp_path)

    said = leadline_json("score", "--config", own.config, "--as-of", "2026-01-02", "--home", own.home)

    assert said["batch_id"].startswith("20260102T000000Z-")
    assert said["rows"] == installed.said["rows"]
    assert said["refused"] == {}
    status = leadline_json("status", "--home", own.home)
    assert (status["batch"]["batch_id"], status["batches"]) == (said["batch_id"], 2)


def test_score_publishes_the_question_that_has_a_model_and_names_the_other(tmp_path: Path) -> None:
    config = write_config(tmp_path, TINY)
    only_contacts = write_config(tmp_path / "contacts", TINY + "questions: [contacts]\n")
    home = tmp_path / "home"
    leadline("train", "--config", only_contacts, "--home", home)

    result = leadline("score", "--config", config, "--as-of", END.isoformat(), "--home", home)

    assert result.exit_code == 0
    assert "deals has no promoted model" in result.stderr
    assert "Published batch" in result.stdout
    assert list(leadline_json("status", "--home", home)["batch"]["rows"]) == ["contacts"]


def test_train_tells_each_verdict_and_ends_with_one_where_a_model_was_refused(
    tmp_path: Path, installed: Installed
) -> None:
    own = installed.copied_to(tmp_path)

    result = leadline("train", "--config", own.config, "--home", own.home)

    assert result.exit_code == 1
    assert "contacts: use the model (version 1)" in result.stdout
    assert "deals: use your point rules (version 1)" in result.stdout


def test_train_ends_with_zero_where_every_model_passed(tmp_path: Path, installed: Installed) -> None:
    own = installed.copied_to(tmp_path)
    config = write_config(tmp_path, SMALL + "questions: [contacts]\n")

    result = leadline("train", "--config", config, "--home", own.home)

    assert result.exit_code == 0
    assert "its percentages hold" in result.stdout


def test_train_goes_on_where_one_question_has_nothing_to_learn_from(tmp_path: Path) -> None:
    folder = write_csv(tiny_tables(), tmp_path / "data", without=("contacts", "deal_contacts"))
    config, home = write_config(tmp_path, FOLDER), tmp_path / "home"
    asked = ("--config", config, "--data", folder, "--as-of", END.isoformat(), "--home", home)

    result = leadline("train", *asked, "--json")

    contacts, deals = json.loads(result.stdout)
    assert result.exit_code == 1
    assert contacts == {"question": "contacts", "refused": contacts["refused"]}
    assert contacts["refused"] in result.stderr
    assert deals["version"] == "1"


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_an_export_holds_the_published_rows_in_every_format(
    tmp_path: Path, installed: Installed, question: str
) -> None:
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("csv", "parquet", "ndjson")}
    for kind, file in files.items():
        result = leadline("export", question, "--format", kind, "--out", file, "--home", installed.home)
        assert result.exit_code == 0
        assert f"{installed.said['rows'][question]:,} {question} written to {file}" in result.stdout

    csv = pd.read_csv(files["csv"])
    parquet = pd.read_parquet(files["parquet"])
    lines = [json.loads(line) for line in files["ndjson"].read_text(encoding="utf-8").splitlines()]

    names = list(contract_of(question).names)
    assert list(csv) == list(parquet) == list(lines[0]) == names
    ids = f"{contract_of(question).id_column}"
    assert csv[ids].astype(str).tolist() == parquet[ids].tolist() == [line[ids] for line in lines]
    assert set(csv["batch_id"]) == {installed.batch_id}
    assert [line["reasons"] for line in lines] == [
        None if pd.isna(text) else read_reasons(text) for text in parquet["reasons"]
    ]


def test_an_export_of_an_unknown_batch_is_refused_and_writes_nothing(tmp_path: Path, installed: Installed) -> None:
    file = tmp_path / "scores.csv"

    result = leadline("export", "contacts", "--batch", "b-none", "--out", file, "--home", installed.home)

    assert result.exit_code == 1
    assert "'b-none'" in result.stderr
    assert not file.exists()


def test_an_export_before_anything_was_published_is_refused(tmp_path: Path) -> None:
    result = leadline("export", "deals", "--out", tmp_path / "x.csv", "--home", tmp_path / "home")

    assert result.exit_code == 1
    assert "so no batch is published yet; publish one with: leadline run" in result.stderr
    assert not (tmp_path / "home").exists()


def test_an_export_into_a_folder_that_does_not_exist_is_refused(tmp_path: Path, installed: Installed) -> None:
    result = leadline("export", "deals", "--out", tmp_path / "none" / "x.csv", "--home", installed.home)

    assert result.exit_code == 1
    assert "Choose a writable file in a folder that exists" in result.stderr


def test_status_of_an_empty_home_says_how_to_begin(tmp_path: Path) -> None:
    result = leadline("status", "--home", tmp_path / "home")
    plain = leadline_json("status", "--home", tmp_path / "home")

    assert result.exit_code == 0
    assert "leadline demo" in result.stdout
    assert "(not there)" in result.stdout.replace("\n", " ")
    assert (plain["batch"], plain["batches"], plain["models"]) == (None, 0, {"contacts": None, "deals": None})
    assert not (tmp_path / "home").exists()


def test_status_tells_the_batch_its_age_and_the_models(installed: Installed) -> None:
    result = leadline("status", "--home", installed.home)
    plain = leadline_json("status", "--home", installed.home)

    assert installed.batch_id in result.stdout
    assert plain["batch"]["as_of"] == "2026-01-01T00:00:00+00:00"
    assert plain["batch"]["age_hours"] >= 0
    assert plain["batch"]["rows"] == installed.said["rows"]
    assert [plain["models"][question]["tags"]["use"] for question in ("contacts", "deals")] == ["model", "rules"]


def test_the_report_is_written_again_where_it_is_wanted(tmp_path: Path, installed: Installed) -> None:
    file = tmp_path / "new" / "report.html"

    result = leadline("report", "--out", file, "--home", installed.home)

    assert (result.exit_code, result.stdout.strip()) == (0, str(file))
    assert file.read_bytes() == Path(installed.said["report"]).read_bytes()


@pytest.mark.parametrize("asked", [(), ("--batch", "b-none")])
def test_a_report_of_no_batch_is_refused(tmp_path: Path, asked: tuple[str, ...]) -> None:
    result = leadline("report", *asked, "--home", tmp_path / "home")

    assert result.exit_code == 1
    assert "publish one with: leadline run" in result.stderr


def json_commands(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += json_commands(command, f"{prefix}{name} ")
        elif any(one.name == "as_json" for one in command.params):
            found.append(f"{prefix}{name}")
    return found


def test_every_command_that_a_script_would_read_prints_json_alone(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)
    home, source = ["--home", str(own.home)], ["--config", str(own.config)]
    sheet, spreadsheet = ["--rules", str(CONFIGS / "point_rules.yaml")], tmp_path / "sheet.csv"
    spreadsheet.write_text("did demo_request,30\n", encoding="utf-8")
    typed: dict[str, list[str]] = {
        "run": ["run", *source, *home],
        "check": ["check", *source, *home],
        "audit": ["audit", *source, *home],
        "train": ["train", *source, *home],
        "score": ["score", *source, *home],
        "features list": ["features", "list"],
        "models list": ["models", "list", "deals", *home],
        "models show": ["models", "show", "deals", *home],
        "models log": ["models", "log", "deals", *home],
        "keys create": ["keys", "create", "--name", "sync", "--scope", "scores:read", *home],
        "keys list": ["keys", "list", *home],
        "status": ["status", *home],
        "doctor": ["doctor", *home],
        "rules import": ["rules", "import", str(spreadsheet), "--out", str(tmp_path / "rules.yaml")],
        "rules log": ["rules", "log", "c000001", *source, *sheet],
        "rules test": ["rules", "test", *source, *sheet],
        "rules learn": ["rules", "learn", *source, *sheet],
        "rules goal": ["rules", "goal", "--wins", "5", *source, *sheet],
    }

    said: dict[str, Any] = {name: leadline(*words, "--json") for name, words in typed.items()}

    # These have tests of their own, with what they need: more history, two batches, an export, a HubSpot, no network.
    elsewhere = ["backtest", "demo", "erase", "features write", "map", "tune", "why", "writeback"]
    assert sorted([*typed, *elsewhere]) == sorted(json_commands(main))
    for name, result in said.items():
        assert json.loads(result.stdout) is not None, name
        assert result.stderr == "", name
    verdicts = [(one["question"], one["use"]) for one in json.loads(said["train"].stdout)]
    assert verdicts == [("contacts", "base_rate"), ("deals", "stage_rate")]
    again = json.loads(said["run"].stdout)
    assert (again["batch_id"], again["already_published"], again["trained"]) == (tiny.batch_id, True, [])


def test_a_run_again_publishes_nothing_new_and_says_so(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)

    result = leadline("run", "--config", own.config, "--home", own.home)

    assert result.exit_code == 0
    assert f"Batch   {tiny.batch_id} (already published, nothing changed)" in result.stdout
    assert f"leadline export contacts --home {own.home}" in result.stdout
    assert "Learning" not in result.stderr
