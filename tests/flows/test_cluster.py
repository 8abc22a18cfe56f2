"""A cluster: a real one of Spark's own kind, with a master, a worker and executors in processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from features.engines.spark_session import require_spark
from tests.flows.commands import END, TINY, Installed, write_config

HOUSE = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(said: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while said not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{log.name} never said {said!r}:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Start a master and one worker on this machine, and return the master's address."""
    require_spark()
    import pyspark

    home = Path(pyspark.__file__).parent
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    options = {"master": ["--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]}
    options["worker"] = ["--host", "127.0.0.1", "--webui-port", "0", "--cores", "2", "--memory", "1g", address]
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_WORKER_DIR": str(tmp_path / "worker")}
    with ExitStack() as stack:
        for role, said in (("master", "I have been elected leader"), ("worker", "Successfully registered with master")):
            log = tmp_path / f"{role}.log"
            program = f"org.apache.spark.deploy.{role}.{role.title()}"
            process = subprocess.Popen(
                [home / "bin" / "spark-class", program, *options[role]],
                stdout=stack.enter_context(log.open("wb")),
                stderr=subprocess.STDOUT,
                env=environment,
            )
            stack.callback(process.wait, timeout=60)
            stack.callback(process.terminate)
            wait_for(said, log, process)
        yield address


@pytest.mark.slow
def test_scoring_on_a_cluster_publishes_the_batch_that_this_machine_published(
    tmp_path: Path, tiny: Installed, cluster: str
) -> None:
    home = tiny.copied_to(tmp_path).home
    # what an administrator would set: memory, and where Leadline lies on the executors
    settings = {
        "master": cluster,
        "exchange": str(tmp_path / "shared"),
        "conf": {"spark.executor.memory": "512m", "spark.executorEnv.PYTHONPATH": str(HOUSE)},
    }
    config = write_config(tmp_path, TINY + f"engine: spark\nspark: {json.dumps(settings)}\n")

    command = ["score", "--config", config, "--home", home, "--as-of", END.isoformat(), "--json"]

    done = subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *command],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batch_id"] == tiny.batch_id
    assert list((tmp_path / "shared").iterdir()) == []
    worked = [path for path in (tmp_path / "worker").rglob("stderr") if "Running task" in path.read_text()]
    assert worked, "no executor of the cluster ran a task"
