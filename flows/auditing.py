"""The leak audit as a command, and the drift of a batch: what is asked of the models, and how people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flows.console import show_table, terminal

if TYPE_CHECKING:
    import pandas as pd

    from features.catalogue import Question
    from features.tables import CrmTables
    from flows.wiring import Workplace
    from models.audit import Audit
    from models.bundle import Bundle
    from models.separation import Separation

KEPT_DRIFTS: Final = 20
_MOST_COLUMNS: Final = 25
_SAID: Final = {
    "refused": "REFUSED",
    "warned": "WARNING: used only because the configuration vouches for it:",
    "left out": "Rightly left out",
}


def audit_question(workplace: Workplace, tables: CrmTables, *, question: Question, as_of: pd.Timestamp) -> Audit:
    """Audit what a training as of ``as_of`` would learn from; nothing is written."""
    from features.engines.engine import computing_with
    from models.contact_start import audit_of_contacts
    from models.deal_training import audit_of_deals

    run = audit_of_contacts if question == "contacts" else audit_of_deals
    with computing_with(workplace.engine()):
        return run(tables=tables, as_of=as_of, settings=workplace.settings.training(workplace.rules))


def drift_of(bundle: Bundle, matrix: pd.DataFrame) -> dict[str, Any] | None:
    """Compare the rows that a batch scores with the training past; None for a model that kept no past to compare."""
    from models.drift import DriftReference, drift, drift_summary

    kept = bundle.evaluation.get("drift")
    if kept is None:
        return None
    objects = matrix[f"{bundle.data.question.removesuffix('s')}_id"]
    found = drift(reference=DriftReference.model_validate(kept["reference"]), matrix=matrix, objects=objects.to_numpy())
    return drift_summary(found, most=KEPT_DRIFTS)


def show_audit(audit: Audit) -> None:
    """Print an audit: the columns by skill, then what is said against some, what is left out, and proxies."""
    by_skill = sorted(audit.columns, key=lambda one: (-_known(one.auc_alike.value), one.name))
    show_table(
        title=(
            f"{audit.question}: {audit.rows:,} snapshots of {audit.objects:,} {audit.question}, "
            f"{audit.positive_objects:,} of them won; best honest column: {audit.reference or 'none'}"
        ),
        columns=["column", "use", "AUC", "AUC among alike", "filled", "differs\ntoday"],
        rows=[
            [one.name, one.use, _number(one.auc), _interval(one.auc_alike), _share(one.filled), _share(one.differs)]
            for one in by_skill[:_MOST_COLUMNS]
        ],
    )
    told = [f"{_SAID[one.use]} {one.name} ({one.known}): {'; '.join(one.evidence)}" for one in by_skill if one.evidence]
    told += [f"Left out {one.name}: {one.reason}" for one in by_skill if one.use == "left out" and not one.evidence]
    told += [
        f"Proxy: {one.feature} tells {one.attribute} ({one.column}: {one.value}), AUC {one.auc:.2f}"
        for one in audit.proxies
    ]
    if len(by_skill) > _MOST_COLUMNS:
        told.append(f"{len(by_skill) - _MOST_COLUMNS} more columns are in the JSON.")
    console = terminal()
    for line in sorted(told, key=lambda line: not line.startswith(("REFUSED", "WARNING"))):
        console.print(line, markup=False, highlight=False)
    console.print()


def _known(value: float) -> float:
    return value if value == value else 0.0


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(measured: Separation) -> str:
    return "" if measured.value != measured.value else f"{measured.value:.2f}"


def _interval(measured: Separation) -> str:
    return "" if measured.value != measured.value else f"{measured.value:.2f} ({measured.low:.2f}-{measured.high:.2f})"
