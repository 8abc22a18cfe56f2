"""A batch of contact scores published to a database and read by one client in each format, against the bare driver.

Publishing is set against the bare load of the same rows (executemany in SQLite, COPY in PostgreSQL); reading against a
dump of the same columns by the same driver in one process, with nothing made of them. Each contender is a process of
its own; the service is one too: its processor time is told beside the wall time, which a busy machine makes worthless,
and its peak memory is read when it has answered everything.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks._measure import whole_process, write_json

SIZES = {"small": 100_000, "full": 1_000_000}
CONTENDERS = "benchmarks._api_contenders"


def main() -> None:
    """Make the rows, publish them, read them in every way, and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--postgresql", help="The URL of an empty PostgreSQL store to measure as well.")
    options = parser.parse_args()
    rows = SIZES[options.size]
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole_process("rows", CONTENDERS, "make", str(folder), str(rows))
        stores = {"SQLite": f"sqlite:///{folder / 'scores.db'}"}
        if options.postgresql:
            stores["PostgreSQL"] = options.postgresql
        for database, url in stores.items():
            results.append(_measured(database, url, folder, rows))
    write_json(options.json, results)


def _measured(database: str, url: str, folder: Path, rows: int) -> dict[str, Any]:
    print(f"\n{database}: {rows:,} contact scores with reasons")
    figures: dict[str, Any] = {"database": database, "rows": rows}
    for contender in ("load", "publish", "serve"):
        told = folder / f"{contender}.json"
        figure = whole_process(contender, CONTENDERS, contender, str(folder), url, str(told))
        figures[contender] = {"peak_gigabytes": figure.peak_gigabytes} | _read(told)
    load, publish = figures["load"], figures["publish"]
    print(f"{'':34}{'wall s':>9}{'cpu s':>9}{'1,000/s':>9}{'wall':>9}{'cpu':>9}{'1st byte s':>12}")
    _show("bare load by the driver", load, rows=rows, against=load)
    _show("publish, as a multiple of it", publish, rows=rows, against=load)
    served = figures["serve"]
    _show("bare dump by the driver", served["dump"], rows=rows, against=served["dump"])
    for name, one in served["reads"].items():
        _show(f"{name}, as a multiple of it", one, rows=rows, against=served["dump"])
    print(f"peak memory of the service {served['service_megabytes']:.0f} MB")
    for name, seconds in served["pages"].items():
        print(f"{name:34}{seconds * 1000:9.1f} ms")
    return figures


def _show(name: str, one: dict[str, Any], *, rows: int, against: dict[str, Any]) -> None:
    ratios = [one[kind] / against[kind] for kind in ("seconds", "processor_seconds")]
    first = f"{one['first_byte']:12.3f}" if "first_byte" in one else ""
    print(
        f"{name:34}{one['seconds']:9.2f}{one['processor_seconds']:9.2f}{rows / one['seconds'] / 1000:9.0f}"
        f"{ratios[0]:9.2f}{ratios[1]:9.2f}{first}"
    )


def _read(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return told


if __name__ == "__main__":
    main()
