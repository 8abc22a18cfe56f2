from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from flows.config_file import ConfigurationError
from flows.places import store_url
from flows.settings import (
    CONFIGS,
    FolderSettings,
    Settings,
    SyntheticSourceSettings,
    load_rule_file,
    load_rules,
    load_settings,
    resolve,
)
from models.rules.sheet import PointRules
from tests.flows.commands import leadline, write_config

SECRET = "hunter2-canary"


def keys(content: Any, prefix: str = "") -> set[str]:
    """Return the dotted names of all keys, at every depth."""
    if isinstance(content, BaseModel):
        content = {name: getattr(content, name) for name in type(content).model_fields}
    if not isinstance(content, dict):
        return {prefix}
    return {key for name, part in content.items() for key in keys(part, f"{prefix}.{name}".lstrip("."))}


def refusal(folder: Path, text: str) -> str:
    """Return what is said of a configuration that must be refused."""
    config = write_config(folder, text)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(config)

    message = str(caught.value)
    assert message.startswith(str(config))
    return message


def rules_refusal(folder: Path, text: str) -> str:
    sheet = folder / "rules.yaml"
    sheet.write_text(text, encoding="utf-8")
    config = write_config(folder, f"point_rules: {sheet}\n")

    with pytest.raises(ConfigurationError) as caught:
        load_rules(load_settings(config), config=config)

    message = str(caught.value)
    assert message.startswith(str(sheet))
    return message


def test_base_yaml_says_every_default() -> None:
    assert load_settings(CONFIGS / "base.yaml") == Settings()


def test_base_yaml_names_every_key_and_no_other() -> None:
    written = yaml.safe_load((CONFIGS / "base.yaml").read_text(encoding="utf-8"))

    assert keys(written) == keys(Settings())


@pytest.mark.parametrize("name", ["base", "demo", "bpic2012", "bank_marketing"])
def test_shipped_configurations_load_with_their_rules(name: str) -> None:
    file = CONFIGS / f"{name}.yaml"

    settings = load_settings(file)
    rules = load_rules(settings, config=file)

    assert bool(rules.criteria) == (name in ("demo", "bank_marketing"))


def test_every_shipped_configuration_is_among_the_tested() -> None:
    shipped = {file.stem for file in CONFIGS.iterdir()}

    assert shipped == {"base", "demo", "bpic2012", "bank_marketing", "bank_marketing_rules", "point_rules"}


def test_an_empty_file_means_all_defaults(tmp_path: Path) -> None:
    assert load_settings(write_config(tmp_path, "# nothing to change\n")) == Settings()


def test_a_key_alone_does_not_reset_the_keys_beside_it(tmp_path: Path) -> None:
    settings = load_settings(
        write_config(tmp_path, "deals: {booster: {trees: 9}}\ncontacts: {small_booster: {l2: 2}}\n")
    )

    default = Settings()
    assert settings.deals.booster == default.deals.booster.model_copy(update={"trees": 9})
    assert settings.contacts.small_booster == default.contacts.small_booster.model_copy(update={"l2": 2.0})
    assert settings.contacts.booster == default.contacts.booster


def test_each_kind_of_source_has_its_own_defaults(tmp_path: Path) -> None:
    folder = load_settings(write_config(tmp_path, "source: {kind: folder}\n"))
    invented = load_settings(write_config(tmp_path, "source: {kind: synthetic, contacts: 60}\n"))

    assert folder.source == FolderSettings(kind="folder", path=None)
    assert invented.source == SyntheticSourceSettings(kind="synthetic", contacts=60)


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("horizon_day: 30\n", "horizon_day", "horizon_days"),
        ("contacts: {boster: {trees: 3}}\n", "contacts.boster", "booster"),
        ("contacts: {booster: {tres: 3}}\n", "contacts.booster.tres", "trees"),
        ("properties: {contacts: {save: [a]}}\n", "properties.contacts.save", "safe"),
        ("source: {kind: folder, pth: x}\n", "source.pth", "path"),
        ("source: {kind: synthetic, contcts: 90}\n", "source.contcts", "contacts"),
        # Named like a kind of source, which pydantic puts into its own paths.
        ("folder: x\n", "folder", "ladder"),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_known_named(tmp_path: Path, text: str, key: str, near: str) -> None:
    message = refusal(tmp_path, text)

    assert f"unknown key {key!r}; did you mean {near!r}?" in message


