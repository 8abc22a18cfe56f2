"""Behaviour of any contacts at any moments, from the warehouse or a file into Parquet, some contacts at a time.

Neither what is read nor what is written is held as a whole, and reading goes on while the compiled code is loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.compiled import in_threads, processors, spans
from features.errors import LeadScoringError

if TYPE_CHECKING:
    # The compiled code comes with them, which is loaded beside the reading.
    from features.activity_stream import ActivityStream, CodedActivities
    from features.behaviour_plan import BehaviourPlan
    from features.fact_stream import FactStream
    from features.warehouse import ActivityWarehouse

Read = Callable[[pa.Array], "CodedActivities"]
"""Return the activities of some contacts, and perhaps of others, who are left out afterwards."""

INSTANT: Final = pa.timestamp("us", tz="UTC")
ROWS_AT_ONCE: Final = 100_000
"""The snapshots that a processor works on at once, and the rows of a row group."""
ACTIVITIES_AT_ONCE: Final = 16_000_000
_KINDS: Final = frozenset({"first_kind", "last_kind"})
"""Features whose values are kinds of activity: places in memory, words in a file."""


class SnapshotsError(LeadScoringError):
    """The moments to look at cannot be used."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"snapshots must have the columns contact_id and as_of, a time with a zone, filled in every row; {problem}"
        )


@dataclass(frozen=True)
class Asked:
    """Contacts, and for each snapshot the place of its contact among them and its as-of (microseconds)."""

    ids: pa.Array
    objects: NDArray[np.int64]
    as_of: NDArray[np.int64]

    @classmethod
    def of(cls, snapshots: pa.Table) -> Asked:
        """Read the columns ``contact_id`` and ``as_of``; raise ``SnapshotsError`` if they cannot be read."""
        if missing := {"contact_id", "as_of"} - set(snapshots.column_names):
            raise SnapshotsError(f"found no {' and no '.join(sorted(missing))}")
        contact, as_of = (snapshots[name].combine_chunks() for name in ("contact_id", "as_of"))
        if not pa.types.is_timestamp(as_of.type) or as_of.type.tz is None:
            raise SnapshotsError(f"found as_of of the type {as_of.type}")
        if contact.null_count or as_of.null_count:
            raise SnapshotsError(f"found {contact.null_count + as_of.null_count} empty")
        # A contact's snapshots nearly always follow each other.
        runs = pc.run_end_encode(contact.cast(pa.large_string()))
        listed = runs.values.dictionary_encode()
        lengths = np.diff(np.append(0, runs.run_ends.to_numpy()))
        return cls(
            ids=listed.dictionary,
            objects=np.repeat(listed.indices.to_numpy().astype(np.int64), lengths),
            as_of=as_of.cast(INSTANT).cast(pa.int64()).to_numpy(),
        )


def from_warehouse(warehouse: ActivityWarehouse, plan: BehaviourPlan) -> Read:
    """Read from a warehouse what a plan asks for."""

    def read(contacts: pa.Array) -> CodedActivities:
        # To read all and pass over some is faster than to look most of them up.
        few = 2 * len(contacts) < warehouse.contact_count()
        return warehouse.read_coded(
            contacts=contacts if few else None,
            directions=plan.series.directed,
            outcomes=bool(plan.series.outcomes),
        )

    return read


def from_parquet(file: Path, plan: BehaviourPlan) -> Read:
    """Read from a Parquet file of activities, in the columns of ``docs/tables.md``, what a plan asks for.

    The file is taken at its word: ``leadline check`` is what finds the faults of a file.
    """

    def read(contacts: pa.Array) -> CodedActivities:
        words = ["type"]
        words += ["direction"] if plan.series.directed else []
        words += ["outcome"] if plan.series.outcomes else []
        groups = pq.read_metadata(file).num_row_groups
        with ThreadPoolExecutor(processors()) as pool:
            tables = list(
                pool.map(lambda group: _read_group(file, group, words=words, contacts=contacts), range(groups))
            )
        return _coded(tables, words=words, contacts=contacts)

    return read


