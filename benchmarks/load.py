"""Many clients page through the scores while batches are published, beside an empty route of the same server.

Every client walks whole batches page by page and checks each walk: one batch only, every id once, as many as that batch
has. Between two walks it asks for one object and for the changes since its last visit. The server, the clients and the
publisher are a process each. The empty route is a FastAPI route that returns nothing, behind the same server software,
asked by the same clients right before: what it takes is the price of Python, and of this machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._measure import write_json

SIZES = {"small": (10, 5.0, 2_000), "full": (50, 60.0, 20_000)}
CONTENDERS = "benchmarks._load_contenders"


def main() -> None:
    """Ask the empty route, then the service while it is published to, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--postgresql", help="The URL of an empty PostgreSQL store to measure as well.")
    options = parser.parse_args()
    clients, seconds, rows = SIZES[options.size]
    results = []
    with tempfile.TemporaryDirectory() as name:
        stores = {"SQLite": f"sqlite:///{name}/scores.db"}
        if options.postgresql:
            stores["PostgreSQL"] = options.postgresql
        for database, url in stores.items():
            results.append({"database": database} | _measured(Path(name), url, clients, seconds, rows))
            _show(results[-1])
    write_json(options.json, results)


def _measured(folder: Path, url: str, clients: int, seconds: float, rows: int) -> dict[str, Any]:
    told: dict[str, Any] = {"clients": clients, "seconds": seconds, "rows": rows}
    with _process("empty") as empty:
        told["empty"] = _asked("ask_empty", _address(empty), str(clients), str(max(2.0, seconds / 4)))
    subprocess.run([sys.executable, "-m", CONTENDERS, "first", str(folder), url, str(rows)], check=True)
    with _process("serve", str(folder), url) as service, _process("publish", url, str(rows)) as publisher:
        told["service"] = _asked("ask_service", _address(service), str(clients), str(seconds), str(folder))
        status = Path(f"/proc/{service.pid}/status").read_text(encoding="utf-8")
        told["megabytes"] = next(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line)
        publisher.terminate()
        told["published"] = len(publisher.communicate()[0].splitlines())
    return told


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", CONTENDERS, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return next(word for word in process.stdout.readline().split() if word.startswith("http"))


def _asked(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", CONTENDERS, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _show(one: dict[str, Any]) -> None:
    service = one["service"]
    print(
        f"\n{one['database']}: {one['clients']} clients for {one['seconds']:g} s, {one['published']} batches published"
    )
    print(
        f"{service['walks']} whole walks of about {one['rows']:,} rows, {service['errors']} errors, "
        f"{service['mixes']} walks that saw a mix; the server took {one['megabytes']:.0f} MB at most"
    )
    print(f"{'':28}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'x empty':>9}")
    empty = one["empty"]["empty route"]
    for name, told in (one["empty"] | service["kinds"]).items():
        ratio = told["p99"] / empty["p99"]
        print(f"{name:28}{told['rate']:12.0f}{1000 * told['p50']:9.1f}{1000 * told['p99']:9.1f}{ratio:9.1f}")


if __name__ == "__main__":
    main()