def test_an_unknown_key_like_no_other_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    message = refusal(tmp_path, "synthetic: {seed: 1}\n")

    assert "unknown key 'synthetic'; known are" in message
    assert "horizon_days" in message


def test_all_unknown_keys_are_named_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "titel: x\nhorizon: 30\n")

    assert "did you mean 'title'?" in message
    assert "did you mean 'horizon_days'?" in message


def test_an_unknown_key_in_the_rule_sheet_is_named_with_its_place(tmp_path: Path) -> None:
    text = "fit: {cap: 50, criteria: [{name: A, activity: call, points: 3, wihtin_days: 30}]}\n"

    message = rules_refusal(tmp_path, text)

    assert "unknown key 'fit.criteria.0.wihtin_days'; did you mean 'within_days'?" in message


def test_a_criterion_without_a_subject_is_refused_by_its_name(tmp_path: Path) -> None:
    message = rules_refusal(tmp_path, "fit: {criteria: [{name: Nothing asked, points: 3}]}\n")

    assert "'Nothing asked' must name exactly one of property, company_property, activity" in message


SHEET = """\
fit:
  cap: 50
  criteria:
    - {name: Toys, property: industry, is: toys, points: 5}
    - name: Called
      activity: call
      within_days: 30
      points: {points}
{more}
"""


@pytest.mark.parametrize(
    ("points", "more", "told"),
    [
        ("many", "", "line 8: 'fit.criteria.1.points': must be a number (found 'many')"),
        (".nan", "", "line 8: 'fit.criteria.1.points': must be a finite number (found nan)"),
        ("3\n      half_life_days: 30", "", "line 5: 'fit.criteria.1': criterion 'Called' may have"),
        ("3\n      per_events: true", "", "line 9: unknown key 'fit.criteria.1.per_events'; did you mean 'per_event'?"),
        ("3", "  color: red", "line 9: unknown key 'fit.color'"),
        ("3", "thresholds_: {mql: 50}", "line 9: unknown key 'thresholds_'; did you mean 'thresholds'?"),
        ("3", "high_from: 50", "line 9: unknown key 'high_from'; did you mean 'thresholds: {mql: ...}'?"),
        ("3", "thresholds: {mql: 50, sql: 20}", "line 9: 'thresholds': sql must not lie below mql"),
        (
            "3",
            "own: {criteria: [{name: A, deal: opened, points: 3}]}",
            "line 9: 'own.criteria.0.deal': must be 'open', 'won' or 'lost' (found 'opened')",
        ),
        (
            "3",
            "own: {criteria: [{name: A, property: b, is: [1], points: 3}]}",
            "line 9: 'own.criteria.0.is': must be text",
        ),
        ("3", "own: {criteria: [{name: Toys, property: b, is: 1, points: 3}]}", "no two criteria may have the same"),
    ],
)
def test_what_is_wrong_with_a_rule_sheet_is_told_with_line_and_key(
    tmp_path: Path, points: str, more: str, told: str
) -> None:
    message = rules_refusal(tmp_path, SHEET.replace("{points}", points).replace("{more}", more))

    assert told in message
    assert message.count("line ") == 1


def test_groups_may_have_any_name(tmp_path: Path) -> None:
    sheet = tmp_path / "rules.yaml"
    sheet.write_text("accounts we want: {criteria: [{name: A, company_property: size, is: big, points: 3}]}\n")

    rules = load_rule_file(sheet)

    assert [name for name, _ in rules.groups()] == ["fit", "engagement", "accounts we want"]
    assert [criterion.name for criterion in rules.criteria] == ["A"]


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("horizon_days: soon\n", "horizon_days", "'soon'"),
        ("horizon_days: 0\n", "horizon_days", "0"),
        ("horizon_days: .inf\n", "horizon_days", "inf"),
        ("retrain_after_days: .nan\n", "retrain_after_days", "nan"),
        ("questions: [leads]\n", "questions.0", "'leads'"),
        ("questions: []\n", "questions", "[]"),
        ("contacts: {booster: {trees: many}}\n", "contacts.booster.trees", "'many'"),
        ("properties: {deals: {safe: amount}}\n", "properties.deals.safe", "'amount'"),
        ("source: {kind: synthetic, contacts: 3}\n", "source.contacts", "3"),
        ("source: {kind: synthetic, end: 2026-01-01T00:00:00}\n", "source.end", "2026"),
        ("source: {kind: salesforce}\n", "source", "salesforce"),
        ("source: {path: data}\n", "source", "data"),
        ("source: data\n", "source", "'data'"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(tmp_path: Path, text: str, key: str, found: str) -> None:
    message = refusal(tmp_path, text)

    assert f"{key!r}: " in message
    assert found in message.split(f"{key!r}: ", 1)[1]


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "title: A\nhorizon_days: [1\nseed: 3\n")

    assert "line 3, column " in message


