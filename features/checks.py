"""Cross-table checks: what the tables say of one another that cannot be right; nothing is repaired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.contracts import CONTRACTS, quoted
from features.errors import LeadScoringError
from features.findings import Finding, Severity
from features.tables import TABLE_NAMES, CrmTables

Mask = npt.NDArray[np.bool_]

FIRST_POSSIBLE: Final = pd.Timestamp("1990-01-01T00:00:00Z")
FIRST_IMPOSSIBLE: Final = pd.Timestamp("2101-01-01T00:00:00Z")
STAGE_BEFORE_DEAL: Final = pd.Timedelta(days=1)

_REFERENCES: Final[tuple[tuple[str, str, str, Severity, str, str], ...]] = (
    ("contacts", "company_id", "companies", "warning", "unknown-company", "they get no company features"),
    ("contacts", "owner_id", "owners", "info", "unknown-owner", "they get no team"),
    ("deals", "company_id", "companies", "warning", "unknown-company", "they get no company features"),
    ("deals", "owner_id", "owners", "info", "unknown-owner", "they get no team"),
    ("activities", "contact_id", "contacts", "warning", "unknown-contact", "they count for no contact"),
    ("activities", "deal_id", "deals", "warning", "unknown-deal", "they count for no deal"),
    ("activities", "owner_id", "owners", "info", "unknown-owner", "they get no team"),
    ("deal_contacts", "deal_id", "deals", "warning", "unknown-deal", "they are left out"),
    ("deal_contacts", "contact_id", "contacts", "warning", "unknown-contact", "they are left out"),
    ("deal_stage_history", "deal_id", "deals", "warning", "unknown-deal", "they are left out"),
)
_OBJECT_TABLES: Final = {"contact": "contacts", "company": "companies", "deal": "deals"}


class NaiveAsOfError(LeadScoringError):
    """The as-of has no zone, so it is no instant."""

    def __init__(self, as_of: pd.Timestamp) -> None:
        self.as_of = as_of
        super().__init__(f"the as-of must have a zone; found {as_of}; write it as 2024-05-01T00:00:00Z")


@dataclass(frozen=True)
class _Fault:
    """Rows of a table with the same fault, up to three of them shown."""

    severity: Severity
    code: str
    table: str
    what: str
    column: str
    count: int
    examples: tuple[str, ...]

    def and_in(self, other: _Fault) -> _Fault:
        """Add the rows of another part of the table."""
        return replace(self, count=self.count + other.count, examples=(*self.examples, *other.examples)[:3])

    def finding(self) -> Finding:
        """Return it as people read it."""
        message = f"{self.table}: {self.count} row(s) {self.what} ({'; '.join(self.examples)})"
        return Finding(self.severity, self.code, self.table, message, self.column, self.count, self.examples)


def check_tables(
    tables: CrmTables, *, as_of: pd.Timestamp | None, activities: Iterable[pd.DataFrame] | None = None
) -> list[Finding]:
    """Say what contradicts across typed tables; with ``as_of``, also what is not yet known then.

    ``activities`` may come in several frames; without them those of the tables are meant.
    """
    if as_of is not None and as_of.tzinfo is None:
        raise NaiveAsOfError(as_of)
    rows, faults = 0, dict[tuple[str, str, str], _Fault]()
    for frame in [tables["activities"]] if activities is None else activities:
        rows += len(frame)
        for fault in _of_table(tables.with_activities(frame), "activities", as_of):
            key = fault.code, fault.column, fault.what
            faults[key] = faults[key].and_in(fault) if key in faults else fault
    found = [*_stages(tables["stages"]), *_history(tables)]
    for table in TABLE_NAMES:
        # In which part of the activities something is found first says nothing.
        found += [faults[key] for key in sorted(faults)] if table == "activities" else _of_table(tables, table, as_of)
    return [*_presence(tables, activities=rows), *(one.finding() if isinstance(one, _Fault) else one for one in found)]


def _of_table(tables: CrmTables, table: str, as_of: pd.Timestamp | None) -> Iterator[_Fault]:
    yield from _references(tables, table)
    if table == "activities":
        yield from _activities(tables["activities"])
    if table == "property_history":
        yield from _property_history(tables)
    yield from _impossible_times(table, tables[table])
    if as_of is not None:
        yield from _not_yet_known(table, tables[table], as_of)


def _presence(tables: CrmTables, *, activities: int) -> Iterator[Finding]:
    if tables["contacts"].empty and tables["deals"].empty and not (tables.has("contacts") or tables.has("deals")):
        yield Finding("error", "empty-table", "contacts", "contacts or deals must be there; found neither; export one")
    needed = {"contacts", "deals"} | (set() if tables["deals"].empty else {"deal_stage_history", "stages"})
    for table in TABLE_NAMES:
        left_out = CONTRACTS[table].without_it
        if not tables.has(table):
            yield Finding("info", "absent-table", table, f"{table} is not there: {left_out}", count=0)
        elif not (activities if table == "activities" else len(tables[table])):
            severity: Severity = "error" if table in needed else "warning"
            message = f"{table} is there but has no row: {left_out}; export it again or remove it"
            yield Finding(severity, "empty-table", table, message, count=0)


def _stages(stages: pd.DataFrame) -> Iterator[_Fault]:
    allowed = CONTRACTS["stages"].column("outcome").allowed
    yield from _found(
        "error",
        "bad-outcome",
        "stages",
        stages,
        ~stages["outcome"].isin(allowed),
        ("pipeline", "stage", "outcome"),
        "name an outcome that is none of open, won, lost; set it to one of them",
    )
    yield from _found(
        "error",
        "bad-probability",
        "stages",
        stages,
        stages["probability"].notna() & ~stages["probability"].between(0.0, 1.0),
        ("pipeline", "stage", "probability"),
        "have a probability outside 0 to 1; write 20 % as 0.2",
    )
    first = stages.drop_duplicates("pipeline")
    wanted: tuple[tuple[str, Severity, str], ...] = (
        ("won", "error", "no deal of theirs could be won; mark the stage that means won"),
        ("lost", "warning", "their deals can only be won or open; mark the stage that means lost"),
    )
    for outcome, severity, consequence in wanted:
        having = stages.loc[stages["outcome"] == outcome, "pipeline"]
        yield from _found(
            severity,
            f"no-{outcome}-stage",
            "stages",
            first,
            ~first["pipeline"].isin(having),
            ("pipeline",),
            f"name a pipeline without a stage of outcome {outcome}: {consequence}",
        )


def _history(tables: CrmTables) -> Iterator[_Fault | Finding]:
    deals, stages = tables["deals"], tables["stages"]
    history = tables["deal_stage_history"]
    if deals.empty or stages.empty:
        return
    yield from _found(
        "error",
        "unknown-pipeline",
        "deals",
        deals,
        _not_in(deals["pipeline"], stages["pipeline"]),
        ("deal_id", "pipeline"),
        "run through a pipeline that stages does not know; add its stages",
    )
    if history.empty:
        return
    yield from _found(
        "warning",
        "deal-without-history",
        "deals",
        deals,
        _not_in(deals["deal_id"], history["deal_id"]),
        ("deal_id",),
        "have no stage history: they cannot be labelled and are left out",
    )
    entries = _entries(deals, stages, history)
    outcome = entries["outcome"]
    stray = (entries["pipeline"].isin(stages["pipeline"]) & outcome.isna()).to_numpy(dtype=np.bool_)
    homes = stages.drop_duplicates(["pipeline", "stage"])["stage"].value_counts()
    elsewhere = entries["stage"].isin(homes.index[homes == 1]).to_numpy(dtype=np.bool_)
    shown = ("deal_id", "pipeline", "stage")
    yield from _found(
        "error",
        "unknown-stage",
        "deal_stage_history",
        entries,
        stray & ~elsewhere,
        shown,
        "enter a stage that stages does not have in the deal's pipeline; add the stage",
    )
    yield from _found(
        "warning",
        "stage-in-other-pipeline",
        "deal_stage_history",
        entries,
        stray & elsewhere,
        shown,
        "enter a stage of another pipeline, as if the deal had changed pipelines; see that this is so",
    )
    yield from _found(
        "warning",
        "stage-before-deal",
        "deal_stage_history",
        entries,
        entries["entered_at"] < entries["created_at"] - STAGE_BEFORE_DEAL,
        ("deal_id", "stage", "entered_at", "created_at"),
        "enter a stage more than a day before the deal was created; see which of the two times is wrong",
    )
    if not (outcome == "won").any():
        message = "no deal has entered a stage of outcome won: nothing can be learned; check stages.outcome"
        yield Finding("warning", "no-won-deal", "deals", message, count=len(deals))


def _entries(deals: pd.DataFrame, stages: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Return the history, row for row, with its deal's pipeline and creation and its stage's outcome."""
    owners = deals.drop_duplicates("deal_id")[["deal_id", "pipeline", "created_at"]]
    outcomes = stages.drop_duplicates(["pipeline", "stage"])[["pipeline", "stage", "outcome"]]
    entries = history[["deal_id", "stage", "entered_at"]].merge(owners, on="deal_id", how="left")
    return entries.merge(outcomes, on=["pipeline", "stage"], how="left")


