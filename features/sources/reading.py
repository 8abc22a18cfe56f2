"""One CSV or Parquet file to raw Arrow columns, and what is wrong with the file itself."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.findings import Finding

# a longer row than this cannot be read; 16 MB also keeps both cores busy on large files
_BLOCK_BYTES: Final = 1 << 24
_INDEX_PREFIX: Final = "__index_level_"
_DAMAGED_PARQUET: Final = "expected a Parquet file, but its structure is damaged or foreign; export it again"


@dataclass(frozen=True)
class RawTable:
    """The columns of one file (none if it cannot be read) and the number of each row in the file."""

    columns: pa.Table | None
    row_numbers: npt.NDArray[np.int64]
    findings: tuple[Finding, ...]


class _UnreadableFileError(Exception):
    """A file cannot be read: the finding's code, and the rest of its message."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def read_file(*, path: Path, table: str) -> RawTable:
    """Read one ``.csv``, ``.csv.gz`` or ``.parquet`` file; CSV columns come as text, an empty field as null."""
    findings: list[Finding] = []
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise _UnreadableFileError("empty-file", "the file is empty; expected at least a header; export it again")
        if path.name.endswith(".parquet"):
            columns = _read_parquet(path)
            numbers = np.arange(1, columns.num_rows + 1)
        else:
            columns, numbers = _read_csv(path, table, findings)
        columns = _named_columns(columns, path, table, findings)
    except _UnreadableFileError as error:
        findings.append(Finding("error", error.code, table, f"{path.name}: {error.message}"))
    except OSError as error:
        reason = error.strerror or "the operating system gave no reason"
        findings.append(Finding("error", "malformed-file", table, f"{path.name}: cannot be read ({reason}); mend it"))
    else:
        return RawTable(columns, numbers, tuple(findings))
    return RawTable(None, np.arange(0), tuple(findings))


def read_batches(*, path: Path, table: str, rows: int) -> Iterator[RawTable]:
    """Read a file as ``read_file`` does, at most so many rows at a time; a Parquet file is never held as a whole."""
    if path.name.endswith(".parquet"):
        yield from _parquet_batches(path, table, rows)
        return
    whole = read_file(path=path, table=table)
    if whole.columns is None or whole.columns.num_rows <= rows:
        yield whole
        return
    for first in range(0, whole.columns.num_rows, rows):
        yield RawTable(
            columns=whole.columns.slice(first, rows),
            row_numbers=whole.row_numbers[first : first + rows],
            findings=whole.findings if first == 0 else (),
        )


def _parquet_batches(path: Path, table: str, rows: int) -> Iterator[RawTable]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        many = file.metadata.num_rows > rows
    except (pa.ArrowException, OSError):
        many = False
    if not many:
        yield read_file(path=path, table=table)
        return
    done = 0
    with file:
        try:
            for groups in _groups_of(file, rows):
                # One reader would keep in memory what it has read, until the end of the file.
                for batch in file.iter_batches(batch_size=rows, row_groups=groups):
                    findings: list[Finding] = []
                    columns = _named_columns(pa.Table.from_batches([batch]), path, table, findings)
                    numbers = np.arange(done + 1, done + 1 + columns.num_rows)
                    yield RawTable(columns, numbers, tuple(findings) if done == 0 else ())
                    done += columns.num_rows
        except (pa.ArrowException, OSError):
            message = f"{path.name}: {_DAMAGED_PARQUET}"
            yield RawTable(None, np.arange(0), (Finding("error", "malformed-file", table, message),))


def _groups_of(file: pyarrow.parquet.ParquetFile, rows: int) -> Iterator[list[int]]:
    """Yield row groups that follow each other and have so many rows together, or one if it alone has."""
    groups: list[int] = []
    held = 0
    for group in range(file.metadata.num_row_groups):
        own = file.metadata.row_group(group).num_rows
        if groups and held + own > rows:
            yield groups
            groups, held = [], 0
        groups.append(group)
        held += own
    if groups:
        yield groups


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pyarrow.parquet.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise _UnreadableFileError("malformed-file", _DAMAGED_PARQUET) from error