@pytest.mark.parametrize(
    ("text", "line"), [("title: A\ntitle: B\n", 2), ("gate:\n  min_ratio: 0.8\n  min_ratio: 0.9\n", 3)]
)
def test_a_key_given_twice_is_refused_instead_of_losing_the_first(tmp_path: Path, text: str, line: int) -> None:
    message = refusal(tmp_path, text)

    assert f"line {line}, column " in message
    assert "twice" in message


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "? [1, 2]\n: 3\n", "1: 2\n"])
def test_a_file_that_holds_no_keys_and_values_is_refused(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: no such file; name one with --config"):
        load_settings(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"title: \xff\xfe\n")

    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_settings(file)


def test_a_missing_rule_sheet_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path, "point_rules: sheets/nowhere.yaml\n")

    with pytest.raises(ConfigurationError, match=r"sheets/nowhere\.yaml: no such file"):
        load_rules(load_settings(config), config=config)


def test_no_rule_sheet_means_no_criteria(tmp_path: Path) -> None:
    config = write_config(tmp_path, "title: A\n")

    assert load_rules(load_settings(config), config=config) == PointRules()


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {canary}']",
        "!!python/object/new:os.system ['touch {canary}']",
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{canary}']]",
        "!!python/name:os.system",
        "!!python/module:os",
    ],
)
def test_yaml_cannot_run_anything(tmp_path: Path, tag: str) -> None:
    canary = tmp_path / "canary"

    message = refusal(tmp_path, f"title: {tag.format(canary=canary)}\n")
    in_rules = rules_refusal(tmp_path, f"fit: {tag.format(canary=canary)}\n")

    assert "line 1" in message
    assert "line 1" in in_rules
    assert not canary.exists()


def test_a_path_is_found_beside_or_above_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "configs").mkdir(parents=True)
    config = project / "configs" / "own.yaml"
    (project / "configs" / "beside.yaml").touch()
    (project / "above.yaml").touch()
    monkeypatch.chdir(tmp_path)

    assert resolve(Path("beside.yaml"), config=config).resolve() == (project / "configs" / "beside.yaml").resolve()
    assert resolve(Path("above.yaml"), config=config).resolve() == (project / "above.yaml").resolve()
    assert resolve(Path("nowhere.yaml"), config=config) == Path("nowhere.yaml")


def test_the_working_directory_goes_before_the_configurations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "rules.yaml").touch()
    (tmp_path / "rules.yaml").touch()
    monkeypatch.chdir(tmp_path)

    assert resolve(Path("rules.yaml"), config=tmp_path / "configs" / "own.yaml") == Path("rules.yaml")


def test_the_score_store_is_a_file_under_home_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store_url(tmp_path).get_secret_value() == f"sqlite:///{tmp_path / 'scores.db'}"

    monkeypatch.setenv("LEADLINE_STORE_URL", f"postgresql+psycopg://u:{SECRET}@db/scores")

    assert store_url(tmp_path).get_secret_value().endswith("@db/scores")
    assert SECRET not in repr(store_url(tmp_path)) + str(store_url(tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        # Nothing listens on port 1.
        f"postgresql+psycopg://leadline:{SECRET}@127.0.0.1:1/scores?connect_timeout=2",
        f"postgresql+psycopg://leadline@127.0.0.1:1/scores?connect_timeout=2&password={SECRET}",
        f"postgresql+psycopg://leadline:{SECRET}@@127.0.0.1/scores",
        f"postgresql+psycopg://leadline:{SECRET}@127.0.0.1:port/scores",
        f"mysql://leadline:{SECRET}@127.0.0.1/scores",
        f"leadline:{SECRET}",
    ],
)
@pytest.mark.parametrize("command", ["status", "doctor", "export contacts --out x.csv", "report"])
def test_the_stores_password_is_in_no_message_and_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, command: str
) -> None:
    monkeypatch.setenv("LEADLINE_STORE_URL", url)
    caplog.set_level(logging.DEBUG)

    result = leadline(*command.split(), "--home", tmp_path / "home")

    assert result.exit_code == 1
    assert SECRET not in result.output + caplog.text
    assert os.environ["LEADLINE_STORE_URL"] == url
