"""The session with Spark: what it needs here, and how it is told."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from pydantic import ValidationError

from features.engines.spark import SparkEngine
from features.engines.spark_session import (
    SparkSettings,
    SparkUnavailableError,
    open_session,
    prepare_environment,
    require_spark,
)


def java_in(folder: Path, *, says: str) -> Path:
    """Install a java that can do nothing but tell its version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n", encoding="utf-8")
    program.chmod(0o755)
    return folder


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "pyspark" else ModuleSpec(name, None)

    monkeypatch.setattr(importlib.util, "find_spec", find)

    with pytest.raises(SparkUnavailableError, match=r"run pip install 'leadline\[spark\]'"):
        require_spark()


def test_without_java_it_is_said_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SparkUnavailableError, match=r"no java was found; install it .* default-jre-headless"):
        require_spark()


@pytest.mark.parametrize(
    ("says", "refused_as"),
    [
        ('openjdk version "17.0.15" 2025-04-15', None),
        ('openjdk version "21" 2023-09-19', None),
        ('openjdk version "22-ea" 2024-03-19', None),
        ('openjdk version "11.0.2" 2019-01-15', "Java 11"),
        ('java version "1.8.0_202"', "Java 1"),
        ("no java at all", "Java of an unknown version"),
    ],
)
def test_java_must_be_17_or_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, refused_as: str | None
) -> None:
    home = java_in(tmp_path / "java", says=says)
    monkeypatch.setenv("JAVA_HOME", str(home))

    if refused_as is None:
        require_spark()
    else:
        with pytest.raises(SparkUnavailableError, match=f"{home}/bin/java is {refused_as};"):
            require_spark()


def test_settings_that_spark_would_ignore_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"begin with 'spark\.', found 'executor\.memory'"):
        SparkSettings(conf={"executor.memory": "4g"})


def test_a_session_reads_utc_tells_case_apart_and_follows_the_settings(spark: SparkEngine) -> None:
    session = open_session(spark.settings, scratch=spark.scratch)

    assert session is open_session(spark.settings, scratch=spark.scratch)
    assert session.conf.get("spark.sql.session.timeZone") == "UTC"
    assert session.conf.get("spark.sql.caseSensitive") == "true"
    assert session.conf.get("spark.sql.shuffle.partitions") == "2"
    assert session.conf.get("spark.sql.adaptive.enabled") == "false"
    assert session.sparkContext.getConf().get("spark.local.dir") == str(spark.scratch)


@pytest.mark.parametrize(
    ("master", "before", "after"),
    [
        ("local[2]", None, "127.0.0.1"),
        # executors elsewhere could not reach a driver that listens to its own machine alone
        ("spark://cluster:7077", "127.0.0.1", None),
        ("spark://cluster:7077", "10.0.0.7", "10.0.0.7"),
        ("yarn", None, None),
    ],
)
def test_a_driver_listens_where_its_executors_are(
    monkeypatch: pytest.MonkeyPatch, master: str, before: str | None, after: str | None
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", "python2")
    monkeypatch.setenv("SPARK_LOCAL_IP", before or "")
    if before is None:
        monkeypatch.delenv("SPARK_LOCAL_IP")

    prepare_environment(SparkSettings(master=master))

    assert os.environ.get("SPARK_LOCAL_IP") == after
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
    prepare_environment(SparkSettings(master=master, python="/opt/leadline/bin/python"))
    assert os.environ["PYSPARK_PYTHON"] == "/opt/leadline/bin/python"