def _read_group(file: Path, group: int, *, words: list[str], contacts: pa.Array) -> pa.Table:
    """Return the columns of a row group, with the places of contacts in ``contacts``, -1 for others, for their ids."""
    with pq.ParquetFile(file, read_dictionary=words) as opened:
        times = [name for name in ("occurred_at", "known_at") if name in opened.schema_arrow.names]
        table = opened.read_row_group(group, columns=["contact_id", *words, *times], use_threads=False)
    from features.words import places_among

    place = table.column_names.index("contact_id")
    return table.set_column(place, "contact_id", pa.array(places_among(table["contact_id"], contacts, threads=1)))


def _coded(tables: list[pa.Table], *, words: list[str], contacts: pa.Array) -> CodedActivities:
    from features.activity_stream import CodedActivities, CodedBatch

    whole, listed = pa.concat_tables(tables), {}
    for name in words:
        column = whole[name].unify_dictionaries()
        whole = whole.set_column(whole.column_names.index(name), name, column)
        listed[name] = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.large_string())
    batches = []
    for batch in whole.to_batches():
        numbers = {name: batch[name].indices.fill_null(-1).to_numpy() for name in listed}
        occurred = _microseconds(batch["occurred_at"])
        known = _microseconds(batch["known_at"]) if "known_at" in batch.schema.names else occurred
        batches.append(
            CodedBatch(
                contact=batch["contact_id"].to_numpy(),
                kind=numbers["type"],
                occurred=occurred,
                times=occurred if known is occurred else np.maximum(occurred, known),
                direction=numbers.get("direction"),
                outcome=numbers.get("outcome"),
            )
        )
    return CodedActivities(batches, contacts, listed["type"], listed.get("direction"), listed.get("outcome"))


def _microseconds(times: pa.Array) -> NDArray[np.int64]:
    """Return instants as microseconds since 1970, the least number for a missing one."""
    raw = times.cast(INSTANT).cast(pa.int64())
    numbers: NDArray[np.int64] = (raw.fill_null(np.iinfo(np.int64).min) if raw.null_count else raw).to_numpy()
    return numbers


