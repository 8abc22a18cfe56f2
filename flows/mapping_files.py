"""Mapping files of HubSpot's exports: drafted as YAML that people read and complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows.rule_files import refuse_existing
from flows.settings import ConfigurationError
from flows.yaml_text import comments, scalar

if TYPE_CHECKING:
    from features.sources.csv_export.draft import Draft, DraftedFile

_HEAD: Final = (
    "How the columns of HubSpot's export become tables; docs/csv_export.md explains it. Drafted by leadline map: read",
    "every line. Empty values are for you to fill in.",
)


def draft_file(files: Sequence[Path], *, out: Path) -> Draft:
    """Draft a mapping of exported files and write it beside them or wherever ``out`` says; nothing is overwritten."""
    from features.findings import RefusedTablesError
    from features.sources.csv_export.draft import draft_mapping
    from features.sources.reading import read_file

    refuse_existing(out)
    tables = {}
    for file in files:
        raw = read_file(path=file, table=file.stem)
        if raw.columns is None:
            raise RefusedTablesError(raw.findings)
        name = _from(out, file)
        if name in tables:
            raise ConfigurationError(file=file, message="is named twice; name each file once")
        tables[name] = raw.columns
    draft = draft_mapping(tables)
    out.write_text(mapping_text(draft), encoding="utf-8")
    return draft


def mapping_text(draft: Draft) -> str:
    """Return a drafted mapping as YAML."""
    lines = [
        *comments(_HEAD),
        *comments(
            ["", "The zone that the times in the files are in, such as Europe/Berlin: HubSpot writes them without one."]
        ),
        'time_zone: ""',
        *comments(["How times are written, if not as 2026-01-31 14:05; such as %d.%m.%Y %H:%M."]),
        'time_format: ""',
        "files:",
    ]
    for one in draft.files:
        lines += _file_lines(one)
    if draft.stages:
        lines += comments(
            [
                "The stages of each pipeline in their order: whether a deal in it is open, won or lost, and which",
                "column tells when a deal entered it. A stage's name is no proof of what it means.",
            ]
        )
        lines.append("stages:")
    for stage in draft.stages:
        keys = {
            "pipeline": stage.pipeline,
            "stage": stage.stage,
            "outcome": stage.outcome,
            "entered": stage.entered,
        }
        lines.append(f"  - {{{_keys(keys)}}}  {comments([stage.evidence])[0]}")
    return "\n".join(lines) + "\n"


def _file_lines(one: DraftedFile) -> list[str]:
    lines = [f"  {scalar(one.name)}:", f"    table: {one.table}", "    columns:"]
    lines += [f"      {name}: {scalar(label)}" for name, label in one.columns.items()]
    if one.links:
        lines.append(f"    links: {{{_keys(one.links)}}}")
    if one.properties:
        lines += [
            f"    {comments(['No history: used only where properties: safe of the configuration vouches for it.'])[0]}"
        ]
        lines.append("    properties:")
        lines += [f"      {scalar(name)}: {scalar(label)}" for name, label in one.properties.items()]
    left_out = [f"{label}: {reason}" for label, reason in one.left_out.items()]
    if left_out:
        lines += [f"    {line}" for line in comments(["Left out:", *left_out])]
    return lines


def _keys(plain: Mapping[Any, str]) -> str:
    return ", ".join(f"{key}: {scalar(value)}" for key, value in plain.items())


def _from(out: Path, file: Path) -> str:
    """Return a file's name as seen from where the mapping lies."""
    here, there = out.resolve().parent, file.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else str(there)
