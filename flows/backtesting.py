"""The backtest as a command: fold after fold, with progress, then what one more look at the last fold tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.catalogue import Question
from features.tables import CrmTables
from flows.console import Progress, show_table, terminal
from flows.wiring import Workplace

if TYPE_CHECKING:
    import pandas as pd

    from models.backtest import Backtest
    from models.champion import Champion

STABILITY_REFITS: Final = 5
_SHOWN: Final = (
    ("log_loss", "log loss", "{:.4f}"),
    ("auc", "AUC", "{:.3f}"),
    ("auc_within_stage", "AUC in stage", "{:.3f}"),
    ("auc_no_open_deal", "AUC, no open deal", "{:.3f}"),
    ("capture_20", "top 20 % holds", "{:.0%}"),
    ("predicted_over_observed", "pred. / obs.", "{:.2f}"),
    ("slope", "slope", "{:.2f}"),
)

_APART: Final = frozenset({"log_loss", "auc", "capture_20", "predicted_over_observed", "slope"})


def backtest_question(
    workplace: Workplace,
    tables: CrmTables,
    *,
    question: Question,
    as_of: pd.Timestamp,
    folds: int,
    by: Sequence[str],
    progress: Progress,
) -> Backtest:
    """Run a question's backtest; nothing is written. Raises ``NoBacktestError`` where nothing can be tested."""
    from models.backtest import (
        Backtest,
        NoBacktestError,
        evaluate_apart,
        evaluate_fold,
        evaluate_folds,
        learning_curve,
        pooled,
        split_contrast,
    )
    from models.cutoffs import plan_folds
    from models.procedure import procedure_of
    from models.stability import stability
    from models.subgroups import subgroups

    settings = workplace.settings.training(workplace.rules)
    with progress.step(f"Preparing {question} and auditing the columns"):
        procedure = procedure_of(question, tables=tables, as_of=as_of, settings=settings)
    planned = plan_folds(
        first=procedure.first,
        now=as_of,
        horizon_days=procedure.horizon_days,
        folds=folds,
        settings=settings.split,
    )
    proofs, evaluations = [], []
    for number, cutoffs in enumerate(planned, start=1):
        with progress.step(f"Fold {number} of {len(planned)} of {question}: as of {cutoffs.test_at:%Y-%m-%d}") as step:
            proof = procedure.prove(cutoffs)
            if proof is None:
                step.outcome = "no test: only one outcome in the window"
                continue
            proofs.append(proof)
            evaluations.append(evaluate_fold(procedure, proof))
            step.outcome = f"{len(proof.rows.y_obs):,} rows, {proof.rows.positive_objects:,} winners"
    if not proofs:
        raise NoBacktestError(
            f"{question} cannot be backtested: the history from {procedure.first:%Y-%m-%d} to {as_of:%Y-%m-%d} holds "
            f"no past day with {settings.split.min_train_days:g} ripe days before it, a horizon of "
            f"{procedure.horizon_days:.0f} days and both outcomes after it; bring a longer history"
        )
    with progress.step(f"Measuring all folds of {question} together"):
        whole = evaluate_folds(procedure, proofs, as_of=as_of)
        found: dict[str, Any] = {"apart": evaluate_apart(procedure, proofs)}
    last = proofs[-1]
    refitter = procedure.refitter(last)
    if refitter is not None:
        with progress.step("Drawing the learning curve"):
            found["curve"] = tuple(learning_curve(refitter=refitter, proof=last, seed=settings.seed))
        with progress.step("Setting the split in time against random splits"):
            found["splits"] = tuple(split_contrast(refitter=refitter, proof=last, seed=settings.seed))
        with progress.step(f"Refitting {STABILITY_REFITS} times on redrawn data"):
            found["stability"] = stability(
                refitter=refitter,
                sample=last.features,
                pipelines=last.pipelines,
                refits=STABILITY_REFITS,
                seed=settings.seed,
            )
        if by:
            rows = pooled(proofs)
            found["subgroups"] = {
                column: tuple(subgroups(rows=rows, tables=procedure.known, column=column)) for column in by
            }
    champion = champion_of(workplace, question=question)
    if champion is not None:
        with progress.step(f"Setting it against version {champion.version}, which is in use"):
            names = set(last.made.past.contract.names)
            before = set(champion.bundle.data.contract.names)
            found |= {
                "champion": procedure.against(champion, last),
                "features_added": tuple(sorted(names - before)),
                "features_gone": tuple(sorted(before - names)),
            }
    return Backtest(folds=tuple(evaluations), pooled=whole, **found)


def champion_of(workplace: Workplace, *, question: Question) -> Champion | None:
    """Return the version in use in this home, if any."""
    from models.bundle import load_bundle
    from models.champion import Champion

    live = workplace.registry().champion(question)
    return None if live is None else Champion(version=live.version, bundle=load_bundle(live.bundle))


