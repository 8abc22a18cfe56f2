from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from flows.cli import main
from flows.usage import Instant
from tests.flows.commands import END, TINY, contents, leadline, tiny_tables, write_config, write_csv


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Yield every group and command as it is typed."""
    yield before
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name)


def found(typed: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for name in typed:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command


ALL = list(commands(main))


@pytest.mark.parametrize("typed", ALL, ids=" ".join)
def test_every_command_explains_itself_and_its_options(typed: tuple[str, ...]) -> None:
    result = leadline(*typed, "--help")

    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert found(typed).help
    assert [one.name for one in found(typed).params if isinstance(one, click.Option) and not one.help] == []


def test_the_version_is_told() -> None:
    assert leadline("--version").stdout.startswith("leadline ")


@pytest.mark.parametrize(
    "typed",
    [
        "fly",
        "run",
        "run --config",
        "run --config x.yaml --fast",
        "check --config nowhere.yaml",
        "train --config nowhere.yaml",
        "score --config nowhere.yaml",
        "demo --contacts 10",
        "demo --contacts many",
        "export leads --out x.csv",
        "export contacts",
        "export contacts --format xlsx --out x.csv",
        "models",
        "models show leads",
        "models promote contacts",
    ],
)
def test_bad_usage_ends_with_two(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = leadline(*typed.split())

    assert result.exit_code == 2
    assert result.stderr
    assert contents(tmp_path) == {}


def test_a_bad_configuration_ends_with_two_and_makes_no_home(tmp_path: Path) -> None:
    config = write_config(tmp_path, "horizon_day: 30\n")

    result = leadline("run", "--config", config, "--home", tmp_path / "home")

    assert result.exit_code == 2
    assert result.stderr == f"error: {config}: line 1: unknown key 'horizon_day'; did you mean 'horizon_days'?\n"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("data", ["nowhere", "config.yaml"])
def test_a_folder_that_is_none_is_bad_usage(tmp_path: Path, data: str) -> None:
    config = write_config(tmp_path, "source: {kind: folder}\n")

    result = leadline("run", "--config", config, "--data", tmp_path / data, "--home", tmp_path / "home")

    assert result.exit_code == 2
    assert "--data" in result.stderr
    assert not (tmp_path / "home").exists()


def test_a_folder_source_without_a_folder_says_where_to_name_one(tmp_path: Path) -> None:
    result = leadline("check", "--config", write_config(tmp_path, "source: {kind: folder}\n"))

    assert result.exit_code == 2
    assert "'source.path' is empty; set it, or name a folder with --data" in result.stderr


def test_a_vouched_column_that_does_not_exist_is_a_bad_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, TINY + "properties: {contacts: {safe: [industri]}}\n")

    result = leadline("run", "--config", config, "--home", tmp_path / "home", "--json")

    assert result.exit_code == 2
    assert "properties.contacts.safe names 'industri'" in result.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("2026-01-31T12:00:00", "has no zone; add Z for UTC"),
        ("2026-01-31 12:00", "has no zone; add Z for UTC"),
        ("yesterday", "is no instant; write 2026-01-31 or 2026-01-31T12:00:00Z"),
        ("2026-02-30", "is no instant"),
        ("0001-01-01T00:00:00+01:00", "outside the years 1 to 9999"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check", "train", "score"])
def test_an_as_of_that_is_no_instant_is_refused_with_a_hint(
    tmp_path: Path, command: str, typed: str, hint: str
) -> None:
    result = leadline(command, "--config", write_config(tmp_path, TINY), "--as-of", typed)

    assert result.exit_code == 2
    assert typed in result.stderr
    assert hint in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("typed", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-01-31T00:00:00.000001-05:00", datetime(2026, 1, 31, 5, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_an_as_of_is_an_instant_in_utc_and_a_date_its_first(typed: str, instant: datetime) -> None:
    assert Instant().convert(typed, None, None) == instant


def test_a_home_that_cannot_be_made_is_told_without_a_traceback(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    folder = write_csv(tiny_tables(), tmp_path / "data")
    config = write_config(tmp_path, "source: {kind: folder}\n")

    result = leadline(
        "run", "--config", config, "--data", folder, "--as-of", END.isoformat(), "--home", in_the_way / "home"
    )

    assert result.exit_code == 1
    assert f"{in_the_way / 'home'} cannot be used" in result.stderr
    assert "--home" in result.stderr
