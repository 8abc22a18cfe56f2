"""A landing of Fivetran in DuckDB to CRM tables: against merely fetching the same tables whole, as pandas frames.

Fetching is less than the work: no times, stages, merges or links, and every column of every row in memory at once.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import duckdb

from benchmarks._measure import show, whole_process, write_json

SIZES = {"small": (20_000, 3_000, 200_000), "full": (200_000, 30_000, 2_000_000)}
READER = "benchmarks._warehouse_reader"


def main() -> None:
    """Make a landing, and read it in both ways."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, deals, engagements = SIZES[options.size]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "landing.duckdb"
        with duckdb.connect(str(file)) as connection:
            for name, rows, columns in landed(contacts, deals, engagements):
                connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM range({rows}) AS numbers(i)")
        figures = [
            whole_process("Leadline: landing to CRM tables", READER, "ours", str(file)),
            whole_process("DuckDB: all tables into pandas", READER, "fetch", str(file)),
        ]
    title = f"Fivetran's tables: {contacts:,} contacts, {deals:,} deals, {engagements:,} engagements"
    write_json(options.json, [show(title, figures, ours=figures[0].name)])


def landed(contacts: int, deals: int, engagements: int) -> list[tuple[str, int, str]]:
    """Return each table, how many rows it has, and what its columns hold in row ``i``."""
    at = "TIMESTAMP '2024-01-01' + INTERVAL (i % 600) DAY AS"
    stages = "['open', 'offer', 'won']"
    half = engagements // 2
    happened = f"{at} property_hs_timestamp, {at} property_hs_createdate"
    person = f"'c' || i || '@x.example' AS property_email, {stages}[1 + i % 3] AS property_industry"
    return [
        ("contact", contacts, f"i AS id, {at} property_createdate, {person}, 'DE' AS property_country"),
        (
            "contact_property_history",
            2 * contacts,
            f"i // 2 AS contact_id, 'industry' AS name, 'won' AS value, {at} timestamp",
        ),
        (
            "deal",
            deals,
            f"i AS deal_id, 'p' AS deal_pipeline_id, 'won' AS deal_pipeline_stage_id, {at} property_createdate",
        ),
        ("deal_stage", 3 * deals, f"i // 3 AS deal_id, {stages}[1 + i % 3] AS value, {at} date_entered"),
        ("deal_contact", deals, f"i AS deal_id, i % {contacts} AS contact_id"),
        ("deal_pipeline", 1, "'p' AS pipeline_id, 'Sales' AS label"),
        (
            "deal_pipeline_stage",
            3,
            f"'p' AS pipeline_id, {stages}[1 + i] AS stage_id, 'S' AS label, i AS display_order, "
            "[0.2, 0.5, 1.0][1 + i] AS probability, i = 2 AS is_closed",
        ),
        ("engagement_call", half, f"i AS engagement_id, {happened}, 'INBOUND' AS property_hs_call_direction"),
        ("engagement_email", half, f"i + {half} AS engagement_id, {happened}, 'EMAIL' AS property_hs_email_direction"),
        ("engagement_contact", engagements, f"i AS engagement_id, i % {contacts} AS contact_id"),
    ]


if __name__ == "__main__":
    main()
