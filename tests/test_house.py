"""The walls of the house, checked on the source itself: what imports cannot say is said here."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).resolve().parents[1]
PACKAGES = ("features", "models", "serving", "flows")
BELOW_FLOWS = PACKAGES[:3]
VAGUE_NAMES = {"utils", "common", "helpers", "core", "manager"}
HEAVY_LIBRARIES = ("pandas", "lightgbm", "mlflow", "prefect", "matplotlib", "sqlalchemy")
LIBRARIES_OF_MODELS = ("lightgbm", "mlflow", "numba", "prefect", "scipy", "sklearn", "matplotlib", "flows.settings")
MOST_LINES = 400

CLOCKS = re.compile(
    r"(datetime|time|pandas|numpy|sqlalchemy)\..*\b(now|utcnow|today|current_timestamp|current_date|current_time)"
    r"|time\.(time|time_ns|localtime|gmtime|ctime|strftime)"
)
CLOCK_WORDS = {"now", "today"}
READS_TIMES = re.compile(r"(pandas\.(Timestamp|to_datetime|DatetimeIndex)|numpy\.datetime64)")


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((HOUSE / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def imports(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yield (local name, full dotted name, line) for every absolute import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                yield local, alias.name if alias.asname else local, node.lineno
                yield "", alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}", node.lineno


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Spell an attribute chain with the names its imports gave it: ``pd.Timestamp`` is ``pandas.Timestamp``."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        below = dotted(node.value, names)
        return f"{below}.{node.attr}" if below else ""
    return ""


def clock_readings(source: str) -> list[int]:
    """Return the lines that ask the clock, by call, by reference, by import or by the word "now"."""
    tree = ast.parse(source)
    names = {local: full for local, full, _ in imports(tree) if local}
    lines = {line for _, full, line in imports(tree) if CLOCKS.fullmatch(full)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and CLOCKS.fullmatch(dotted(node, names)):
            lines.add(node.lineno)
        if isinstance(node, ast.Call) and READS_TIMES.fullmatch(dotted(node.func, names)):
            words = {value.value for value in node.args if isinstance(value, ast.Constant)}
            if words & CLOCK_WORDS:
                lines.add(node.lineno)
    return sorted(lines)


def imported_from(packages: tuple[str, ...], forbidden: set[str]) -> list[str]:
    found = []
    for path in modules(*packages):
        for _, full, line in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if any(full == name or full.startswith(f"{name}.") for name in forbidden):
                found.append(f"{name_of(path)}:{line} {full}")
    return sorted(set(found))


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=HOUSE, capture_output=True, text=True, check=False)


def project() -> dict[str, Any]:
    with (HOUSE / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def key_lines_without_comment(text: str) -> list[str]:
    """Return the lines of a YAML text that open a key and do not follow a comment line directly."""
    lines = text.splitlines()
    bare = []
    for before, line in zip(["", *lines], lines, strict=False):
        if re.match(r"\s*(- )?[\w-]+:(\s|$)", line) and not before.lstrip().startswith("#"):
            bare.append(line)
    return bare


def command_names(group: Any, prefix: str = "") -> list[str]:
    """Return every command below a click group, as typed after ``leadline``."""
    import click

    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append(f"{prefix}{name}")
        if isinstance(command, click.Group):
            found.extend(command_names(command, f"{prefix}{name} "))
    return found


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\nx = datetime.now()",
        "import datetime as d\nx = d.datetime.now(tz=d.UTC)",
        "from datetime import datetime as D\nx = D.utcnow()",
        "from datetime import date\nx = date.today()",
        "import time\nx = time.time()",
        "x = 0\nfrom time import time_ns",
        "import pandas as pd\nx = pd.Timestamp.now('UTC')",
        "import pandas as pd\nx = pd.to_datetime('now')",
        "import numpy as np\nx = np.datetime64('today')",
        "from sqlalchemy import func\nx = func.now()",
        "from datetime import datetime\nfactory = datetime.now",
    ],
)
def test_the_clock_check_sees_every_way_to_ask(source: str) -> None:
    assert clock_readings(source) == [2]


@pytest.mark.parametrize(
    "source",
    [
        "def run(now): return now",
        "from datetime import datetime\nx = datetime.fromisoformat('2026-01-01')",
        "import time\nx = time.monotonic()",
        "import pandas as pd\nx = pd.Timestamp('2026-01-01')",
    ],
)
def test_the_clock_check_leaves_times_that_are_arguments_alone(source: str) -> None:
    assert clock_readings(source) == []


def test_nothing_below_flows_asks_the_clock() -> None:
    found = [
        f"{name_of(path)}:{line}"
        for path in modules(*BELOW_FLOWS)
        for line in clock_readings(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_nothing_imports_pickle_or_joblib() -> None:
    assert imported_from(PACKAGES, {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve"}) == []


def test_the_standard_http_client_is_used_only_by_sources_and_write_back() -> None:
    allowed = ("features/sources/", "serving/writeback")

    found = imported_from(PACKAGES, {"urllib.request", "http.client"})

    assert [line for line in found if not line.startswith(allowed)] == []


def test_every_package_says_its_job_and_nothing_else() -> None:
    packages = [path for path in modules(*PACKAGES) if path.name == "__init__.py"]

    assert {path.parent.name for path in packages} >= set(PACKAGES)
    for path in packages:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
        assert len(tree.body) == 1, f"{name_of(path)} holds more than its docstring"


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in modules(*PACKAGES, "tests")}

    assert [name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_module_has_a_docstring() -> None:
    bare = [path for path in modules(*PACKAGES) if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]

    assert [name_of(path) for path in bare] == []


def test_no_module_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*PACKAGES)}

    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_modules_are_named_after_their_subject() -> None:
    assert [
        name_of(path) for path in modules(*PACKAGES) if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES
    ] == []


def test_import_contracts_hold() -> None:
    program = (
        "import sys; from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(config_filename='pyproject.toml', no_cache=True, no_logo=True))"
    )

    run = run_python(program)

    assert run.returncode == 0, run.stdout + run.stderr


def test_each_wall_of_the_design_has_a_contract() -> None:
    contracts = {contract["id"] for contract in project()["tool"]["importlinter"]["contracts"]}

    assert contracts == {"downward", "prefect", "terminal", "mlflow", "yaml", "http", "fastapi"}


def test_the_lock_names_no_address_and_hashes_every_package() -> None:
    lines = (HOUSE / "requirements.lock").read_text(encoding="utf-8").splitlines()
    packages = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z0-9]", line)]

    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    assert [lines[number] for number in packages if "==" not in lines[number]] == []
    assert [lines[number] for number in packages if "--hash=sha256:" not in lines[number + 1]] == []


def test_the_lock_pins_each_direct_dependency() -> None:
    lock = (HOUSE / "requirements.lock").read_text(encoding="utf-8")
    pinned = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)}
    declared = project()["project"]

    wanted = declared["dependencies"] + declared["optional-dependencies"]["dev"]
    names = {normal(re.match(r"[A-Za-z0-9._-]+", each)[0]) for each in wanted}  # type: ignore[index]

    assert names - pinned == set()


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    """And the service without those of the models, with a configuration or without: they are half of its memory."""
    program = f"""
