"""The commands about point rules: import a sheet, test one on the past, learn from it, set a goal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from flows.usage import json_option


@click.group()
def rules() -> None:
    """Import point rules, test them on the past, and learn what they are worth."""


@rules.command("schema")
def rules_schema() -> None:
    """Print the JSON Schema of a rule sheet."""
    from models.point_rules import PointRules

    click.echo(json.dumps(PointRules.model_json_schema(by_alias=True), indent=2, ensure_ascii=False))


@rules.command("import")
@click.argument("sheet", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The rule sheet to write.")
@json_option
def import_rules(sheet: Path, out: Path, as_json: bool) -> None:
    """Draft a rule sheet from a spreadsheet's CSV (criterion, points); exit 1 if no line could be read."""
    from flows.rule_files import read_csv, rules_text, write_rules
    from models.rule_language import read_sheet

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
        click.echo(json.dumps({"read": len(read), "unread": unread}, indent=2, ensure_ascii=False))
    else:
        for line in told:
            click.echo(f"not read, {line}", err=True)
        click.echo(f"{len(read)} of {len(read) + len(unread)} lines read" + (f", written to {out}" if read else ""))
    if not read:
        sys.exit(1)