def write_behaviour(
    *,
    read: Read,
    snapshots: pa.Table,
    plan: BehaviourPlan,
    folder: Path,
    only: Collection[str] | None = None,
    rows: pa.Table | None = None,
    activities_at_once: int = ACTIVITIES_AT_ONCE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Write ``contact_id``, ``as_of`` and every feature of behaviour, or ``only`` some; return how many rows.

    Kinds of activity are written as words.

    They come by contact, in the order of ``snapshots``, and in order of time, as Parquet files in ``folder``, which is
    there when all of them are. ``rows`` counts the activities of contacts (``contact_id``, ``rows``); with it only so
    many activities are held at once, or those of one contact.
    """
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_compiled_code)
        asked = Asked.of(snapshots)
        parts = list(_parts(asked, rows=rows, activities_at_once=activities_at_once))
        for number, part in enumerate(parts):
            activities = read(part.ids)
            loading.result()
            _write_part(activities, asked=part, plan=plan, only=only, aside=aside, number=number)
            del activities
            progress(number + 1, len(parts))
    if folder.exists():
        shutil.rmtree(folder)
    aside.replace(folder)
    return len(asked.objects)


def _parts(asked: Asked, *, rows: pa.Table | None, activities_at_once: int) -> Iterator[Asked]:
    """Cut the snapshots by contact, so that each part has so many activities at most."""
    if rows is None:
        yield asked
        return
    counts = np.zeros(len(asked.ids), dtype=np.int64)
    place = pc.index_in(asked.ids, value_set=rows["contact_id"].cast(asked.ids.type).combine_chunks())
    known = place.is_valid().to_numpy(zero_copy_only=False)
    counts[known] = rows["rows"].to_numpy()[place.drop_null().to_numpy()]
    starts = np.append(0, np.cumsum(counts))
    pieces = spans(starts, parts=max(1, -(-int(starts[-1]) // activities_at_once))) if starts[-1] else []
    if len(pieces) < 2:
        yield asked
        return
    for low, high in pieces:
        inside = (asked.objects >= low) & (asked.objects < high)
        yield Asked(asked.ids.slice(low, high - low), asked.objects[inside] - low, asked.as_of[inside])


def _write_part(
    activities: CodedActivities,
    *,
    asked: Asked,
    plan: BehaviourPlan,
    only: Collection[str] | None,
    aside: Path,
    number: int,
) -> None:
    from features.fact_stream import fact_stream

    stream = activities.of_contacts(asked.ids, plan=plan.series, discount=plan.discount)
    order = fact_stream(objects=asked.objects, times=asked.as_of, object_count=len(asked.ids))
    # Each processor writes a file of its own: nobody waits for anybody.
    shares = spans(stream.stream.starts + order.starts, parts=processors())

    def write(share: int, low: int, high: int) -> None:
        file = aside / f"part-{number * len(shares) + share:05d}.parquet"
        _write_file(file, stream, asked=asked, order=order, low=low, high=high, plan=plan, only=only)

    in_threads(write, [(share, low, high) for share, (low, high) in enumerate(shares)])


def _write_file(
    file: Path,
    stream: ActivityStream,
    *,
    asked: Asked,
    order: FactStream,
    low: int,
    high: int,
    plan: BehaviourPlan,
    only: Collection[str] | None,
) -> None:
    from features.activity_columns import activity_columns
    from features.sweep import Memory

    memory = Memory()
    writer: pq.ParquetWriter | None = None
    count = int(order.starts[high] - order.starts[low])
    for first, end in spans(order.starts[low : high + 1], parts=-(-count // ROWS_AT_ONCE)):
        first, end = low + first, low + end
        objects = np.repeat(np.arange(first, end), np.diff(order.starts[first : end + 1]))
        as_of = order.times[order.starts[first] : order.starts[end]]
        columns = activity_columns(stream, objects=objects, as_of=as_of, plan=plan, only=only, threads=1, memory=memory)
        # The ids are written once for each row group, and a row says which.
        contact = pa.DictionaryArray.from_arrays(
            pa.array((objects - first).astype(np.int32)), asked.ids.slice(first, end - first)
        )
        told = columns | {name: _words(columns[name], plan.series.kinds) for name in _KINDS & columns.keys()}
        table = pa.table({"contact_id": contact, "as_of": pa.array(as_of, INSTANT), **told})
        writer = writer or _writer(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _words(places: NDArray[np.generic], kinds: tuple[str, ...]) -> pa.DictionaryArray:
    missing = np.isnan(places)
    return pa.DictionaryArray.from_arrays(
        pa.array(np.where(missing, 0, places).astype(np.int32), mask=missing), pa.array(kinds, pa.string())
    )


def _writer(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    counts = [field.name for field in schema if pa.types.is_integer(field.type)]
    return pq.ParquetWriter(
        file,
        schema,
        compression="none",
        use_dictionary=["contact_id", *(_KINDS & set(schema.names))],
        write_statistics=False,
        # Most counts are small and many are 0: an eighth of the bytes, for the time that writing the others takes.
        column_encoding=dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
    )


def load_compiled_code() -> None:
    """Load the compiled code, by using it on next to nothing."""
    from features.activity_columns import activity_columns
    from features.activity_stream import CodedActivities, CodedBatch
    from features.behaviour_plan import BehaviourPlan
    from features.series import SeriesPlan

    nobody, someone = np.zeros(1, dtype=np.int32), pa.array(["a"], type=pa.large_string())
    now = np.zeros(1, dtype=np.int64)
    plan = BehaviourPlan(SeriesPlan(("a",)), windows_days=(1.0,))
    stream = CodedActivities([CodedBatch(nobody, nobody, now, now)], someone, someone).of_contacts(
        someone, plan=plan.series, discount=plan.discount
    )
    activity_columns(stream, objects=now, as_of=now, plan=plan, only=["a_total"])
