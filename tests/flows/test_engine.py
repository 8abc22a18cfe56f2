"""The engine that the configuration names: whichever it is, the same is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.engines.engine import LocalEngine
from features.engines.spark import SparkEngine
from tests.flows.commands import END, TINY, Installed, leadline, leadline_json, write_config

ON_SPARK = TINY + "engine: spark\nspark: {master: 'local[2]', partitions: 2}\n"


@pytest.fixture
def on_spark(tmp_path: Path, tiny: Installed) -> Installed:
    """A home trained by this machine, and a configuration that asks for Spark."""
    return replace(tiny.copied_to(tmp_path), config=write_config(tmp_path, ON_SPARK))


def test_the_engine_is_the_configured_one(tmp_path: Path, tiny: Installed, on_spark: Installed) -> None:
    shared = write_config(tmp_path / "shared", f"engine: spark\nspark: {{exchange: {tmp_path / 'nfs'}}}\n")

    assert isinstance(tiny.workplace.engine(), LocalEngine)
    chosen = on_spark.workplace.engine()
    assert isinstance(chosen, SparkEngine)
    assert (chosen.exchange, chosen.scratch) == (on_spark.home / "work" / "spark", on_spark.home / "spark")
    elsewhere = replace(on_spark, config=shared).workplace.engine()
    assert isinstance(elsewhere, SparkEngine)
    assert (elsewhere.exchange, elsewhere.scratch) == (tmp_path / "nfs", on_spark.home / "spark")


def test_scoring_on_spark_publishes_the_batch_that_this_machine_published(
    spark: SparkEngine, on_spark: Installed
) -> None:
    said = leadline_json("score", "--config", on_spark.config, "--home", on_spark.home, "--as-of", END.isoformat())

    assert (said["batch_id"], said["already_published"]) == (on_spark.batch_id, True)
    # Spark was asked, and what was handed over is gone
    assert list((on_spark.home / "work" / "spark").iterdir()) == []


@pytest.mark.slow
def test_training_on_spark_gives_the_model_that_this_machine_gave(
    tmp_path: Path, spark: SparkEngine, tiny: Installed
) -> None:
    config, home = write_config(tmp_path, ON_SPARK), tmp_path / "home"

    said = leadline_json("run", "--config", config, "--home", home)

    assert said["batch_id"] == tiny.batch_id
    assert [one["version"] for one in said["trained"]] == [one["version"] for one in tiny.said["trained"]]


def test_without_java_the_command_says_what_to_install(
    tmp_path: Path, on_spark: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    result = leadline("score", "--config", on_spark.config, "--home", on_spark.home, "--as-of", END.isoformat())

    assert result.exit_code == 1
    assert "no java was found; install it (on Debian: apt-get install default-jre-headless)" in " ".join(
        result.stderr.split()
    )
