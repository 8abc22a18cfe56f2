"""FolderSource: good files give typed tables, bad ones give findings that name the place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from features.checks import check_tables
from features.contracts import CONTRACTS, validate
from features.findings import Finding
from features.sources.folder import FolderSource, MissingFolderError
from features.sources.times import parse_times
from features.tables import TABLE_NAMES, CrmTables

CONTACTS = "contact_id,created_at,age,vip,city\nc1,2024-01-01T00:00:00Z,41,true,Ulm\nc2,2024-01-02T00:00:00Z,,False,\n"
DEALS = "deal_id,created_at,pipeline,amount\nd1,2024-01-01T00:00:00Z,sales,100\n"
HISTORY = "deal_id,stage,entered_at\nd1,demo,2024-01-01T00:00:00Z\n"
STAGES = "pipeline,stage,label,position,outcome\nsales,demo,Demo,1,open\nsales,won,Won,2,won\n"


def read(folder: Path, **files: str | bytes) -> tuple[CrmTables, list[Finding]]:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.csv").write_bytes(data)
    return FolderSource(folder).read()


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_good_folder_gives_typed_tables_without_findings(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, contacts=CONTACTS, deals=DEALS, deal_stage_history=HISTORY, stages=STAGES)

    assert findings == []
    assert tables.absent == ("companies", "activities", "deal_contacts", "property_history", "owners")
    assert tables["contacts"]["contact_id"].tolist() == ["c1", "c2"]
    assert tables["contacts"]["created_at"].tolist() == [
        pd.Timestamp("2024-01-01", tz="UTC"),
        pd.Timestamp("2024-01-02", tz="UTC"),
    ]
    assert all(validate(name, tables[name]) == [] for name in TABLE_NAMES)


def test_optional_columns_that_are_not_there_are_all_missing_in_their_dtype(tmp_path: Path) -> None:
    tables, _ = read(tmp_path, contacts=CONTACTS, deals=DEALS, deal_stage_history=HISTORY, stages=STAGES)

    deals = tables["deals"]
    assert tuple(deals.columns) == CONTRACTS["deals"].names
    assert deals[["currency", "expected_close_at", "owner_id"]].isna().all().all()
    assert str(deals["expected_close_at"].dtype) == "datetime64[us, UTC]"


def test_properties_are_numbers_if_all_values_are_and_text_otherwise(tmp_path: Path) -> None:
    tables, _ = read(tmp_path, contacts=CONTACTS)

    contacts = tables["contacts"]
    assert contacts["age"].dtype == "float64"
    assert contacts["age"].tolist()[0] == 41.0
    assert contacts["vip"].tolist() == ["true", "false"]
    assert contacts["city"].isna().tolist() == [False, True]


def test_csv_gzip_and_parquet_give_the_same_tables(tmp_path: Path) -> None:
    folders = {kind: tmp_path / kind for kind in ("csv", "gz", "parquet")}
    for folder in folders.values():
        folder.mkdir()
    (folders["csv"] / "contacts.csv").write_text(CONTACTS)
    (folders["gz"] / "contacts.csv.gz").write_bytes(gzip.compress(CONTACTS.encode()))
    typed = pd.DataFrame(
        {
            "contact_id": ["c1", "c2"],
            "created_at": pd.to_datetime(["2024-01-01T01:00:00+01:00", "2024-01-02T01:00:00+01:00"]),
            "age": [41, None],
            "vip": [True, False],
            "city": pd.Categorical(["Ulm", None]),
        }
    )
    typed.to_parquet(folders["parquet"] / "contacts.parquet")

    read_tables = {kind: FolderSource(folder).read() for kind, folder in folders.items()}

    assert [findings for _, findings in read_tables.values()] == [[], [], []]
    assert len({tables.digest() for tables, _ in read_tables.values()}) == 1
    for kind in ("gz", "parquet"):
        pd.testing.assert_frame_equal(read_tables["csv"][0]["contacts"], read_tables[kind][0]["contacts"])


def test_whole_numbers_that_parquet_holds_as_floats_are_ids_without_a_decimal_point(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"contact_id": [7, 8], "created_at": pd.to_datetime(["2024-01-01T00:00Z"] * 2), "company_id": [12.0, None]}
    )
    frame.to_parquet(tmp_path / "contacts.parquet")

    tables, findings = FolderSource(tmp_path).read()

    assert findings == []
    assert tables["contacts"]["contact_id"].tolist() == ["7", "8"]
    assert tables["contacts"]["company_id"].dropna().tolist() == ["12"]


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-01T12:30:00+02:00",
        "2024-03-01 12:30:00+0200",
        "2024-03-01T10:30Z",
        "2024-03-01t10:30:00z",
        "2024-03-01T10:30:00.000000000Z",
        " 2024-03-01T10:30:00Z ",
        "2024-03-01T05:00:00-05:30",
    ],
)
def test_any_zone_and_precision_comes_out_as_the_same_instant_in_utc(tmp_path: Path, written: str) -> None:
    tables, findings = read(tmp_path, contacts=f"contact_id,created_at\nc1,{written}\n")

    assert findings == []
    assert tables["contacts"]["created_at"].tolist() == [pd.Timestamp("2024-03-01T10:30:00Z")]


def test_naive_times_are_named_by_row_and_their_rows_dropped(tmp_path: Path) -> None:
    tables, findings = read(
        tmp_path, contacts="contact_id,created_at\nc1,2024-01-01T00:00:00Z\nc2,2024-01-02T00:00:00\nc3,2024-01-03\n"
    )

    finding = only(findings)
    assert (finding.severity, finding.code, finding.table, finding.column) == (
        "error",
        "naive-time",
        "contacts",
        "created_at",
    )
    assert finding.count == 2
    assert finding.examples == ("row 2: '2024-01-02T00:00:00'", "row 3: '2024-01-03'")
    assert finding.message.startswith("contacts.csv, column created_at: a time without a zone")
    assert tables["contacts"]["contact_id"].tolist() == ["c1"]


@pytest.mark.parametrize(
    "written",
    ["yesterday", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00", "2024-01-01T24:00:00Z", "1704067200", "01/02/2024"],
)
def test_impossible_or_unreadable_time_is_bad(tmp_path: Path, written: str) -> None:
    _, findings = read(tmp_path, contacts=f"contact_id,created_at\nc1,2024-01-01T00:00:00Z\nc2,{written}\n")

    assert (only(findings).code, only(findings).examples) == ("bad-time", (f"row 2: '{written}'",))


def test_bad_time_in_an_optional_column_is_an_error_but_keeps_the_row(tmp_path: Path) -> None:
    deals = DEALS.replace("amount\n", "amount,expected_close_at\n").replace("100\n", "100,soon\n")

    tables, findings = read(tmp_path, deals=deals, deal_stage_history=HISTORY, stages=STAGES)

    assert (only(findings).severity, only(findings).code) == ("error", "bad-time")
    assert tables["deals"]["expected_close_at"].isna().tolist() == [True]


def test_naive_timestamps_in_parquet_are_naive(tmp_path: Path) -> None:
    frame = pd.DataFrame({"contact_id": ["c1"], "created_at": pd.to_datetime(["2024-01-01"])})
    frame.to_parquet(tmp_path / "contacts.parquet")

    _, findings = FolderSource(tmp_path).read()

    assert only(findings).code == "naive-time"


def test_text_where_a_number_belongs_is_a_wrong_type(tmp_path: Path) -> None:
    deals = "deal_id,created_at,pipeline,amount\n" + "".join(
        f"d{row},2024-01-01T00:00:00Z,sales,{amount}\n"
        for row, amount in enumerate(["1e3", '"1,5"', "inf", "", " 7"], start=1)
    )

    tables, findings = read(tmp_path, deals=deals, deal_stage_history=HISTORY, stages=STAGES)

    assert (only(findings).code, only(findings).column) == ("wrong-type", "amount")
    assert only(findings).examples == ("row 2: '1,5'", "row 3: 'inf'")
    assert tables["deals"]["amount"].fillna(-1.0).tolist() == [1000.0, -1.0, -1.0, -1.0, 7.0]


def test_column_type_that_no_contract_can_take_is_a_wrong_type(tmp_path: Path) -> None:
    columns = pa.table({"contact_id": [["c1"]], "created_at": [1704067200]})
    pyarrow.parquet.write_table(columns, tmp_path / "contacts.parquet")

    tables, findings = FolderSource(tmp_path).read()

    assert [(finding.code, finding.column) for finding in findings] == [
        ("wrong-type", "contact_id"),
        ("wrong-type", "created_at"),
    ]
    assert tables["contacts"].empty


def test_property_that_is_a_list_is_left_out_with_a_warning(tmp_path: Path) -> None:
    when = pd.to_datetime(["2024-01-01T00:00Z"])
    pd.DataFrame({"contact_id": ["c1"], "created_at": when, "tags": [["a", "b"]]}).to_parquet(
        tmp_path / "contacts.parquet"
    )

    tables, findings = FolderSource(tmp_path).read()

    assert (only(findings).severity, only(findings).column) == ("warning", "tags")
    assert "tags" not in tables["contacts"]


def test_missing_required_column_leaves_the_table_empty(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, contacts="contact_id,created\nc1,2024-01-01T00:00:00Z\n")

    assert (only(findings).code, only(findings).column) == ("missing-column", "created_at")
    assert "contacts.csv" in only(findings).message
    assert tables["contacts"].empty


def test_semicolons_are_recognised_as_the_cause_of_missing_columns(tmp_path: Path) -> None:
    _, findings = read(tmp_path, contacts="contact_id;created_at\nc1;2024-01-01T00:00:00Z\n")

    assert [finding.code for finding in findings] == ["missing-column", "missing-column"]
    assert "other than a comma" in findings[0].message


def test_missing_value_in_a_required_column_is_named(tmp_path: Path) -> None:
    tables, findings = read(
        tmp_path, contacts='contact_id,created_at\n"",2024-01-01T00:00:00Z\nc2,\nc3,2024-01-01T00:00:00Z\n'
    )

    assert [(finding.code, finding.column, finding.examples) for finding in findings] == [
        ("missing-value", "contact_id", ("row 1",)),
        ("missing-value", "created_at", ("row 2",)),
    ]
    assert tables["contacts"]["contact_id"].tolist() == ["c3"]


def test_cleared_property_value_is_no_missing_value(tmp_path: Path) -> None:
    _, findings = read(
        tmp_path,
        contacts=CONTACTS,
        property_history="object_type,object_id,property,value,known_at\ncontact,c1,city,,2024-01-01T00:00:00Z\n",
    )

    assert findings == []


def test_duplicate_key_keeps_the_first_row(tmp_path: Path) -> None:
    tables, findings = read(
        tmp_path,
        contacts="contact_id,created_at,age\nc1,2024-01-01T00:00:00Z,1\nc2,bad,2\nc1,2024-01-01T00:00:00Z,3\n",
    )

    assert [(finding.code, finding.examples) for finding in findings] == [
        ("bad-time", ("row 2: 'bad'",)),
        ("duplicate-key", ("row 3: 'c1'",)),
    ]
    assert tables["contacts"]["age"].tolist() == [1.0]


def test_missing_folder_raises_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFolderError, match="nowhere") as caught:
        FolderSource(tmp_path / "nowhere").read()

    assert caught.value.path == tmp_path / "nowhere"


def test_folder_without_contacts_and_deals_misses_a_table(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, owners="owner_id\nu1\n")

    assert (only(findings).severity, only(findings).code) == ("error", "missing-table")
    assert "found owners.csv" in only(findings).message
    assert tables["owners"]["owner_id"].tolist() == ["u1"]


def test_deals_need_their_history_and_stages(tmp_path: Path) -> None:
    _, findings = read(tmp_path, deals=DEALS)

    assert [(finding.code, finding.table) for finding in findings] == [
        ("missing-table", "deal_stage_history"),
        ("missing-table", "stages"),
    ]


def test_two_files_for_one_table_are_both_named(tmp_path: Path) -> None:
    (tmp_path / "contacts.csv.gz").write_bytes(gzip.compress(CONTACTS.encode()))

    tables, findings = read(tmp_path, contacts=CONTACTS)

    assert only(findings).code == "two-files"
    assert "contacts.csv and contacts.csv.gz" in only(findings).message
    assert tables["contacts"].empty
    assert tables.has("contacts")


def test_file_of_another_name_is_told(tmp_path: Path) -> None:
    _, findings = read(tmp_path, contacts=CONTACTS, Company="company_id,created_at\n")

    assert (only(findings).severity, only(findings).code) == ("info", "unknown-file")
    assert "companies" in only(findings).message


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_file_without_header_is_empty(tmp_path: Path, content: bytes) -> None:
    _, findings = read(tmp_path, contacts=content)

    assert (only(findings).severity, only(findings).code) == ("error", "empty-file")
    assert "contacts.csv" in only(findings).message


def test_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, contacts="contact_id,created_at,age\n")

    assert findings == []
    assert list(tables["contacts"].columns)[-1] == "age"


@pytest.mark.parametrize("rows_before", [0, 50_000])
def test_latin_1_is_refused_naming_file_and_row(tmp_path: Path, rows_before: int) -> None:
    before = "".join(f"c{row},2024-01-01T00:00:00Z,Ulm\n" for row in range(rows_before))
    content = f"contact_id,created_at,city\n{before}x,2024-01-01T00:00:00Z,Sömmerdä\n".encode("latin-1")

    tables, findings = read(tmp_path, contacts=content)

    finding = only(findings)
    assert (finding.severity, finding.code) == ("error", "bad-encoding")
    assert finding.message.startswith("contacts.csv:")
    assert f"row {rows_before + 1} is not" in finding.message
    assert tables["contacts"].empty


def test_utf_16_is_refused(tmp_path: Path) -> None:
    _, findings = read(tmp_path, contacts=CONTACTS.encode("utf-16"))

    assert only(findings).code == "bad-encoding"


def test_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    plain.mkdir()
    marked.mkdir()

    expected, _ = read(plain, contacts=CONTACTS)
    tables, findings = read(marked, contacts=CONTACTS.replace("\n", "\r\n").encode("utf-8-sig"))

    assert findings == []
    assert tables.digest() == expected.digest()


def test_rows_with_too_few_or_too_many_fields_are_malformed_and_not_quoted(tmp_path: Path) -> None:
    tables, findings = read(
        tmp_path,
        contacts="contact_id,created_at,email\nc1,2024-01-01T00:00:00Z,\nada@example.org\n"
        "c3,2024-01-01T00:00:00Z,eve@example.org,more\nc4,bad,\n",
    )

    assert [(finding.code, finding.count, finding.examples) for finding in findings] == [
        ("malformed-file", 2, ("row 2", "row 3")),
        ("bad-time", 1, ("row 4: 'bad'",)),
    ]
    assert "example.org" not in str(findings)
    assert tables["contacts"]["contact_id"].tolist() == ["c1"]


def test_quoted_commas_quotes_and_newlines_belong_to_the_value(tmp_path: Path) -> None:
    tables, findings = read(
        tmp_path,
        contacts='contact_id,created_at,note\nc1,2024-01-01T00:00:00Z,"a, ""b""\nc"\nc2,2024-01-01T00:00:00Z,NA\n',
    )

    assert findings == []
    assert tables["contacts"]["note"].tolist() == ['a, "b"\nc', "NA"]


@pytest.mark.parametrize("row", ['"c1,2024-01-01T00:00:00Z,x', 'c1,2024-01-01T00:00:00Z,"x'])
def test_quotation_mark_that_is_never_closed_is_malformed(tmp_path: Path, row: str) -> None:
    _, findings = read(tmp_path, contacts=f"contact_id,created_at,note\n{row}\nc2,2024-01-01T00:00:00Z,y\n")

    assert {finding.code for finding in findings} == {"malformed-file"}


def test_column_named_twice_is_malformed(tmp_path: Path) -> None:
    _, findings = read(tmp_path, contacts="contact_id,created_at,age,age\nc1,2024-01-01T00:00:00Z,1,2\n")

    assert only(findings).code == "malformed-file"
    assert "age" in only(findings).message


@pytest.mark.parametrize("name", ["contacts.csv.gz", "contacts.parquet"])
@pytest.mark.parametrize("cut", [False, True])
def test_damaged_archive_is_malformed(tmp_path: Path, name: str, cut: bool) -> None:
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress((CONTACTS * 50).encode())[:60])
    else:
        pyarrow.parquet.write_table(pa.table({"contact_id": ["c1"]}), path)
        path.write_bytes(path.read_bytes()[:60])
    if not cut:
        path.write_bytes(b"this is neither")

    _, findings = FolderSource(tmp_path).read()

    assert (only(findings).code, only(findings).table) == ("malformed-file", "contacts")
    assert name in only(findings).message


def test_column_without_a_name_is_not_a_property(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, contacts=",contact_id,created_at\n0,c1,2024-01-01T00:00:00Z\n")

    assert (only(findings).severity, only(findings).code) == ("info", "unnamed-column")
    assert tuple(tables["contacts"].columns) == CONTRACTS["contacts"].names


def test_further_column_of_a_table_without_properties_is_told(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, contacts=CONTACTS, owners="owner_id,shoe_size\nu1,44\n")

    assert (only(findings).code, only(findings).severity) == ("unused-column", "info")
    assert "shoe_size" not in tables["owners"]


def test_values_of_personal_columns_are_not_quoted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"owner_id": ["u1"], "name": [["Ada Lovelace"]]})
    frame.to_parquet(tmp_path / "owners.parquet")

    _, findings = read(tmp_path, contacts=CONTACTS)

    assert only(findings).column == "name"
    assert "Ada" not in str(findings)


def test_reading_twice_gives_the_same_tables(tmp_path: Path) -> None:
    first, _ = read(tmp_path, contacts=CONTACTS, deals=DEALS, deal_stage_history=HISTORY, stages=STAGES)
    second, _ = FolderSource(tmp_path).read()

    assert first.digest() == second.digest()


def test_year_beyond_what_a_calendar_prints_is_still_told_as_impossible(tmp_path: Path) -> None:
    tables, findings = read(tmp_path, contacts="contact_id,created_at\nc1,9999-12-31T23:59:00-05:00\n")

    found = [finding.code for finding in check_tables(tables, as_of=None) if finding.severity == "error"]

    assert findings == []
    assert found == ["impossible-time"]


@pytest.mark.parametrize("clock", ["10:30", "10:30:00", "10:30:00.5", "10:30:00.123456789", "00:00:60", "24:00", "10"])
@pytest.mark.parametrize("zone", ["Z", "+00:00", "-2359", "+24:00", "+14", ""])
def test_a_time_is_judged_alike_beside_good_and_beside_bad_times(clock: str, zone: str) -> None:
    text = f"2024-02-29T{clock}{zone}"

    alone = parse_times(pa.chunked_array([[text]], pa.large_string()))
    beside = parse_times(pa.chunked_array([[text], ["never", None]], pa.large_string()))

    assert alone.instants[0] == beside.instants[0]
    assert (alone.naive[0], alone.bad[0]) == (beside.naive[0], beside.bad[0])
    assert beside.bad.tolist()[1:] == [True, False]