def _read_csv(path: Path, table: str, findings: list[Finding]) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    header = _header(path)
    repeated = sorted({name for name in header if header.count(name) > 1 and name})
    if repeated:
        raise _UnreadableFileError(
            "malformed-file", f"column {', '.join(repeated)} is named more than once in the header; rename or drop one"
        )
    try:
        columns, skipped = _parse(path, header, threads=True)
        if skipped:
            columns, skipped = _parse(path, header, threads=False)
    except pa.ArrowInvalid as error:
        raise _explained(path, str(error)) from error
    except OSError as error:
        raise _damaged_archive() if path.name.endswith(".gz") else error from error
    _refuse_open_quote(path, columns)
    numbers = np.arange(1, columns.num_rows + len(skipped) + 1)
    if skipped:
        numbers = np.delete(numbers, np.array(skipped, dtype=np.int64) - 1)
        shown = tuple(f"row {row}" for row in skipped[:3])
        message = (
            f"{path.name}: {len(skipped)} row(s) ({', '.join(shown)}) do not have the {len(header)} field(s) that the "
            "header names; quote fields that hold commas or quotation marks and export it again"
        )
        findings.append(Finding("error", "malformed-file", table, message, count=len(skipped), examples=shown))
    return columns, numbers


def _header(path: Path) -> list[str]:
    try:
        with closing(_open(path)) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            for fields in csv.reader(text):
                if fields:
                    return fields
    except UnicodeDecodeError as error:
        raise _bad_encoding(path) from error
    except csv.Error as error:
        raise _UnreadableFileError("malformed-file", "the header is not CSV; export the file again") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged_archive() from error
    raise _UnreadableFileError("empty-file", "there is no header; expected one naming the columns; export it again")


def _parse(path: Path, header: list[str], *, threads: bool) -> tuple[pa.Table, list[int]]:
    """Return the well-formed rows, and which rows were not (their numbers only without threads)."""
    skipped: list[int] = []

    def skip(row: Any) -> str:
        # Arrow counts the header as row 1 and does not number rows that threads read
        skipped.append((row.number or 1) - 1)
        return "skip"

    columns = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=threads, block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.large_string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    return columns, skipped


def _refuse_open_quote(path: Path, columns: pa.Table) -> None:
    """Refuse a quotation mark that is never closed: the parser would take all that follows for one value."""
    if not columns.num_rows or not columns.num_columns:
        return
    last = columns.column(columns.num_columns - 1)[-1].as_py()
    if last is None or "\n" not in last or _closes_with_quote(path):
        return
    raise _UnreadableFileError(
        "malformed-file",
        f"a quotation mark opened in row {columns.num_rows} is never closed; close it and export it again",
    )


def _closes_with_quote(path: Path) -> bool:
    tail = b""
    with closing(_open(path)) as stream:
        while block := stream.read(_BLOCK_BYTES):
            tail = (tail + block)[-1024:]
    return tail.rstrip().endswith(b'"')


def _explained(path: Path, reason: str) -> _UnreadableFileError:
    # Arrow quotes the row in its message, which may hold personal data: it goes no further
    if "invalid UTF8" in reason:
        return _bad_encoding(path)
    if path.name.endswith(".gz") and ("zlib" in reason or "gzip" in reason):
        return _damaged_archive()
    return _UnreadableFileError(
        "malformed-file", "expected comma-separated rows below a header; a quotation mark may be open; export it again"
    )


def _bad_encoding(path: Path) -> _UnreadableFileError:
    line = 1
    with closing(_open(path)) as stream:
        for content in stream:
            if not _is_utf8(content):
                break
            line += 1
    where = "the header" if line == 1 else f"row {line - 1}"
    return _UnreadableFileError("bad-encoding", f"expected UTF-8, but {where} is not; save the file as UTF-8")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _damaged_archive() -> _UnreadableFileError:
    return _UnreadableFileError("malformed-file", "expected a gzip file, but it is damaged; export it again")


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _named_columns(columns: pa.Table, path: Path, table: str, findings: list[Finding]) -> pa.Table:
    """Leave out columns without a name, such as the row numbers that pandas writes."""
    names = columns.column_names
    if len(set(names)) < len(names):
        raise _UnreadableFileError("malformed-file", "two columns have the same name; rename or drop one")
    unnamed = [name for name in names if not name.strip() or name.startswith(_INDEX_PREFIX)]
    if not unnamed:
        return columns
    findings.append(
        Finding("info", "unnamed-column", table, f"{path.name}: {len(unnamed)} column(s) without a name are not used")
    )
    return columns.drop_columns(unnamed)
