"""A batch's rows as a file, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import LeadScoringError
from serving.batch import StoredBatch
from serving.contract import contract_of
from serving.formats import FORMATS, Format, encode
from serving.store import ScoreStore
from serving.walks import Chunk, walk


class ExportError(LeadScoringError):
    """The rows could not be written to a file; the file is what it was before."""

    def __init__(self, message: str, *, path: Path) -> None:
        self.path = path
        super().__init__(message)


@dataclass(frozen=True)
class Exported:
    """A file that was written whole; ``last`` is the id to go on after, None where the batch ends with it."""

    path: Path
    rows: int
    size_bytes: int
    last: str | None


def export(store: ScoreStore, question: str, batch_id: str, format: Format, out: Path) -> Exported:  # noqa: A002 - the CLI's word
    """Write all rows of a batch (``latest`` for the latest) to ``out``; the same batch gives the same bytes."""
    batch = store.batch(question, batch_id)
    names = contract_of(question).names
    return write_chunks(walk(store, question, batch, fields=names), question, batch, format, out, fields=names)


def write_chunks(
    chunks: Iterable[Chunk],
    question: str,
    batch: StoredBatch,
    format: Format,  # noqa: A002 - the CLI's word
    out: Path,
    *,
    fields: Sequence[str],
) -> Exported:
    """Write some columns of rows of a batch aside and move the file into its place."""
    if format not in FORMATS:
        raise ExportError(
            f"an export's format must be one of {', '.join(FORMATS)}; found {format!r}. Use one of these.", path=out
        )
    counted = _Counted(chunks)
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        with aside.open("xb") as file:
            for part in encode(format, question, batch, counted, fields=fields):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        aside.replace(out)
    except OSError as error:
        raise ExportError(
            f"an export must be able to write to {out}; found {error.strerror or error}. Choose a writable file in a "
            "folder that exists.",
            path=out,
        ) from error
    except ValueError as error:
        raise ExportError(
            f"an export must be made of rows that keep the contract; found a value that {error}. Nothing was written; "
            "check the batch with serving.contract.check_rows.",
            path=out,
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return Exported(path=out, rows=counted.rows, size_bytes=size_bytes, last=counted.last)


class _Counted:
    """Passes chunks on, counts their rows and remembers where they end."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = chunks
        self.rows = 0
        self.last: str | None = None

    def __iter__(self) -> Iterator[Chunk]:
        return map(self._count, self._chunks)

    def _count(self, chunk: Chunk) -> Chunk:
        self.rows += len(chunk.ids)
        self.last = chunk.last
        return chunk