def _references(tables: CrmTables, table: str) -> Iterator[_Fault]:
    frame = tables[table]
    for source, column, target, severity, code, consequence in _REFERENCES:
        if source != table or frame.empty or not tables.has(target):
            continue
        key = CONTRACTS[target].key[0]
        yield from _found(
            severity,
            code,
            table,
            frame,
            _not_in(frame[column], tables[target][key]),
            (column,),
            f"name a {column} that {target} does not have: {consequence}",
        )


def _activities(activities: pd.DataFrame) -> Iterator[_Fault]:
    yield from _found(
        "error",
        "unattached-activity",
        "activities",
        activities,
        activities["contact_id"].isna() & activities["deal_id"].isna(),
        ("occurred_at", "type"),
        "have neither contact_id nor deal_id; fill in at least one or leave those rows out",
        column="contact_id",
    )
    yield from _found(
        "warning",
        "bad-value",
        "activities",
        activities,
        _not_in(activities["direction"], pd.Series(CONTRACTS["activities"].column("direction").allowed)),
        ("direction",),
        "have a direction that is neither inbound nor outbound: they count as having none",
    )


def _property_history(tables: CrmTables) -> Iterator[_Fault]:
    history = tables["property_history"]
    if history.empty:
        return
    kinds = history["object_type"]
    unknown = np.zeros(len(history), dtype=np.bool_)
    for kind, target in _OBJECT_TABLES.items():
        if tables.has(target):
            of_kind = (kinds == kind).to_numpy(dtype=np.bool_)
            known = tables[target][CONTRACTS[target].key[0]]
            unknown[of_kind] = _not_in(history.loc[of_kind, "object_id"], known)
    yield from _found(
        "warning",
        "bad-value",
        "property_history",
        history,
        ~kinds.isin(list(_OBJECT_TABLES)),
        ("object_type",),
        "have an object_type that is none of contact, company, deal: they are left out",
    )
    yield from _found(
        "warning",
        "unknown-object",
        "property_history",
        history,
        unknown,
        ("object_type", "object_id"),
        "are about an object that its table does not have: they are left out",
        column="object_id",
    )


