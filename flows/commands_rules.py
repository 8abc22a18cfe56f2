"""The commands about point rules: import a sheet, test one on the past, learn from it, set a goal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.usage import Instant, as_of_option, data_option, json_option

if TYPE_CHECKING:
    import pandas as pd

    from features.tables import CrmTables
    from flows.wiring import Workplace
    from models.rules.sheet import PointRules
    from models.training import TrainingSettings

_STILL_FRESH_DAYS = 30.0
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration; without one all defaults with --data, else the demo's.",
)
rules_option = click.option(
    "--rules",
    "sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The rule sheet; the configuration's by default.",
)
capacity_option = click.option(
    "--capacity", type=click.FloatRange(min=0, min_open=True), help="How many contacts the team can call a week."
)


@click.group()
def rules() -> None:
    """Import point rules, test them on the past, and learn what they are worth."""


@rules.command("schema")
def rules_schema() -> None:
    """Print the JSON Schema of a rule sheet."""
    from models.rules.sheet import PointRules

    click.echo(json.dumps(PointRules.model_json_schema(by_alias=True), indent=2, ensure_ascii=False))


@rules.command("import")
@click.argument("sheet", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The rule sheet to write.")
@json_option
def import_rules(sheet: Path, out: Path, as_json: bool) -> None:
    """Draft a rule sheet from a spreadsheet's CSV (criterion, points); exit 1 if no line could be read."""
    from flows.rule_files import read_csv, rules_text, write_rules
    from models.rules.language import read_sheet

    draft = read_sheet(read_csv(sheet))
    unread = [
        {"line": line.number, "criterion": line.criterion, "points": line.points, "reason": reason}
        for line, reason in draft.unread
    ]
    told = [f"line {one['line']}: {one['criterion']!r} ({one['points']} points): {one['reason']}" for one in unread]
    read = draft.rules.criteria
    if read:
        head = [f"Drafted from {sheet.name}. How to write, test and learn such a sheet: docs/rules.md."]
        foot = [f"Not read from {sheet.name}:", *told] if told else []
        write_rules(out, rules_text(draft.rules, head=head, foot=foot))
    if as_json:
        _print_json({"read": len(read), "unread": unread})
    else:
        for line in told:
            click.echo(f"not read, {line}", err=True)
        click.echo(f"{len(read)} of {len(read) + len(unread)} lines read" + (f", written to {out}" if read else ""))
    if not read:
        sys.exit(1)


@rules.command("log")
@click.argument("contact")
@rules_option
@config_option
@data_option
@as_of_option
@json_option
def log_of_contact(
    contact: str, sheet: Path | None, config: Path | None, data: Path | None, as_of: datetime | None, as_json: bool
) -> None:
    """Show which criterion gives a contact how many points."""
    from flows.rule_tables import show_log
    from models.rules.log import point_log

    place = _place(config, data, sheet, as_of)
    log = point_log(
        rules=place.rules,
        tables=place.tables,
        contact_id=contact,
        as_of=place.as_of,
        properties=place.settings.properties,
    )
    if as_json:
        _print_json(log.to_dict())
    else:
        show_log(log)


@rules.command("test")
@rules_option
@click.option("--against", type=click.Path(path_type=Path, dir_okay=False), help="A second sheet, to compare with.")
@config_option
@data_option
@as_of_option
@click.option("--since", type=Instant(), help="Look no farther back than this instant.")
@capacity_option
@json_option
def test_rules(
    sheet: Path | None,
    against: Path | None,
    config: Path | None,
    data: Path | None,
    as_of: datetime | None,
    since: datetime | None,
    capacity: float | None,
    as_json: bool,
) -> None:
    """Replay a rule sheet over the past at once, priced against what really happened."""
    from flows.rule_tables import show_trial
    from flows.settings import load_rule_file
    from models.rules.past import labelled_past
    from models.rules.trial import try_rules
    from models.rules.words import conclusions

    place = _place(config, data, sheet, as_of)
    configured = place.workplace.settings.point_rules
    sheets = {(sheet or configured or Path("rules")).stem: place.rules}
    if against is not None:
        sheets[against.stem + (" (second)" if against.stem in sheets else "")] = load_rule_file(against)
    past = labelled_past(tables=place.tables, as_of=place.as_of, settings=place.settings, since=_instant(since))
    trial = try_rules(
        past=past,
        sheets=sheets,
        calls_a_week=capacity,
        replicates=place.settings.bootstrap_replicates,
        seed=place.settings.seed,
    )
    said = conclusions(trial)
    if as_json:
        _print_json({**trial.to_dict(), "said": said})
    else:
        show_trial(trial, said=said)


