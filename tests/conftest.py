"""What every test runs under, and one small home that is trained once for all tests that only read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# Before anything heavy is imported: spinning threads make training many times slower on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Whoever runs the tests may have a Leadline of their own.
for name in ("LEADLINE_HOME", "LEADLINE_STORE_URL"):
    os.environ.pop(name, None)

if TYPE_CHECKING:
    from features.engines.spark import SparkEngine
    from tests.flows.commands import Installed


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A home in which ``leadline run`` ran once; copy it before changing anything in it."""
    from tests.flows.commands import install

    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As ``installed``, with as little data as can be learnt from; a run in it takes a second or two."""
    from tests.flows.commands import TINY, install

    return install(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    """Spark on two processors of this machine, with batches so small that objects are cut between them."""
    from features.engines.spark import SparkEngine
    from features.engines.spark_session import SparkSettings, SparkUnavailableError, open_session, require_spark

    try:
        require_spark()
    except SparkUnavailableError as error:
        pytest.fail(f"{error}; for the tests, run `make setup services`")
    settings = SparkSettings(
        master="local[2]",
        partitions=2,
        rows_at_once=16,
        conf={
            "spark.driver.memory": "512m",
            "spark.sql.execution.arrow.maxRecordsPerBatch": 20,
            # Half the processor time goes into compiling what then runs on a few rows.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
            "spark.sql.codegen.wholeStage": False,
            "spark.sql.adaptive.enabled": False,
        },
    )
    folder = tmp_path_factory.mktemp("spark")
    session = open_session(settings, scratch=folder / "scratch")
    yield SparkEngine(settings=settings, exchange=folder / "exchange", scratch=folder / "scratch")
    session.stop()