def _impossible_times(table: str, frame: pd.DataFrame) -> Iterator[_Fault]:
    for column in CONTRACTS[table].columns:
        if column.kind == "time" and len(frame):
            times = frame[column.name]
            # a seller's guess typed wrongly is no reason to refuse the export
            severity: Severity = "warning" if column.name == "expected_close_at" else "error"
            yield from _found(
                severity,
                "impossible-time",
                table,
                frame,
                (times < FIRST_POSSIBLE) | (times >= FIRST_IMPOSSIBLE),
                (column.name,),
                f"have a {column.name} outside the years 1990 to 2100; correct it at the source",
            )


def _not_yet_known(table: str, frame: pd.DataFrame, as_of: pd.Timestamp) -> Iterator[_Fault]:
    contract = CONTRACTS[table]
    times = [name for name in (contract.occurred, contract.known) if name is not None]
    if not times or frame.empty:
        return
    late = np.zeros(len(frame), dtype=np.bool_)
    for name in times:
        late |= (frame[name] >= as_of).to_numpy(dtype=np.bool_)
    yield from _found(
        "info",
        "not-yet-known",
        table,
        frame,
        late,
        times,
        f"are not yet known at {as_of.isoformat()} and are ignored",
        column=times[0],
    )


def _not_in(values: pd.Series, known: pd.Series) -> Mask:
    """Say which values are there but not among the known ones."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        words = _not_in(pd.Series(values.cat.categories), known)
        return np.append(words, False)[values.cat.codes.to_numpy()]
    text = pa.array(values, type=pa.large_string(), from_pandas=True)
    among = pc.is_in(text, value_set=pa.array(known, type=pa.large_string(), from_pandas=True).drop_null())
    strange = pc.and_(pc.is_valid(text), pc.invert(among))
    return np.asarray(strange.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _found(
    severity: Severity,
    code: str,
    table: str,
    frame: pd.DataFrame,
    where: Mask | pd.Series,
    shown: Sequence[str],
    what: str,
    *,
    column: str | None = None,
) -> Iterator[_Fault]:
    """Yield the fault of the rows that ``where`` holds, if any, showing up to three of them."""
    positions = np.flatnonzero(np.asarray(where, dtype=np.bool_))
    if not len(positions):
        return
    # Activities come in parts, so a row's place among all of them would lead nobody to it.
    has_place = table != "activities"
    examples = tuple(
        (f"row {int(frame.index[position]) + 1}: " if has_place else "")
        + ", ".join(f"{name} {_shown(name, frame[name].iloc[position])}" for name in shown)
        for position in positions[:3].tolist()
    )
    yield _Fault(severity, code, table, what, column or shown[-1], len(positions), examples)


def _shown(name: str, value: Any) -> str:
    if pd.isna(value):
        return "missing"
    if isinstance(value, pd.Timestamp):
        # isoformat fails beyond the year 9999
        return f"{np.datetime_as_string(value.asm8, unit='s')}Z"
    return quoted(name, value)
