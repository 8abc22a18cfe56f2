"""A batch of contact scores published to a database and read by one client in each format, against the bare driver.

Publishing is set against the bare load of the same rows (executemany in SQLite, COPY in PostgreSQL); reading against a
dump of the same columns by the same driver in one process, with nothing made of them. Each contender is a process of
its own; the service is one too, and its peak memory is read when it has answered everything.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

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


def _measured(database: str, url: str, folder: Path, rows: int) -> dict[str, object]:
    print(f"\n{database}: {rows:,} contact scores with reasons")
    figures: dict[str, object] = {"database": database, "rows": rows}
    for contender in ("load", "publish", "serve"):
        told = folder / f"{contender}.json"
        figure = whole_process(contender, CONTENDERS, contender, str(folder), url, str(told))
        figures[contender] = {"peak_gigabytes": figure.peak_gigabytes} | _read(told)
    load, publish = figures["load"]["seconds"], figures["publish"]["seconds"]  # type: ignore[index]
    print(f"{'bare load':34}{load:9.2f} s{rows / load / 1000:9.0f} thousand rows/s")
    print(f"{'publish':34}{publish:9.2f} s{rows / publish / 1000:9.0f} thousand rows/s{publish / load:9.2f} x the load")
    served = figures["serve"]
    dump = served["dump"]["seconds"]  # type: ignore[index]
    for name, one in served["reads"].items():  # type: ignore[index]
        rate, share = rows / one["seconds"] / 1000, dump / one["seconds"]
        print(
            f"{name:34}{one['seconds']:9.2f} s{rate:9.0f} thousand rows/s{share:9.0%} of the dump"
            f"{one['first_byte']:9.3f} s to the first byte"
        )
    print(f"{'dump by the driver alone':34}{dump:9.2f} s{rows / dump / 1000:9.0f} thousand rows/s")
    print(f"peak memory of the service {served['service_megabytes']:.0f} MB")  # type: ignore[index]
    for name, seconds in served["pages"].items():  # type: ignore[index]
        print(f"{name:34}{seconds * 1000:9.1f} ms")
    return figures


def _read(file: Path) -> dict[str, object]:
    import json

    told: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return told


if __name__ == "__main__":
    main()
