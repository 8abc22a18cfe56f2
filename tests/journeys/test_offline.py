"""The demo in a network namespace of its own, where even the loopback device is down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Unix sockets reach no further than this machine.
DEMO = """
import json, socket, sys
asked = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        sock = arguments[0]
        if getattr(sock, "family", None) != socket.AF_UNIX:
            asked.append([event, str(arguments[1:] if hasattr(sock, "family") else arguments)])
sys.addaudithook(watch)
from flows.cli import main
try:
    main(["demo", "--contacts", "200", "--home", sys.argv[1], "--json"])
finally:
    print(json.dumps(asked), file=sys.stderr)
"""


def isolated(*command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        ["unshare", "--net", *command], env=kept, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0,
    reason="a network namespace needs unshare(1) and root",
)
def test_the_demo_works_without_any_network_and_asks_for_none(tmp_path: Path) -> None:
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"
    cut_off = isolated(sys.executable, "-c", reach)
    assert "Network is unreachable" in cut_off.stderr

    result = isolated(sys.executable, "-c", DEMO, str(tmp_path / "home"))

    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert Path(said["report"]).exists()
    assert said["rows"]["contacts"] >= 200
    # Where a script reads the answer, nothing else is told: the only line is ours.
    assert json.loads(result.stderr) == []