@rules.command("learn")
@rules_option
@config_option
@data_option
@as_of_option
@capacity_option
@click.option(
    "--double",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="So many points are to double the odds of winning.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the suggested rule sheet here.")
@json_option
def learn_rules(
    sheet: Path | None,
    config: Path | None,
    data: Path | None,
    as_of: datetime | None,
    capacity: float | None,
    double: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Learn from the past what the criteria of a sheet are worth, and suggest a sheet."""
    from flows.rule_files import refuse_existing, rules_text, write_rules
    from flows.rule_lessons import lesson_comments, show_lesson
    from models.rules.suggestion import learn_from_the_past

    if out is not None:
        refuse_existing(out)
    place = _place(config, data, sheet, as_of)
    lesson = learn_from_the_past(
        tables=place.tables, as_of=place.as_of, settings=place.settings, calls_a_week=capacity, double=double
    )
    if out is not None:
        head, foot = lesson_comments(lesson)
        write_rules(out, rules_text(lesson.suggested, head=head, foot=foot))
    if as_json:
        _print_json(lesson.to_dict())
    else:
        show_lesson(lesson)
        if out is not None:
            click.echo(f"The suggested sheet is written to {out}; test it with: leadline rules test --rules {out}")


@rules.command("goal")
@click.option("--wins", type=click.FloatRange(min=0, min_open=True), required=True, help="Won deals wanted a month.")
@click.option("--source", default="source", show_default=True, help="The property of contacts to divide by.")
@rules_option
@config_option
@data_option
@as_of_option
@click.option("--since", type=Instant(), help="Look no farther back than this instant.")
@json_option
def goal_of_rules(
    wins: float,
    source: str,
    sheet: Path | None,
    config: Path | None,
    data: Path | None,
    as_of: datetime | None,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Say how many points a month marketing should bring, by source, for so many won deals."""
    from flows.rule_lessons import show_goal
    from models.rules.goal import points_goal

    place = _place(config, data, sheet, as_of)
    goal = points_goal(
        tables=place.tables,
        as_of=place.as_of,
        settings=place.settings,
        wins_a_month=wins,
        source=source,
        since=_instant(since),
    )
    if as_json:
        _print_json(goal.to_dict())
    else:
        show_goal(goal)


@dataclass(frozen=True)
class _Place:
    """What a rule command works on."""

    workplace: Workplace
    tables: CrmTables
    as_of: pd.Timestamp
    rules: PointRules
    settings: TrainingSettings


def _place(config: Path | None, data: Path | None, sheet: Path | None, as_of: datetime | None) -> _Place:
    from features.findings import refuse_errors
    from flows.config_file import ConfigurationError
    from flows.extracting import checked
    from flows.settings import CONFIGS, load_rule_file
    from flows.wiring import default_as_of, make_workplace

    config = config or CONFIGS / ("demo.yaml" if data is None else "base.yaml")
    workplace = make_workplace(config=config, data=data, home=Path("var"))
    rules = workplace.rules if sheet is None else load_rule_file(sheet)
    if not rules.criteria:
        file = sheet or config
        raise ConfigurationError(file=file, message="there are no point rules; name a sheet with --rules")
    instant = _instant(as_of)
    if instant is None:
        instant = default_as_of(workplace.settings, now=datetime.now(UTC))
    with checked(workplace, as_of=instant) as source:
        refuse_errors(source.findings)
        tables = source.tables
    if as_of is None:
        _say_how_old(tables, as_of=instant)
    return _Place(
        workplace=workplace, tables=tables, as_of=instant, rules=rules, settings=workplace.settings.training(rules)
    )


def _say_how_old(tables: CrmTables, *, as_of: pd.Timestamp) -> None:
    """Warn where the tables end long before today: the weeks in between would count as silence."""
    import pandas as pd

    from features.visibility import newest_fact

    newest = newest_fact(tables, before=as_of)
    if newest is not None and as_of - newest > pd.Timedelta(days=_STILL_FRESH_DAYS):
        told = (newest + pd.Timedelta(days=1)).date()
        click.echo(
            f"note: nothing is known after {newest.date()}, so the time since then counts as silence; look at it as of "
            f"its end with --as-of {told}",
            err=True,
        )


def _instant(chosen: datetime | None) -> pd.Timestamp | None:
    import pandas as pd

    return None if chosen is None else pd.Timestamp(chosen).as_unit("us")


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
