"""The examples of docs/api.md, run as they stand there against a real service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serving.api.problems import PROBLEMS
from serving.contract import contract_of
from serving.export import export
from tests.serving.api.conftest import Running
from tests.serving.conftest import APRIL, make_batch

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(found)


def run(served: Running, folder: Path, *program: str) -> str:
    known = {"LEADLINE_URL": served.url, "LEADLINE_KEY": served.key("scores:read"), "PATH": os.environ["PATH"]}
    done = subprocess.run(program, cwd=folder, env=known, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_example_prints_each_change_once(small: Running, tmp_path: Path) -> None:
    small.store.publish(make_batch("b1"))
    text = example("python")

    first = run(small, tmp_path, sys.executable, "-c", text)
    again = run(small, tmp_path, sys.executable, "-c", text)
    small.store.publish(make_batch("b2", as_of=APRIL, contacts=make_batch(as_of=APRIL).frames["contacts"].iloc[:1]))
    after = run(small, tmp_path, sys.executable, "-c", text)

    assert (first, again, after) == ("updated 17 0.3\nupdated 9 0.3\n", "", "removed 17 None\n")
    assert len([line for line in text.splitlines() if line.strip()]) <= 11


def test_the_curl_example_writes_the_file_of_the_command_line(small: Running, tmp_path: Path) -> None:
    small.store.publish(make_batch())

    run(small, tmp_path, "sh", "-c", example("sh"))
    export(small.store, "deals", "latest", "csv", tmp_path / "ours.csv")

    # The key of the example does not open what says why.
    theirs, ours = ((tmp_path / name).read_text(encoding="utf-8").splitlines() for name in ("deals.csv", "ours.csv"))
    shut = contract_of("deals").explaining
    assert theirs[0].split(",") == [name for name in ours[0].split(",") if name not in shut]
    assert len(theirs) == 4


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_code_of_a_problem_is_explained(code: str) -> None:
    assert f"`{code}`" in PAGE.read_text(encoding="utf-8")
