"""How old a report's data and models are, and what changed since the batch before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd

from serving.report_disagreements import told_reasons
from serving.report_language import Language
from serving.report_numbers import inert

Row = Mapping[str, Any]

MOST_MOVERS: Final = 5
STALE_AFTER_HOURS: Final = 36.0
_HOUR: Final = 1 / 24


@dataclass(frozen=True)
class Mover:
    """A contact or deal whose probability moved most, and what counts for it now."""

    id: str
    was: float
    now: float
    reasons: tuple[Row, ...]


@dataclass(frozen=True)
class Age:
    """Sentences on how old the data and the models are; ``warnings`` are those that must not be overlooked."""

    warnings: tuple[str, ...]
    told: tuple[str, ...]


def age_of(
    lang: Language,
    *,
    as_of: datetime,
    scored_at: datetime,
    newest_fact: datetime | None,
    models: Mapping[str, datetime],
    stale_after_hours: float | None,
    retrain_after_days: float | None,
) -> Age:
    """Say how old data and models are, until when to use them, and loudly what is too old.

    Without ``stale_after_hours`` the history is invented and does not age.
    """
    n, limit = lang.numbers, None if stale_after_hours is None else stale_after_hours * _HOUR
    warnings, told = [], []
    lag = _days(scored_at - as_of)
    age = lang.say("data_age_same") if lag <= 0 else lang.say("data_age_later", span=_span(lang, lag))
    told.append(lang.say("data_age", as_of=n.instant(as_of), scored_at=n.instant(scored_at), age=age))
    if limit is not None and lag > limit:
        warnings.append(lang.say("data_stale", span=_span(lang, lag), limit=n.span(limit)))
    if newest_fact is not None:
        silent = _days(as_of - newest_fact)
        if limit is not None and silent > limit:
            warnings.append(lang.say("data_newest_old", newest=n.instant(newest_fact), span=_span(lang, silent)))
        else:
            told.append(lang.say("data_newest", newest=n.instant(newest_fact)))
    if limit is None:
        told.append(lang.say("data_invented"))
    elif lag <= limit:
        told.append(lang.say("data_good", until=n.instant(as_of + timedelta(days=limit))))
    for question, trained in models.items():
        old = _days(as_of - trained)
        values = {"many": lang.noun(question), "trained": n.day(trained), "span": _span(lang, old)}
        if retrain_after_days is not None and old > retrain_after_days:
            warnings.append(lang.say("model_age_old", **values, limit=n.span(retrain_after_days)))
        else:
            told.append(lang.say("model_age" if old >= _HOUR else "model_age_new", **values))
    return Age(warnings=tuple(warnings), told=tuple(told))


def change_sentences(lang: Language, changes: Row | None, *, question: str, as_of: datetime) -> list[str]:
    """Count what is new, gone and moved since the batch before; nothing where there was none."""
    if changes is None:
        return []
    n, many = lang.numbers, lang.noun
    then = datetime.fromisoformat(changes["as_of"])
    told = [
        lang.say(
            "changes_since",
            as_of=n.day(then),
            span=_span(lang, _days(as_of - then)),
            new=f"{n.count(changes['new'])} {many(question, changes['new'])}",
            gone=n.count(changes["gone"]),
            both=n.count(changes["both"]),
        )
    ]
    if changes["mean_before"] is not None and changes["mean_now"] is not None:
        step = n.points(changes["step"], signed=False)
        told.append(lang.say("changes_moved", up=n.count(changes["up"]), down=n.count(changes["down"]), step=step))
        told.append(
            lang.say("changes_mean", before=n.percent(changes["mean_before"]), now=n.percent(changes["mean_now"]))
        )
    told.append(
        lang.say("changes_same_model")
        if changes["same_model"]
        else lang.say("changes_other_model", trained=n.day(changes["trained_as_of"]))
    )
    return told


def movers(lang: Language, rows: pd.DataFrame, *, id_column: str, probability: str, previous: str) -> tuple[Mover, ...]:
    """Return those that rose most and those that fell most, largest first."""
    known = rows.loc[rows[probability].notna() & rows[previous].notna()]
    moved = known.assign(moved=known[probability] - known[previous])
    ordered = moved.sort_values(["moved", id_column], ascending=[False, True], kind="stable")
    up, down = ordered.loc[ordered["moved"] > 0], ordered.loc[ordered["moved"] < 0]
    chosen = [*up.head(MOST_MOVERS).to_dict("records"), *down.tail(MOST_MOVERS).iloc[::-1].to_dict("records")]
    return tuple(
        Mover(
            id=inert(row[id_column], longest=60),
            was=float(row[previous]),
            now=float(row[probability]),
            reasons=told_reasons(lang, row["reasons"]),
        )
        for row in chosen
    )


def _span(lang: Language, days: float) -> str:
    return lang.numbers.span(days) if days >= _HOUR else lang.numbers.span(0.0)


def _days(length: timedelta) -> float:
    return length / timedelta(days=1)