import sys, flows.cli
print([name for name in {HEAVY_LIBRARIES!r} if name in sys.modules])
import flows.service
print([name for name in {LIBRARIES_OF_MODELS!r} if name in sys.modules])
"""

    run = run_python(program)

    assert (run.returncode, run.stdout.split()) == (0, ["[]", "[]"]), run.stderr


def test_every_command_is_named_in_the_readme() -> None:
    from flows.cli import main

    readme = (HOUSE / "README.md").read_text(encoding="utf-8")
    commands = command_names(main)

    assert commands
    for command in commands:
        verb, *rest = command.split()
        assert re.search(rf"\bleadline {verb}\b", readme), f"README.md does not name leadline {verb}"
        for word in rest:
            assert re.search(rf"\bleadline {verb}\b.*\b{word}\b", readme), f"README.md does not name leadline {command}"


def test_every_setting_is_explained_where_it_stands() -> None:
    text = (HOUSE / "configs" / "base.yaml").read_text(encoding="utf-8")

    assert text.strip()
    assert key_lines_without_comment(text) == []


def test_every_make_target_is_explained_by_make_help() -> None:
    makefile = (HOUSE / "Makefile").read_text(encoding="utf-8")
    targets = {"setup", "demo", "test", "check", "format", "bench", "slow", "clean", "services", "help"}

    help_text = subprocess.run(["make", "help"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout

    assert set(re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[0].split()) == targets
    assert {line.split()[0] for line in help_text.splitlines() if line.strip()} >= targets
