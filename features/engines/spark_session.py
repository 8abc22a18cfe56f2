"""A session with Apache Spark: its settings, what must be installed for it, and how it is opened."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.errors import LeadScoringError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_OLDEST_JAVA: Final = 17
_CALLS: Final = ("at ", "... ", "Caused by", "JVM stacktrace")
_LOOPBACK: Final = "127.0.0.1"


class SparkSettings(BaseModel):
    """How Apache Spark is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    master: str = Field(
        default="local[*]", min_length=1, description="The cluster; local[*] is all processors of this machine."
    )
    python: str | None = Field(
        default=None, description="The Python on the executors, with Leadline installed; empty: the path of this one."
    )
    exchange: Path | None = Field(
        default=None,
        description="A folder for what goes to Spark and back, seen here and by all executors; empty: under --home.",
    )
    partitions: int | None = Field(
        default=None, ge=1, description="Parts that contacts or deals are divided into; empty: as Spark thinks best."
    )
    rows_at_once: int = Field(
        default=200_000, ge=1, description="Rows that a Python on an executor holds at once, if no object has more."
    )
    conf: dict[str, str | int | float | bool] = Field(
        default={}, description="Any further settings of Spark, such as spark.executor.memory."
    )

    @field_validator("conf")
    @classmethod
    def _named_as_spark_does(cls, conf: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        for key in conf:
            if not key.startswith("spark."):
                raise ValueError(f"settings of Spark begin with 'spark.', found {key!r}")
        return conf

    @property
    def is_local(self) -> bool:
        """Say whether Spark runs on this machine only."""
        return self.master.startswith("local")


class SparkUnavailableError(LeadScoringError):
    """Something that Spark needs is not installed here."""


class SparkFailedError(LeadScoringError):
    """Spark was reached and failed, or could not be reached."""

    def __init__(self, *, settings: SparkSettings, what: str, told: str) -> None:
        self.master = settings.master
        lines = [line.strip() for line in told.splitlines()]
        # What went wrong stands above Java's calls; in Python's part, which begins with the calls, last.
        reason = [line for line in lines if line and not line.startswith(_CALLS)] or ["it does not say why"]
        super().__init__(
            f"Spark at {settings.master} failed to {what}: {' ... '.join(dict.fromkeys([reason[0], reason[-1]]))}; "
            "docs/spark.md says what executors need; engine: local gives the same numbers on this machine"
        )


@contextmanager
def spark_failures(settings: SparkSettings, *, what: str) -> Iterator[None]:
    """Turn whatever Spark raises inside into ``SparkFailedError``."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise SparkFailedError(settings=settings, what=what, told=str(error)) from error


def require_spark() -> None:
    """Raise ``SparkUnavailableError``, which says what to install, unless Spark can run here."""
    if importlib.util.find_spec("pyspark") is None:
        raise SparkUnavailableError(
            "engine: spark needs the package pyspark, which is not installed; run pip install 'leadline[spark]', "
            "or set engine: local"
        )
    remedy = (
        "install it (on Debian: apt-get install default-jre-headless), set JAVA_HOME to where it lies, "
        "or set engine: local"
    )
    java = _java()
    if java is None:
        raise SparkUnavailableError(f"engine: spark needs Java {_OLDEST_JAVA} or 21, and no java was found; {remedy}")
    version = _java_version(java)
    if version < _OLDEST_JAVA:
        raise SparkUnavailableError(
            f"engine: spark needs Java {_OLDEST_JAVA} or 21, and {java} is Java {version or 'of an unknown version'}; "
            f"{remedy}"
        )


def open_session(settings: SparkSettings, *, scratch: Path) -> SparkSession:
    """Return the session of this process, opened if there is none yet; it ends with the process.

    ``scratch`` takes what Spark writes on this machine. What ``settings.conf`` says goes before our own choices.
    """
    require_spark()
    from pyspark.sql import SparkSession

    prepare_environment(settings)
    builder = SparkSession.builder.appName("leadline").master(settings.master)
    for key, value in (_our_conf(settings, scratch=scratch.resolve()) | settings.conf).items():
        builder = builder.config(key, str(value).lower() if isinstance(value, bool) else str(value))
    with spark_failures(settings, what="start"):
        return builder.getOrCreate()


def prepare_environment(settings: SparkSettings) -> None:
    """Set the variables that Spark reads when it starts."""
    # Otherwise the executors run whatever python3 they find.
    os.environ["PYSPARK_PYTHON"] = settings.python or sys.executable
    if settings.is_local:
        os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    elif os.environ.get("SPARK_LOCAL_IP") == _LOOPBACK:
        # Pandera sets it when it is imported, and no executor elsewhere could reach a driver there.
        del os.environ["SPARK_LOCAL_IP"]


def _our_conf(settings: SparkSettings, *, scratch: Path) -> dict[str, str | int | float | bool]:
    conf: dict[str, str | int | float | bool] = {
        "spark.sql.session.timeZone": "UTC",
        # Kinds of activity that differ in case alone are different kinds.
        "spark.sql.caseSensitive": True,
        # Times before 1900 mean what they say.
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": False,
        "spark.log.level": "ERROR",
    }
    if settings.partitions is not None:
        conf["spark.sql.shuffle.partitions"] = settings.partitions
    if settings.is_local:
        conf |= {
            "spark.driver.host": _LOOPBACK,
            "spark.driver.bindAddress": _LOOPBACK,
            "spark.local.dir": str(scratch),
        }
    return conf


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")


def _java_version(java: str) -> int:
    """Return the main version, 0 if it cannot be told."""
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - Java
    _, _, quoted = told.partition('version "')
    first = quoted.split(".")[0].split('"')[0].split("-")[0]
    return int(first) if first.isdigit() else 0
