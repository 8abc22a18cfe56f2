"""What a check found: how bad, where, how many, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from features.errors import LeadScoringError

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    ``code`` is a stable identifier such as ``naive-time``; ``count`` is the number of rows concerned; ``examples``
    are up to three of them, each naming its row (1 is the first data row) and the value found.
    """

    severity: Severity
    code: str
    table: str
    message: str
    column: str | None = None
    count: int = 1
    examples: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain data for JSON."""
        return asdict(self)


class RefusedTablesError(LeadScoringError):
    """The tables hold errors, so nothing was built on them and nothing was written."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(finding for finding in findings if finding.severity == "error")
        lines = [f"- {finding.message}" for finding in self.findings]
        super().__init__(
            f"the tables hold {len(self.findings)} error(s); nothing was written. Mend them at the source:\n"
            + "\n".join(lines)
        )


def refuse_errors(findings: Sequence[Finding]) -> None:
    """Raise ``RefusedTablesError`` if any finding is an error."""
    if any(finding.severity == "error" for finding in findings):
        raise RefusedTablesError(findings)


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Tell once what several batches of one part brought: the first finding of each kind with the count of all."""
    kinds: dict[tuple[str, str | None], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.code, finding.column), []).append(finding)
    return tuple(
        replace(
            same[0],
            count=sum(one.count for one in same),
            message=same[0].message
            + (f"; and in {sum(one.count for one in same[1:])} row(s) further down" if len(same) > 1 else ""),
        )
        for same in kinds.values()
    )
