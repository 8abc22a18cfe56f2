"""What the configuration vouches for although its name speaks against it: used, but never quietly."""

from __future__ import annotations

from features.findings import Finding
from features.properties import TABLE_OF, PropertySettings, exclusion_reason
from features.tables import CrmTables


def vouching_findings(*, tables: CrmTables, settings: PropertySettings) -> list[Finding]:
    """Warn of every vouched column that would stay out by its name: protected, personal, or written by the outcome."""
    found = []
    for object_type, table in TABLE_OF.items():
        for name in settings.safe(object_type):
            reason = exclusion_reason(object_type=object_type, name=name)
            if reason is not None and name in tables[table]:
                what = reason.removesuffix(": never used unless vouched for").removesuffix(
                    "; never used unless vouched for"
                )
                found.append(
                    Finding(
                        "warning",
                        "vouched-against-its-name",
                        table,
                        f"{table}.{name} is used because properties.{table}.safe vouches for it, although by its "
                        f"name it stays out ({what}); remove it there if that was not meant",
                        name,
                        max(int(tables[table][name].notna().sum()), 1),
                    )
                )
    return found
