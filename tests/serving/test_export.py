"""Published rows as files: exact, whole, the same every time, and inert in a spreadsheet."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from serving import walks
from serving.contract import CONTRACTS, conform, contract_of
from serving.export import Exported, ExportError, write_chunks
from serving.export import export as export_batch
from serving.formats import Format
from serving.store import ScoreStore, StoredBatch, UnknownBatchError
from serving.walks import Chunk
from tests.serving.conftest import MARCH, make_batch, make_contact, make_deal, make_reasons, unscored_deal

FORMATS: tuple[Format, ...] = ("csv", "parquet", "ndjson", "arrow")


def published(question: str, *rows: dict[str, Any]) -> pd.DataFrame:
    """Rows as the store reads them back."""
    stamped = pd.DataFrame(list(rows)).assign(batch_id="b1", scored_at=pd.Timestamp("2024-03-02T04:05:00.25Z"))
    return conform(question, stamped)


def export(frame: pd.DataFrame, question: str, kind: Format, out: Path) -> Exported:
    """Write rows, also such as the store would refuse, as if they were read from it."""
    batch = StoredBatch(
        batch_id="b1",
        sequence=1,
        contract_version="1.2",
        as_of=MARCH,
        scored_at=datetime(2024, 3, 2, 4, 5, 0, 250000, tzinfo=UTC),
        model_versions={},
        summary={},
        rows={question: len(frame)},
        digest="",
        change_step=None,
        latest_for=(),
    )
    columns = {
        str(name): [None if pd.isna(value) else value for value in values.astype(object)]
        for name, values in frame.items()
    }
    chunk = Chunk(columns=columns, ids=columns[contract_of(question).id_column], last=None)
    return write_chunks([chunk], question, batch, kind, out, fields=contract_of(question).names)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_ndjson(path: Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line, parse_constant=refuse) for line in lines]


def test_csv_holds_every_column_with_times_in_utc_and_null_empty(tmp_path: Path) -> None:
    written = export(published("deals", make_deal("d1"), unscored_deal("d2")), "deals", "csv", tmp_path / "deals.csv")

    scored, unscored = read_csv(tmp_path / "deals.csv")
    assert (written.rows, written.size_bytes) == (2, (tmp_path / "deals.csv").stat().st_size)
    assert tuple(scored) == CONTRACTS["deals"].names
    assert (scored["as_of"], scored["scored_at"]) == ("2024-03-01T00:00:00Z", "2024-03-02T04:05:00.250000Z")
    assert scored["expected_close_at"] == "2024-04-10T12:00:00.000001Z"
    assert (scored["win_probability"], scored["stalled"], scored["amount"]) == ("0.3", "true", "1000.1")
    assert json.loads(scored["reasons"]) == json.loads(make_reasons())
    assert (unscored["win_probability"], unscored["stalled"], unscored["expected_close_at"]) == ("", "", "")
    assert unscored["not_scored"] == "no stage history"


def test_ndjson_holds_reasons_as_a_list_and_null_as_null(tmp_path: Path) -> None:
    export(published("deals", make_deal("d1"), unscored_deal("d2")), "deals", "ndjson", tmp_path / "deals.ndjson")

    scored, unscored = read_ndjson(tmp_path / "deals.ndjson")
    assert tuple(scored) == CONTRACTS["deals"].names
    assert scored["reasons"] == json.loads(make_reasons())
    assert (scored["stalled"], scored["amount"], scored["as_of"]) == (True, 1000.1, "2024-03-01T00:00:00Z")
    assert {unscored[name] for name in ("win_probability", "stalled", "reasons", "expected_close_at", "stage")} == {
        None
    }


def test_a_parquet_file_has_few_groups_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks, "CHUNK_ROWS", 2)
    store = ScoreStore(f"sqlite:///{tmp_path / 'scores.db'}")
    store.publish(make_batch(deals=pd.DataFrame(list(map(make_deal, "abcdefgh")))))

    export_batch(store, "deals", "latest", "parquet", tmp_path / "deals.parquet")
    store.close()

    file = pq.ParquetFile(tmp_path / "deals.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [6, 2]
    assert file.read().column("deal_id").to_pylist() == list("abcdefgh")


def test_parquet_has_the_contracts_schema_and_says_which_batch_it_is(tmp_path: Path) -> None:
    export(published("deals", make_deal("d1"), unscored_deal("d2")), "deals", "parquet", tmp_path / "deals.parquet")

    table = pq.read_table(tmp_path / "deals.parquet")
    assert tuple(table.schema.names) == CONTRACTS["deals"].names
    assert table.schema.metadata == {
        b"contract_version": b"1.2",
        b"question": b"deals",
        b"batch_id": b"b1",
        b"as_of": b"2024-03-01T00:00:00Z",
    }
    assert table.schema.field("as_of").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("deal_id").nullable is False
    assert table.schema.field("stalled").type == pa.bool_()
    assert table.column("win_probability").to_pylist() == [0.3, None]
    assert table.column("stalled").to_pylist() == [True, None]
    assert json.loads(table.column("reasons").to_pylist()[0]) == json.loads(make_reasons())


@pytest.mark.parametrize("kind", FORMATS)
def test_exporting_twice_gives_the_same_bytes(tmp_path: Path, kind: Format) -> None:
    frame = published("deals", make_deal("d1"), unscored_deal("d2"))

    export(frame, "deals", kind, tmp_path / "first")
    export(frame, "deals", kind, tmp_path / "second")

    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_batch_without_rows_is_a_file_without_rows(tmp_path: Path, kind: Format) -> None:
    written = export(published("contacts", make_contact()).iloc[:0], "contacts", kind, tmp_path / "none")

    assert (written.rows, (tmp_path / "none").exists()) == (0, True)


def test_floats_make_the_round_trip(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    numbers = [1 / 3, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, -2.5, *chance.normal(size=50).tolist()]
    frame = published("deals", *(make_deal(f"d{place}", amount=number) for place, number in enumerate(numbers)))

    export(frame, "deals", "csv", tmp_path / "deals.csv")
    export(frame, "deals", "ndjson", tmp_path / "deals.ndjson")

    assert [float(row["amount"]) for row in read_csv(tmp_path / "deals.csv")] == numbers
    assert [row["amount"] for row in read_ndjson(tmp_path / "deals.ndjson")] == numbers


HOSTILE = (
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1+1",
    "\ufeff=1",
    "\u202e=1",
    "\u200b=1",
    "\uff1d1+1",
    "\0=cmd",
    "a\0b",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_that_a_spreadsheet_would_run_is_neutralised_in_csv_alone(tmp_path: Path, hostile: str) -> None:
    frame = published("deals", make_deal("d1", stage=hostile, amount=-5.0))
    kept = hostile.replace("\0", "\ufffd")

    export(frame, "deals", "csv", tmp_path / "deals.csv")
    export(frame, "deals", "ndjson", tmp_path / "deals.ndjson")
    export(frame, "deals", "parquet", tmp_path / "deals.parquet")

    (cells,) = read_csv(tmp_path / "deals.csv")
    assert cells["stage"] == (f"'{kept}" if hostile != "a\0b" else kept)
    assert cells["amount"] == "-5.0"
    assert b"\0" not in (tmp_path / "deals.csv").read_bytes()
    assert read_ndjson(tmp_path / "deals.ndjson")[0]["stage"] == kept
    assert pq.read_table(tmp_path / "deals.parquet").column("stage").to_pylist() == [kept]


@pytest.mark.parametrize(
    "text",
    [
        "a,b;c",
        'say "hi"',
        "two\nlines\r\nthree",
        "\u202eevil",
        "Müller & Söhne 株式会社 🎉",
        "'quoted",
        "\u2028",
        "nan",
        "null",
    ],
)
def test_odd_text_survives_unchanged(tmp_path: Path, text: str) -> None:
    frame = published("deals", make_deal("d1", stage=text))

    export(frame, "deals", "csv", tmp_path / "deals.csv")
    export(frame, "deals", "ndjson", tmp_path / "deals.ndjson")

    assert read_csv(tmp_path / "deals.csv")[0]["stage"] == text
    assert read_ndjson(tmp_path / "deals.ndjson")[0]["stage"] == text


def test_hostile_text_inside_reasons_stays_inside_its_json(tmp_path: Path) -> None:
    first, second = json.loads(make_reasons())
    first["words"] = '=1+1\0\n"</script>\u202e\ud800'
    reasons = json.dumps([first, second], indent=1)

    export(published("deals", make_deal("d1", reasons=reasons)), "deals", "csv", tmp_path / "deals.csv")
    export(published("deals", make_deal("d1", reasons=reasons)), "deals", "ndjson", tmp_path / "deals.ndjson")

    assert json.loads(read_csv(tmp_path / "deals.csv")[0]["reasons"]) == [first, second]
    assert read_ndjson(tmp_path / "deals.ndjson")[0]["reasons"] == [first, second]


def test_an_empty_text_is_told_from_a_missing_one_in_csv(tmp_path: Path) -> None:
    export(published("deals", make_deal("d1", stage="", pipeline=None)), "deals", "csv", tmp_path / "deals.csv")

    line = (tmp_path / "deals.csv").read_text(encoding="utf-8").splitlines()[1]
    assert '"deals-2",,"",12.5,' in line


def test_nan_is_in_no_file(tmp_path: Path) -> None:
    frame = published("deals", unscored_deal("d2"), make_deal("d1", amount=math.nan))

    export(frame, "deals", "csv", tmp_path / "deals.csv")
    export(frame, "deals", "ndjson", tmp_path / "deals.ndjson")

    assert "nan" not in (tmp_path / "deals.csv").read_text(encoding="utf-8").lower()
    assert "nan" not in (tmp_path / "deals.ndjson").read_text(encoding="utf-8").lower()


def test_a_failing_export_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "deals.ndjson"
    export(published("deals", make_deal("d1")), "deals", "ndjson", out)
    before = out.read_bytes()
    broken = published("deals", make_deal("d1"), make_deal("d2", reasons="[NaN]"))

    with pytest.raises(ExportError, match="NaN is not JSON"):
        export(broken, "deals", "ndjson", out)

    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nowhere") as caught:
        export(published("deals", make_deal("d1")), "deals", "csv", tmp_path / "nowhere" / "deals.csv")

    assert caught.value.path == tmp_path / "nowhere" / "deals.csv"


def test_an_unknown_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="one of csv, parquet, ndjson, arrow; found 'xlsx'"):
        export(published("deals", make_deal("d1")), "deals", "xlsx", tmp_path / "out")  # type: ignore[arg-type] # the point


def test_a_batch_is_exported_from_the_store_the_same_from_both_databases(store: ScoreStore, tmp_path: Path) -> None:
    store.publish(make_batch())

    for kind in FORMATS:
        export_batch(store, "deals", "latest", kind, tmp_path / kind)

    frame = pd.DataFrame([make_deal("D2"), make_deal("d1"), unscored_deal("d3")])
    stamped = conform("deals", frame.assign(batch_id="b1", scored_at=pd.Timestamp("2024-03-02T04:05:00Z")))
    assert [row["deal_id"] for row in read_ndjson(tmp_path / "ndjson")] == ["D2", "d1", "d3"]
    assert_frame_equal(conform("deals", pq.read_table(tmp_path / "parquet").to_pandas()), stamped)
    with pa.ipc.open_stream(tmp_path / "arrow") as stream:
        assert stream.read_all().equals(pq.read_table(tmp_path / "parquet"))
    with pytest.raises(UnknownBatchError):
        export_batch(store, "deals", "b9", "csv", tmp_path / "none")
    assert not (tmp_path / "none").exists()
