"""The worked example of docs/sources.md is a source that works."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from features.checks import check_tables
from features.sources.base import Source

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources.md"
EXPORT: dict[str, list[dict[str, Any]]] = {
    "deals": [
        {
            "id": 1,
            "add_time": "2026-01-05 09:00:00",
            "pipeline_id": 3,
            "value": 1200.5,
            "currency": "EUR",
            "status": "won",
            "close_time": "2026-02-01 10:00:00",
        },
        {
            "id": 2,
            "add_time": "2026-01-06 09:00:00",
            "pipeline_id": 3,
            "value": None,
            "currency": "EUR",
            "status": "open",
            "close_time": None,
        },
    ],
    "stages": [{"id": 7, "pipeline_id": 3, "name": "Qualified", "order_nr": 1, "deal_probability": 40}],
    "stage_changes": [
        {"deal_id": 1, "stage_id": 7, "time": "2026-01-05 09:00:00"},
        {"deal_id": 2, "stage_id": 7, "time": "2026-01-06 09:00:00"},
    ],
}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    for name, rows in EXPORT.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"success": True, "data": rows}), encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(code) == 1
    module = types.ModuleType("source_example")
    # A dataclass looks its module up.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code[0], str(PAGE), "exec"), module.__dict__)
    made: Source = module.PipedriveExport(tmp_path)
    return made


def test_the_example_reads_deals_stages_and_their_history(source: Source) -> None:
    tables, findings = source.read()

    assert findings == []
    assert tables["deals"]["deal_id"].tolist() == ["1", "2"]
    assert tables["stages"][["stage", "outcome"]].values.tolist() == [["7", "open"], ["won", "won"], ["lost", "lost"]]
    history = tables["deal_stage_history"]
    assert history.loc[history["deal_id"] == "1", "stage"].tolist() == ["7", "won"]
    assert [one for one in check_tables(tables, as_of=None) if one.severity == "error"] == []
