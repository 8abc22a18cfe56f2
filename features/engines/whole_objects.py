"""Record batches regrouped so that no object is cut between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc


def whole_objects(batches: Iterable[pa.RecordBatch], *, key: str, least_rows: int) -> Iterator[pa.Table]:
    """Yield tables of whole objects from batches in which the rows of each object follow each other.

    Each but the last has ``least_rows`` rows or more, less the object that was not over by then. What is held is that
    many rows, or those of the largest object.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        rows += batch.num_rows
        if rows < least_rows:
            continue
        table = pa.Table.from_batches(held)
        begins = pc.index(table[key], batch[key][-1]).as_py()
        if begins:
            yield table.slice(0, begins)
            held = table.slice(begins).to_batches()
            rows -= begins
    if held:
        yield pa.Table.from_batches(held)
