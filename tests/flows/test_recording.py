"""What a training leaves in the registry, and what can be asked of it later."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from models.registry import ModelRegistry
from models.run_record import code_version
from tests.flows.commands import SMALL, Installed, leadline, leadline_json, write_config


def test_a_training_leaves_a_card_figures_and_what_it_was_made_from(installed: Installed) -> None:
    version = ModelRegistry(installed.home).get("contacts", "1")
    folder = version.bundle.parent

    assert (folder / "model_card.md").read_text().startswith(f"# {version.tags['bundle']}\n")
    for figure in ("reliability", "gains"):
        drawing = ElementTree.fromstring((folder / "figures" / f"{figure}.svg").read_text())
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(drawing.iter("{http://www.w3.org/2000/svg}path"))) > 5
    assert version.tags["code_version"] == code_version()
    assert len(version.tags["data_digest"]) == 64


def test_the_log_says_what_was_live_when(tmp_path: Path, installed: Installed) -> None:
    own = installed.copied_to(tmp_path)
    changed = write_config(tmp_path, SMALL.replace("bootstrap_replicates: 40", "bootstrap_replicates: 30"))
    leadline("train", "--config", changed, "--home", own.home)
    second = datetime.now(UTC)
    started = time.process_time()
    leadline("models", "rollback", "contacts", "--reason", "too bold", "--home", own.home)
    back = time.process_time() - started
    leadline("models", "promote", "contacts", "2", "--home", own.home)

    log = leadline_json("models", "log", "contacts", "--home", own.home)
    then = leadline_json("models", "log", "contacts", "--at", second.isoformat(), "--home", own.home)
    between = leadline_json("models", "log", "contacts", "--at", log[2]["at"], "--home", own.home)
    before = leadline_json("models", "log", "contacts", "--at", "2001-01-01", "--home", own.home)

    assert back < 5
    assert [(line["action"], line["from"], line["to"]) for line in log] == [
        ("promote", None, "1"),
        ("promote", "1", "2"),
        ("rollback", "2", "1"),
        ("promote", "1", "2"),
    ]
    assert (then["version"], between["version"], before["version"]) == ("2", "1", None)
    assert between["bundle"] == ModelRegistry(own.home).get("contacts", "1").tags["bundle"]
    said = leadline("models", "log", "contacts", "--home", own.home).stdout.splitlines()
    assert len(said) == 4
    assert said[2].endswith("UTC  rollback  2 -> 1  by cli: too bold")
    assert (
        "no version was live at 2001-01-01"
        in leadline("models", "log", "contacts", "--at", "2001-01-01", "--home", own.home).stdout
    )


def test_the_log_of_an_empty_home_is_empty_and_makes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"

    assert json.loads(leadline("models", "log", "deals", "--json", "--home", home).stdout) == []
    assert "no version was ever promoted" in leadline("models", "log", "deals", "--home", home).stdout
    assert not home.exists()
