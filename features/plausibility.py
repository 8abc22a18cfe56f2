"""Whether the tables look like those of last time: an export that is empty, cut short or odd must not be published.

What a table looks like is kept as a few numbers beside the extract. Nobody can tell a broken export from a company that
has cleaned up, so a suspicion is an error that a person may overrule, and the extract of last time stays what counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.contracts import CONTRACTS
from features.errors import LeadScoringError
from features.findings import Finding
from features.tables import TABLE_NAMES, CrmTables

IMPLAUSIBLE: Final = "implausible-"
"""How the codes of findings begin that a person may overrule."""
WHAT_TO_DO: Final = "if that is right, run again with --accept-tables; else export them again"
OF_LATE: Final = 0.99
"""How much of a table must have happened by the instant that counts as its end."""
_SAMPLE: Final = 500
_DAY: Final = pd.Timedelta(days=1)


class PlausibilitySettings(BaseModel):
    """How far tables may differ from those of the run before; what goes farther is held until a person accepts it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows_lost: float = Field(default=0.3, gt=0, le=1, description="Share of a table's rows that may be gone.")
    rows_grown: float = Field(default=3.0, gt=1, description="How many times as many rows a table may have.")
    ids_lost: float = Field(default=0.3, gt=0, le=1, description="Share of the known ids that may be gone.")
    filled_lost: float = Field(
        default=0.3, gt=0, le=1, description="Share of the rows that may have become empty in a column that is used."
    )
    kind_lost: float = Field(
        default=0.6, gt=0, le=1, description="Share of the activities of a common type that may be gone."
    )
    days_back: float = Field(default=7.0, gt=0, description="How many days earlier the newest rows may end.")
    days_ahead: float = Field(default=400.0, gt=0, description="How many days ahead the newest rows may leap.")
    least_rows: int = Field(default=100, ge=1, description="Smaller tables are compared only by what they hold at all.")


class TableProfile(BaseModel):
    """One table in numbers: rows, by column the share that is filled and that of the commonest value, a few ids.

    ``ids`` are hashes of the sampled ids; ``kinds`` counts rows by type, ``outcomes`` names the stages' outcomes, and
    ``late`` is the instant before which 99 % of it happened: one row that goes, or is dated wrongly, must not move it.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    filled: dict[str, float] = {}
    commonest: dict[str, float] = {}
    ids: tuple[int, ...] = ()
    kinds: dict[str, int] = {}
    outcomes: dict[str, str] = {}
    late: str | None = None


class HeldTablesError(LeadScoringError):
    """The tables look so unlike those of last time that a person must accept them before anything is built on them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "\n".join(f"- {finding.message}" for finding in findings)
        super().__init__(
            "the tables must look like those of the run before, and do not; they are held back, and what was published "
            f"stays:\n{lines}\n{WHAT_TO_DO[0].upper()}{WHAT_TO_DO[1:]}."
        )


class Profile(BaseModel):
    """All tables that a kind of source delivered, in numbers."""

    model_config = ConfigDict(frozen=True)

    source: str
    tables: dict[str, TableProfile]

    def without(self, table: str, ids: Sequence[str]) -> Profile:
        """Return the profile without what it holds of some rows: their ids among those that are looked for again."""
        erased = set(_hashes(pd.Series(ids, dtype="str")).tolist())
        told = self.tables.get(table)
        if told is None:
            return self
        kept = told.model_copy(update={"ids": tuple(one for one in told.ids if one not in erased)})
        return self.model_copy(update={"tables": self.tables | {table: kept}})


def profile_of(
    tables: CrmTables, *, activities: TableProfile, source: str, used: Mapping[str, frozenset[str]]
) -> Profile:
    """Return what the tables look like.

    ``activities`` are told apart, for they may be more than memory holds; ``used`` names by table the properties that
    features may rest on.
    """
    return Profile(
        source=source,
        tables={
            name: activities if name == "activities" else _profile(name, tables[name], used.get(name, frozenset()))
            for name in TABLE_NAMES
            if tables.has(name)
        },
    )


def implausible(tables: CrmTables, *, now: Profile, before: Profile, settings: PlausibilitySettings) -> list[Finding]:
    """Return an error for each thing in which tables, whose profile is ``now``, differ too much from ``before``."""
    found: list[Finding] = []
    for name, was in before.tables.items():
        if name not in now.tables:
            if was.rows:
                found.append(_error(name, "gone", f"is no longer there; it had {was.rows:,} rows"))
            continue
        found += _of_table(name, was, now.tables[name], tables[name], settings)
    return found


def _of_table(
    name: str, was: TableProfile, now: TableProfile, frame: pd.DataFrame, settings: PlausibilitySettings
) -> Iterator[Finding]:
    yield from _of_rows(name, was, now, settings)
    if min(was.rows, now.rows) >= settings.least_rows:
        yield from _of_columns(name, was, now, frame, settings)
        yield from _of_ids(name, was, frame, settings)
        yield from _of_kinds(name, was, now, settings)
        yield from _of_times(name, was, now, settings)
    yield from _of_outcomes(name, was, now)