def write_backtests(found: Sequence[Backtest], *, title: str, file: Path) -> Path:
    """Write backtests to a file: JSON if its name says so, else a page that opens offline."""
    from models.promotion_log import replace_file
    from serving.backtest_page import backtest_page

    plain = [one.to_dict() for one in found]
    text = json.dumps(plain, indent=1, allow_nan=False) if file.suffix == ".json" else backtest_page(plain, title=title)
    replace_file(file, text.encode())
    return file


def show_backtest(found: Backtest) -> None:
    """Print the folds, all of them together, and what the last fold tells."""
    plain = found.to_dict()
    whole = plain["pooled"]
    scorers = whole["scorers"]
    present = [one for one in _SHOWN if any(one[0] in each["metrics"] for each in scorers.values())]
    show_table(
        title=(
            f"{plain['question']}: {len(plain['folds'])} folds together, {whole['rows']:,} rows of "
            f"{whole['objects']:,}, {whole['positive_objects']:,} of them won"
        ),
        columns=["", *(words for _, words, _ in present)],
        rows=[
            [
                scorer["label"].removeprefix("the "),
                *(_cell(scorer["metrics"].get(name), form) for name, _, form in present),
            ]
            for scorer in scorers.values()
        ],
    )
    if whole["differences"]:
        show_table(
            title="The model minus each, paired (log loss; negative is better)",
            columns=["", "all folds together", *(fold["protocol"]["test_from"][:10] for fold in plain["folds"])],
            rows=[
                [
                    scorers[name]["label"].removeprefix("the "),
                    _difference(differences),
                    *(_difference(fold["differences"].get(name)) for fold in plain["folds"]),
                ]
                for name, differences in whole["differences"].items()
            ],
        )
    show_table(
        title="Fold by fold (log loss)",
        columns=[
            "tested from",
            "to",
            "rows",
            "winners",
            *(each["label"].removeprefix("the ") for each in scorers.values()),
        ],
        rows=[
            [
                fold["protocol"]["test_from"][:10],
                fold["protocol"]["test_to"][:10],
                f"{fold['rows']:,}",
                f"{fold['positive_objects']:,}",
                *(
                    _cell(fold["scorers"].get(name, {"metrics": {}})["metrics"].get("log_loss"), "{:.4f}")
                    for name in scorers
                ),
            ]
            for fold in plain["folds"]
        ],
    )
    for name, part in plain["apart"].items():
        show_table(
            title=f"{plain['question'].capitalize()} {name.replace('_', ' ')}: {part['rows']:,} rows, "
            f"{part['positive_objects']:,} winners",
            columns=["", *(words for key, words, _ in present if key in _APART)],
            rows=[
                [
                    scorer["label"].removeprefix("the "),
                    *(_cell(scorer["metrics"].get(key), form) for key, _, form in present if key in _APART),
                ]
                for scorer in part["scorers"].values()
            ],
        )
    if plain["learning_curve"]:
        show_table(
            title="Learning curve, on the last fold",
            columns=["winners learnt from", "log loss", "AUC", "AUC among alike"],
            rows=[
                [point["winners"], *(_number(point[name]) for name in ("log_loss", "auc", "auc_alike"))]
                for point in plain["learning_curve"]
            ],
        )
    if plain["splits"]:
        show_table(
            title="What a split in time costs in skill, and a random one only promises",
            columns=["split by", "Brier skill", "AUC"],
            rows=[[one["words"], _number(one["brier_skill"]), _number(one["auc"])] for one in plain["splits"]],
        )
    for column, groups in plain["subgroups"].items():
        show_table(
            title=f"By {column}",
            columns=[
                "value",
                "rows",
                "winners",
                "observed",
                "95 %",
                "predicted",
                "beyond chance",
                "AUC",
                "in top 20 %",
            ],
            rows=[
                [
                    each["value"],
                    f"{each['rows']:,}",
                    f"{each['positives']:,}",
                    _number(each["observed"]),
                    f"{_number(each['low'])} to {_number(each['high'])}",
                    _number(each["predicted"]),
                    "yes" if abs(each["predicted"] - each["observed"]) > each["chance"] else "",
                    _number(each["auc"]),
                    _number(each["in_top"]),
                ]
                for each in groups
            ],
        )
    for line in backtest_sentences(plain):
        terminal().print(line, markup=False, highlight=False)


def backtest_sentences(plain: dict[str, Any]) -> list[str]:
    """Say in words what stability and the comparison with the champion found."""
    from serving.backtest_page import sentences

    return sentences(plain)


def _cell(measured: dict[str, Any] | None, form: str) -> str:
    return "" if measured is None or measured["value"] is None else form.format(measured["value"])


def _difference(differences: dict[str, Any] | None) -> str:
    if differences is None or differences["log_loss"]["low"] is None:
        return ""
    loss = differences["log_loss"]
    return f"{loss['value']:+.4f} ({loss['low']:+.4f} to {loss['high']:+.4f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
