"""What the report picks from audit and drift: warnings, proxies, and the features that moved most."""

from __future__ import annotations

from typing import Any

from serving.report_language import language
from serving.report_quality import MOST_DRIFTED, MOST_PROXIES, quality

EN = language("en")


def drifted(name: str, psi: float, level: str) -> dict[str, Any]:
    return {"name": name, "words": name, "psi": psi, "level": level, "missing_then": 0.0, "missing_now": 0.5}


def proxy(feature: str, value: str) -> dict[str, Any]:
    return {"attribute": "age", "column": "age", "value": value, "feature": feature, "auc": 0.75}


def test_what_is_vouched_for_wrongly_is_told_with_the_evidence() -> None:
    columns = [
        {"property": "phase", "use": "warned", "evidence": ["AUC 0.97", "filled late"]},
        {"property": "industry", "use": "used", "evidence": []},
    ]

    found = quality(EN, evaluation={"audit": {"columns": columns, "proxies": []}}, drift=None)

    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("phase is used only because the configuration vouches for it")
    assert "AUC 0.97; filled late" in found.warnings[0]


def test_a_proxy_is_told_once_per_feature_and_only_the_first_few() -> None:
    many = [proxy(f"property_{number}", value) for number in range(6) for value in ("above 30", "above 50")]

    found = quality(EN, evaluation={"audit": {"columns": [], "proxies": many}}, drift=None)

    assert len(found.warnings) == MOST_PROXIES + 1
    assert found.warnings[0].startswith("property_0 tells the protected attribute age (age: above 30), AUC 0.75")
    assert found.warnings[-1].startswith("2 more features")


def test_only_features_that_moved_are_shown_and_the_rest_counted() -> None:
    features = [drifted(f"f{number}", 1.0 - number / 10, "large") for number in range(8)] + [drifted("g", 0.0, "none")]

    found = quality(EN, evaluation={}, drift={"some": 0, "large": 8, "features": features})

    assert [each["name"] for each in found.drifted] == [f"f{number}" for number in range(MOST_DRIFTED)]
    assert (found.more, found.compared) == (2, True)


def test_an_older_model_without_audit_and_drift_shows_nothing() -> None:
    found = quality(EN, evaluation={"scorers": {}}, drift=None)

    assert (found.warnings, found.drifted, found.more, found.compared) == ((), (), 0, False)