def _profile(name: str, frame: pd.DataFrame, used: frozenset[str]) -> TableProfile:
    contract = CONTRACTS[name]
    columns = [one for one in frame.columns if one in used or one in contract.names]
    told: dict[str, Any] = {"rows": len(frame)}
    if len(frame):
        told["filled"] = {column: round(float(frame[column].notna().mean()), 6) for column in columns}
        told["commonest"] = {
            column: _commonest(frame[column])
            for column in columns
            if column not in contract.key and not isinstance(frame[column].dtype, pd.DatetimeTZDtype)
        }
    if len(contract.key) == 1 and contract.key[0] in frame:
        hashes = np.sort(_hashes(frame[contract.key[0]]))
        told["ids"] = tuple(hashes[:_SAMPLE].tolist())
    if name == "stages":
        told["outcomes"] = {
            f"{pipeline} / {stage}": outcome
            for pipeline, stage, outcome in frame[["pipeline", "stage", "outcome"]].itertuples(index=False)
        }
    if contract.occurred is not None and frame[contract.occurred].notna().any():
        late: Any = frame[contract.occurred].quantile(OF_LATE, interpolation="lower")
        told["late"] = late.isoformat()
    return TableProfile(**told)


def _commonest(values: pd.Series[Any]) -> float:
    """Return the share of the commonest value among the values that are there."""
    counts = values.value_counts()
    return round(float(counts.iloc[0] / counts.sum()), 6) if len(counts) and counts.iloc[0] else 0.0


def _hashes(ids: pd.Series[Any]) -> np.ndarray:
    return pd.util.hash_pandas_object(ids, index=False).to_numpy(dtype=np.uint64)


def _of_rows(name: str, was: TableProfile, now: TableProfile, settings: PlausibilitySettings) -> Iterator[Finding]:
    if was.rows and not now.rows:
        yield _error(name, "emptied", f"has no row; it had {was.rows:,}")
    elif was.rows < settings.least_rows:
        return
    elif now.rows < was.rows * (1 - settings.rows_lost):
        yield _error(name, "shrunken", f"has {now.rows:,} rows; it had {was.rows:,}")
    elif now.rows > was.rows * settings.rows_grown:
        yield _error(name, "swollen", f"has {now.rows:,} rows; it had {was.rows:,}")


def _of_columns(
    name: str, was: TableProfile, now: TableProfile, frame: pd.DataFrame, settings: PlausibilitySettings
) -> Iterator[Finding]:
    for column, filled in was.filled.items():
        is_there = column in now.filled or column in frame
        # Looked up in the table where features no longer rest on it: empty, or left out by the configuration.
        share = now.filled[column] if column in now.filled else float(frame[column].notna().mean()) if is_there else 0.0
        if filled - share > settings.filled_lost:
            how = f"is filled in {share:.0%} of the rows" if is_there else "is no longer there"
            yield _error(name, "emptied", f"{how}; it was filled in {filled:.0%}", column=column)
    for column, share in was.commonest.items():
        if share < 0.9 and now.commonest.get(column, 0.0) > 0.999:
            yield _error(
                name, "constant", f"holds one value everywhere; the commonest held {share:.0%} before", column=column
            )


def _of_ids(name: str, was: TableProfile, frame: pd.DataFrame, settings: PlausibilitySettings) -> Iterator[Finding]:
    if len(was.ids) < settings.least_rows:
        return
    known = np.isin(np.array(was.ids, dtype=np.uint64), _hashes(frame[CONTRACTS[name].key[0]]))
    if known.mean() < 1 - settings.ids_lost:
        told = f"lacks {1 - known.mean():.0%} of the ids that it had (of {len(was.ids)} looked for)"
        yield _error(name, "exchanged", told, column=CONTRACTS[name].key[0])


def _of_kinds(name: str, was: TableProfile, now: TableProfile, settings: PlausibilitySettings) -> Iterator[Finding]:
    for kind, count in was.kinds.items():
        is_common = count >= max(settings.least_rows, 0.05 * was.rows)
        if is_common and now.kinds.get(kind, 0) < count * (1 - settings.kind_lost):
            told = f"has {now.kinds.get(kind, 0):,} of type {kind!r}; it had {count:,}"
            yield _error(name, "kind-gone", told, column="type")


def _of_times(name: str, was: TableProfile, now: TableProfile, settings: PlausibilitySettings) -> Iterator[Finding]:
    if was.late is None or now.late is None:
        return
    old, new = pd.Timestamp(was.late), pd.Timestamp(now.late)
    if new < old - settings.days_back * _DAY:
        yield _error(name, "older", f"ends about {new:%Y-%m-%d}; it ended about {old:%Y-%m-%d} before")
    if new > old + settings.days_ahead * _DAY:
        yield _error(name, "ahead", f"ends about {new:%Y-%m-%d}, far after {old:%Y-%m-%d}, where it ended before")


def _of_outcomes(name: str, was: TableProfile, now: TableProfile) -> Iterator[Finding]:
    for stage, outcome in was.outcomes.items():
        if now.outcomes.get(stage, outcome) != outcome:
            told = f"says {now.outcomes[stage]} of the stage {stage}, which was {outcome}"
            yield _error(name, "outcome-changed", told, column="outcome")


def _error(table: str, code: str, what: str, *, column: str | None = None) -> Finding:
    place = table if column is None else f"{table}.{column}"
    return Finding("error", f"{IMPLAUSIBLE}{code}", table, f"{place} {what}", column)
