"""The warehouse of activities: one DuckDB file that is extended by what is new and read some contacts at a time.

Activities come in parts, such as the files of a folder. A part whose content is known is not read again. All that lies
here can be built again from the parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.findings import Finding, merged
from features.parts import Extension, Part
from features.warehouse_reading import CODED, TEXT, TIMES, WarehouseError, WarehouseReading

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ActivityWarehouse", "WarehouseError"]

_LAYOUT: Final = 2
"""What is kept is what this code read; raise it whenever a part would now be read otherwise."""
_HALF_FULL: Final = "half_full"
"""The table that stands in a file while it is filled for the first time."""


class ActivityWarehouse(WarehouseReading):
    """Activities in a file, or without one in memory; what exceeds ``memory_bytes`` is spilled beside the file.

    Without a file it is spilled into the folder ``spill``, if one is given, which is made when it is needed and removed
    at the end; what it lies in must exist. One process may hold the file at a time. What fails or is killed leaves it
    as it was before.
    """

    def __init__(self, file: Path | None, *, memory_bytes: int, threads: int = 2, spill: Path | None = None) -> None:
        import duckdb

        spill = spill if file is None else file.with_suffix(".spill")
        options: dict[str, Any] = {
            "memory_limit": f"{memory_bytes // 1024**2}MiB",
            "threads": threads,
            "temp_directory": "" if spill is None else str(spill),
            "autoinstall_known_extensions": False,
        }
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = duckdb.connect(str(file or ":memory:"), config=options)
        except duckdb.Error as error:
            raise WarehouseError(file=file, problem=str(error).splitlines()[0]) from error
        super().__init__(connection, file=file)
        self._in_steps = False
        with self._in_our_words():
            self._prepare()

    @contextmanager
    def extending(
        self,
        parts: Sequence[Part],
        *,
        survivors: Mapping[str, str] | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Extension]:
        """Make the warehouse hold exactly these parts, reading only those that are new or have changed.

        ``survivors`` names, for each contact that was merged, the one that is left in the end. The block can read the
        new content; it is kept if the block ends well and forgotten if it raises.
        """
        self._knows_beginnings = False
        with self._in_our_words(), self._filling():
            known = {str(name): str(digest) for name, digest in self._all("select name, digest from part")}
            wanted = {part.name: part.digest for part in parts}
            self._run("create or replace temp table touched (id_hash ubigint)")
            for name in sorted(name for name, digest in known.items() if wanted.get(name) != digest):
                self._forget(name)
            fresh = [part for part in parts if known.get(part.name) != part.digest]
            rows = 0
            for place, part in enumerate(fresh, start=1):
                progress(f"{part.name}, {place} of {len(fresh)}")
                rows += self._add(part)
            if known or len(fresh) > 1:
                self._settle_versions()
            self._follow(survivors or {})
            yield Extension(
                parts_read=len(fresh),
                parts_known=len(parts) - len(fresh),
                rows_read=rows,
                findings=tuple(
                    Finding(**(one | {"examples": tuple(one["examples"])}))
                    for (text,) in self._all("select findings from part order by name")
                    for one in json.loads(text)
                ),
            )

    def digest(self) -> str:
        """Return SHA-256 over the parts' names and digests and over who was merged into whom."""
        whole = hashlib.sha256()
        merged = (
            "select loser.value, kept.value from survivor join word_contact_id loser on loser.code = survivor.loser "
            "join word_contact_id kept on kept.code = survivor.survivor order by 1"
        )
        with self._in_our_words():
            for row in (*self._all("select name, digest from part order by name"), *self._all(merged)):
                whole.update(json.dumps(row).encode())
        return whole.hexdigest()

    def _prepare(self) -> None:
        tables = [str(name) for (name,) in self._all("select table_name from information_schema.tables")]
        # The hash of ids is DuckDB's own and may change with it.
        layout = f"{_LAYOUT}, DuckDB {version('duckdb')}"
        whole = "layout" in tables and _HALF_FULL not in tables
        if whole and self._all("select version from layout") == [(layout,)]:
            return
        self._dictionaries.clear()
        with self._transaction():
            for name in tables:
                self._run(f'drop table "{name}"')
            self._run("create table layout as select ? as version", [layout])
            self._run("create table part (number integer, name varchar, digest varchar, findings varchar)")
            self._run("create table survivor (loser integer, survivor integer)")
            for name in CODED:
                self._run(f"create table word_{name} (code integer, value varchar)")
            codes = ", ".join(f"{name} integer" for name in CODED)
            self._run(
                "create table activity (activity_id varchar, id_hash ubigint, part integer, is_current boolean, "
                f"delivered integer, {codes}, occurred_at bigint, known_at bigint, duration_seconds double)"
            )

    def _forget(self, part: str) -> None:
        ((number,),) = self._all("select number from part where name = ?", [part])
        self._run("insert into touched select id_hash from activity where part = ?", [number])
        self._run("delete from activity where part = ?", [number])
        self._run("delete from part where number = ?", [number])

    def _add(self, part: Part) -> int:
        ((number,),) = self._all("select coalesce(max(number), 0) + 1 from part")
        findings: list[Finding] = []
        rows, batches = 0, 0
        for frame, found in part.read():
            findings += found
            self._insert(frame, part=number)
            self._step()
            rows, batches = rows + len(frame), batches + 1
        if batches > 1:
            findings += self._repeated_ids(part.name, number=number)
        self._run("insert into touched select id_hash from activity where part = ?", [number])
        text = json.dumps([asdict(finding) for finding in merged(findings)])
        self._run("insert into part values (?, ?, ?, ?)", [number, part.name, part.digest, text])
        return rows

    def _insert(self, frame: pd.DataFrame, *, part: int) -> None:
        from features.visibility import raw_microseconds

        columns: dict[str, Any] = {name: self._encode(name, frame[name]) for name in CODED}
        columns |= {name: raw_microseconds(frame[name]) for name in TIMES}
        columns["activity_id"] = pa.array(frame["activity_id"], type=TEXT, from_pandas=True)
        columns["duration_seconds"] = frame["duration_seconds"].to_numpy(dtype=np.float64)
        columns["survivor"] = self._survivors(columns["contact_id"])
        # What belongs to a contact lies together, in its order of arrival, which is nearly always that of time: those
        # who read it go through memory in one direction. No join may come between.
        order = _by_contact(columns["survivor"], count=len(self._dictionary("contact_id")))
        with self._registered(pa.table(columns).take(order)):
            self._run(
                f"insert into activity select activity_id, hash(activity_id), {part}, true, contact_id, survivor, "
                f"{', '.join(CODED[1:])}, {', '.join(TIMES)}, duration_seconds from incoming"
            )

    def _encode(self, name: str, values: pd.Series | pa.Array) -> NDArray[np.int32]:
        """Return the code of each word, -1 for a missing one; words that have none yet get the next codes."""
        from features.words import places_among

        text = values if isinstance(values, pa.Array) else pa.array(values, type=TEXT, from_pandas=True)
        known = self._dictionary(name)
        found = places_among(text, known)
        unknown = np.flatnonzero(found < 0)
        strange = pc.unique(text.take(unknown).drop_null())
        if len(strange):
            new = pa.table({"code": np.arange(len(known), len(known) + len(strange), dtype=np.int32), "value": strange})
            with self._registered(new):
                self._run(f"insert into word_{name} select code, value from incoming")
            self._dictionaries[name] = pa.concat_arrays([known, strange])
            found[unknown] = places_among(text.take(unknown), strange)
            found[unknown] += np.where(found[unknown] >= 0, np.int32(len(known)), np.int32(0))
        return found

    def _survivors(self, contacts: NDArray[np.int32]) -> NDArray[np.int32]:
        ends = np.append(np.arange(len(self._dictionary("contact_id")), dtype=np.int32), np.int32(-1))
        for loser, survivor in self._all("from survivor"):
            ends[loser] = survivor
        return ends[contacts]

    def _repeated_ids(self, part: str, *, number: int) -> Iterator[Finding]:
        repeated = self._all(
            "select activity_id, count(*) from activity semi join (select id_hash from activity where part = ? "
            "group by id_hash having count(*) > 1) using (id_hash) where part = ? "
            "group by activity_id having count(*) > 1 order by activity_id",
            [number, number],
        )
        if repeated:
            from features.contracts import quoted

            count = sum(times - 1 for _, times in repeated)
            shown = tuple(quoted("activity_id", value) for value, _ in repeated[:3])
            yield Finding(
                "error",
                "duplicate-key",
                "activities",
                f"{part}, column activity_id: activity_id already seen in an earlier row, in {count} row(s) "
                f"({'; '.join(shown)}); expected each key once; keep one of them",
                "activity_id",
                count,
                shown,
            )

    def _settle_versions(self) -> None:
        """Let the version in the last part count, of every activity that a part brought or took away."""
        self._run(
            "create or replace temp table rival as select id_hash from activity semi join touched using (id_hash) "
            "group by id_hash having count(*) > 1 or not bool_and(is_current)"
        )
        self._run(
            "update activity set is_current = ranked.is_last from (select activity.rowid as place, row_number() over "
            "(partition by activity_id order by part.name desc, activity.rowid) = 1 as is_last from activity "
            "join part on part.number = activity.part semi join rival using (id_hash)) ranked "
            "where activity.rowid = ranked.place and activity.is_current <> ranked.is_last"
        )

    def _follow(self, survivors: Mapping[str, str]) -> None:
        """Let the activities of merged contacts count for those that are left."""
        codes = {
            name: self._encode("contact_id", pa.array(ids, type=TEXT))
            for name, ids in (("loser", survivors.keys()), ("survivor", survivors.values()))
        }
        with self._registered(pa.table(codes)):
            self._run("create or replace temp table wanted as select loser, survivor from incoming")
        self._run(
            "create or replace temp table moved as select loser from ((from wanted except from survivor) union all "
            "(from survivor except from wanted))"
        )
        if self._all("select count(*) from moved") == [(0,)]:
            return
        self._run("delete from survivor")
        self._run("insert into survivor from wanted")
        self._run(
            "update activity set contact_id = "
            "coalesce((select survivor from survivor where loser = delivered), delivered) "
            "where delivered in (from moved)"
        )

    @contextmanager
    def _filling(self) -> Iterator[None]:
        """Keep all that is done or nothing of it.

        What is not committed takes memory beyond DuckDB's limit. So an empty warehouse is filled in steps, under a mark
        for whoever opens one that was left half full.
        """
        self._in_steps = self._all("select count(*) from part") == [(0,)]
        if self._in_steps:
            self._run(f"create table {_HALF_FULL} (nothing integer)")
        try:
            with self._transaction():
                yield
                if self._in_steps:
                    self._run(f"drop table {_HALF_FULL}")
        except BaseException:
            if self._in_steps:
                self._prepare()
            raise

    def _step(self) -> None:
        if self._in_steps:
            self._run("commit")
            self._run("begin")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("begin")
        try:
            yield
        except BaseException:
            self._run("rollback")
            # Codes given within the transaction will be given again.
            self._dictionaries.clear()
            raise
        self._run("commit")


def _by_contact(contacts: NDArray[np.int32], *, count: int) -> NDArray[np.int64]:
    """Return the rows in the order of their contacts, those without one last."""
    from features.fact_stream import fact_stream

    objects = np.where(contacts >= 0, contacts, count).astype(np.int64)
    return fact_stream(objects=objects, times=np.zeros(len(objects), dtype=np.int64), object_count=count + 1).rows
