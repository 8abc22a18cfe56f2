"""Reading the warehouse of activities: all of them, those of some contacts, or so many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from features.errors import LeadScoringError

if TYPE_CHECKING:
    # What only reads numbers does without pandas, which takes as long to begin as ten million activities to read.
    import duckdb
    import pandas as pd

    from features.activity_stream import CodedActivities
    from features.plausibility import TableProfile

CODED: Final = ("contact_id", "deal_id", "type", "direction", "outcome", "name", "owner_id")
"""The columns of words, each kept as codes of its own table of words; a missing one is -1."""
TIMES: Final = ("occurred_at", "known_at")
TEXT: Final = pa.large_string()
_READ: Final = (*CODED, *TIMES, "duration_seconds")
_MISSING: Final = np.iinfo(np.int64).min


class WarehouseError(LeadScoringError):
    """The warehouse cannot be used."""

    def __init__(self, *, file: Path | None, problem: str) -> None:
        self.file = file
        super().__init__(
            f"the warehouse of activities{'' if file is None else f' at {file}'} must be readable and writable; found: "
            f"{problem}. Make room, raise memory_gigabytes, or remove the file: the next run builds it again."
        )


class WarehouseReading:
    """An open warehouse: what of it only looks."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, file: Path | None) -> None:
        import duckdb

        self._connection = connection
        self._file = file
        self._failure = duckdb.Error
        self._dictionaries: dict[str, pa.Array] = {}
        self._knows_beginnings = False

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def rows(self) -> int:
        """Return how many activities there are, each in the version that counts."""
        with self._in_our_words():
            ((count,),) = self._all("select count(*) from activity where is_current")
        return int(count)

    def newest(self, *, before: int) -> int | None:
        """Return when the last activity became known that was known before an instant (microseconds), if any."""
        with self._in_our_words():
            ((newest,),) = self._all(
                "select max(known) from (select greatest(occurred_at, known_at) as known from activity "
                "where is_current) where known < ?",
                [before],
            )
        return None if newest is None else int(newest)

    def contact_count(self) -> int:
        """Return how many contacts the activities name."""
        with self._in_our_words():
            ((count,),) = self._all("select count(*) from word_contact_id")
        return int(count)

    def contact_rows(self) -> pa.Table:
        """Count the activities of each contact (``contact_id``, ``rows``), by id; those of nobody are not counted."""
        with self._in_our_words():
            return self._connection.sql(
                "select value as contact_id, count(*) as rows from activity join word_contact_id on code = contact_id "
                "where is_current group by value order by value"
            ).to_arrow_table()

    def profile(self) -> TableProfile:
        """Return what all activities look like in numbers."""
        from features.activity_profile import profile_activities

        with self._in_our_words():
            return profile_activities(self._all)

    def rows_of_contacts(self) -> pd.Series[int]:
        """Count the activities of each contact, by its id; those of nobody are not counted."""
        import pandas as pd

        counts = self.contact_rows()
        ids = pd.Index(counts["contact_id"].to_numpy(), dtype="str")
        return pd.Series(counts["rows"].to_numpy(), index=ids, dtype="int64")

    def read(self, *, contacts: pd.Index | None = None, of_deals: bool = False) -> pd.DataFrame:
        """Return all activities in the columns of the contract but without their ids, or those of some contacts.

        To these come, if wanted, all that name a deal, and the first of each kind and name, whosever it is: since when
        something has been recorded at all is then told by the part as by the whole. Words are categories; times are
        ``datetime64[us, UTC]``.
        """
        columns = f"select {', '.join(_READ)} from activity"
        with self._in_our_words():
            query = f"{columns} where is_current"
            if contacts is not None:
                self._choose(contacts)
                self._find_beginnings()
                own = "contact_id in (from chosen)"
                wanted = f"({own} or deal_id >= 0)" if of_deals else own
                query += f" and {wanted} union all {columns} where rowid in (from beginning) and not {wanted}"
            table = self._connection.sql(query).to_arrow_table()
            return self._frame({name: table[name].to_numpy() for name in _READ})

    def batches(self, *, rows: int) -> Iterator[pd.DataFrame]:
        """Yield all activities as ``read`` returns them, so many at a time; nothing else may be asked meanwhile."""
        with self._in_our_words():
            for name in CODED:
                self._dictionary(name)
            query = f"select {', '.join(_READ)} from activity where is_current"
            for batch in self._connection.sql(query).to_arrow_reader(rows):
                yield self._frame({name: batch[name].to_numpy() for name in _READ})

    def read_coded(
        self, *, contacts: pa.Array | None = None, directions: bool = False, outcomes: bool = False
    ) -> CodedActivities:
        """Return what features of contacts rest on, or of some contacts alone, as numbers."""
        from features.activity_stream import CodedActivities, CodedBatch

        words = ["contact_id", "type", *(["direction"] if directions else []), *(["outcome"] if outcomes else [])]
        with self._in_our_words():
            chosen = ""
            if contacts is not None:
                self._choose(contacts)
                chosen = "semi join chosen on chosen.code = activity.contact_id"
            ((newest,),) = self._all("select max(known_at) from activity")
            late = newest is not None and newest > _MISSING
            table = self._connection.sql(
                f"select {', '.join(words)}, occurred_at{', greatest(occurred_at, known_at) as known' if late else ''} "
                f"from activity {chosen} where is_current"
            ).to_arrow_table()
            listed = {name: self._dictionary(name) for name in words}
        batches = []
        for batch in table.to_batches():
            columns = {name: batch[name].to_numpy() for name in table.column_names}
            occurred = columns["occurred_at"]
            batches.append(
                CodedBatch(
                    contact=columns["contact_id"],
                    kind=columns["type"],
                    occurred=occurred,
                    times=columns.get("known", occurred),
                    direction=columns.get("direction"),
                    outcome=columns.get("outcome"),
                )
            )
        return CodedActivities(
            batches=batches,
            contacts=listed["contact_id"],
            kinds=listed["type"],
            directions=listed.get("direction"),
            outcomes=listed.get("outcome"),
        )

    def _dictionary(self, name: str) -> pa.Array:
        """Return the words of a column in the order of their codes."""
        if name not in self._dictionaries:
            found = self._connection.sql(f"select value from word_{name} order by code").to_arrow_table()
            self._dictionaries[name] = found["value"].cast(TEXT).combine_chunks()
        return self._dictionaries[name]

    def _choose(self, contacts: pd.Index | pa.Array) -> None:
        with self._registered(pa.table({"value": pa.array(contacts, type=TEXT)})):
            self._run(
                "create or replace temp table chosen as "
                "select code from word_contact_id semi join incoming using (value)"
            )

    def _find_beginnings(self) -> None:
        if not self._knows_beginnings:
            self._run(
                "create or replace temp table beginning as "
                "select arg_min(rowid, row(greatest(occurred_at, known_at), activity_id)) as place "
                "from activity where is_current group by type, name"
            )
            self._knows_beginnings = True

    def _frame(self, found: dict[str, Any]) -> pd.DataFrame:
        import pandas as pd

        columns: dict[str, Any] = {
            name: pd.Categorical.from_codes(
                found[name], dtype=pd.CategoricalDtype(pd.Index(self._dictionary(name), dtype="str")), validate=False
            )
            for name in CODED
        }
        for name in TIMES:
            # The least number is a missing time to pandas too.
            columns[name] = pd.DatetimeIndex(found[name].view("datetime64[us]"), tz="UTC")
        return pd.DataFrame(columns | {"duration_seconds": found["duration_seconds"]}, copy=False)

    @contextmanager
    def _registered(self, table: pa.Table) -> Iterator[None]:
        self._connection.register("incoming", table)
        yield
        self._connection.unregister("incoming")

    def _run(self, query: str, values: Sequence[object] | None = None) -> None:
        self._connection.execute(query, values)

    def _all(self, query: str, values: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            raise WarehouseError(file=self._file, problem=str(error).splitlines()[0]) from error
