from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from flows import doctor
from tests.flows.commands import leadline, leadline_json


def broken(said: list[dict[str, object]]) -> dict[str, str]:
    return {str(one["what"]): str(one["found"]) for one in said if not one["ok"]}


def test_an_installation_that_can_work_is_told_so_for_an_empty_home(tmp_path: Path) -> None:
    result = leadline("doctor", "--home", tmp_path / "home")
    said = leadline_json("doctor", "--home", tmp_path / "home")

    assert result.exit_code == 0
    assert "BROKEN" not in result.stdout
    found = {one["what"]: one["found"] for one in said}
    assert found["score store answers"] == "0 batches"
    assert found["lightgbm"] == importlib.metadata.version("lightgbm")
    assert found["configs/base.yaml"] == "valid"
    assert broken(said) == {}


def test_a_broken_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "base.yaml").write_text("titel: x\n", encoding="utf-8")
    monkeypatch.setattr(doctor, "CONFIGS", configs)

    result = leadline("doctor", "--home", tmp_path / "home")

    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    assert "did you mean 'title'?" in " ".join(one.found for one in doctor.examine(tmp_path / "home"))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("pandas", "leadline-none"))

    said = [one.to_dict() for one in doctor.examine(tmp_path / "home")]

    assert broken(said) == {"leadline-none": "not installed; run make setup"}


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()

    result = leadline("doctor", "--home", in_the_way / "home")

    assert result.exit_code == 1
    assert "choose another with --home" in " ".join(result.stdout.split())


def test_a_configuration_that_asks_for_spark_needs_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "base.yaml").write_text("engine: spark\n", encoding="utf-8")
    monkeypatch.setattr(doctor, "CONFIGS", configs)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    said = [one.to_dict() for one in doctor.examine(tmp_path / "home")]

    assert list(broken(said)) == ["configs/base.yaml"]
    assert "no java was found; install it" in broken(said)["configs/base.yaml"]
