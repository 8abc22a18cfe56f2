from __future__ import annotations

import json
from pathlib import Path

from tests.flows.commands import leadline, write_config

QUICK = """\
source: {kind: synthetic, contacts: 500, months: 18, seed: 8}
bootstrap_replicates: 20
ladder: {contacts_rules_from: 2, contacts_small_model_from: 3, contacts_model_from: 4}
split: {max_test_days: 60}
"""


def test_tune_shows_progress_goes_on_and_says_whether_to_adopt(tmp_path: Path) -> None:
    config, home = write_config(tmp_path, QUICK), tmp_path / "home"
    typed = ("tune", "contacts", "--config", config, "--home", home)

    printed = leadline(*typed, "--trials", "2")
    resumed = leadline(*typed, "--trials", "3", "--json")

    assert printed.exit_code == 0, printed.output
    assert "trial 1 of 2: log loss" in printed.stderr
    assert "default against the best of 2 trials" in printed.stdout
    assert "Tuned minus default on the later test" in printed.stdout
    found = json.loads(resumed.stdout)
    assert found["trials"] == 3
    assert found["adopt"] is (found["difference"]["high"] < 0)
    assert found["inner_best"] <= found["inner_default"]
    assert (home / "tuning" / "contacts.db").is_file()
