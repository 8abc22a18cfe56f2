"""Pages of docs/ that hold programs: they run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_notebook_page_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "notebook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)

    exec(compile("\n".join(blocks), "docs/notebook.md", "exec"), {"__name__": "notebook"})

    printed = capsys.readouterr().out
    auc = re.search(r"AUC (0\.\d+)", printed)
    losses = re.search(r"log loss (0\.\d+), of the base rate (0\.\d+)", printed)
    assert auc is not None
    assert losses is not None
    assert float(auc[1]) > 0.6
    assert float(losses[1]) < float(losses[2])
    assert "the history supports" in printed
