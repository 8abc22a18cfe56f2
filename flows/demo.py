"""The demo: an invented CRM through the whole product, ending with where the scores and the report lie."""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

import pandas as pd

from features.sources.base import Source
from flows.console import Progress, terminal
from flows.places import store_of
from flows.run import RunResult, run
from flows.settings import CONFIGS, SyntheticSourceSettings, load_rules, load_settings
from flows.summary import show_evaluation
from flows.wiring import Workplace, make_source, registry_of


def run_demo(
    *, home: Path, contacts: int, now: datetime, quiet: bool = False, through_hubspot: bool = False
) -> RunResult:
    """Run everything on an invented CRM with this many contacts and export the scores.

    ``through_hubspot`` puts the CRM into a HubSpot of our own first, reads it from there and writes the scores back.
    """
    from serving.export import export

    config = CONFIGS / "demo.yaml"
    configured = load_settings(config)
    assert isinstance(configured.source, SyntheticSourceSettings)
    source = configured.source.model_copy(update={"contacts": contacts})
    settings = configured.model_copy(update={"source": source})
    progress = Progress(quiet=quiet)
    with ExitStack() as stack:
        if through_hubspot:
            from flows.demo_hubspot import sandbox, write_back

            with progress.step("Inventing a CRM and putting it into a HubSpot on this machine"):
                served = stack.enter_context(sandbox(source, home=home))
            settings = settings.model_copy(update={"source": served.settings})
            made: Source = served.source
            name = "invented CRM in a HubSpot sandbox"
        else:
            made, name = make_source(settings, config=config, data=None, home=home)
        workplace = Workplace(
            settings=settings,
            rules=load_rules(settings, config=config),
            source=made,
            source_name=name,
            home=home,
            # A CRM that is invented anew is another one.
            accepts_tables=True,
        )
        result = run(workplace, as_of=pd.Timestamp(source.end).as_unit("us"), now=now, progress=progress)
        if through_hubspot:
            write_back(workplace, now=now, progress=progress)
    workplace.exports.mkdir(parents=True, exist_ok=True)
    batch_id = result.published.batch_id
    with closing(store_of(home)) as store:
        files = [
            export(store, question, batch_id, "csv", workplace.exports / f"{question}.csv")
            for question in result.published.rows
        ]
    if not quiet:
        registry = registry_of(home)
        for question, version in result.models.items():
            show_evaluation(version, registry.evaluation(question, version.version))
        console = terminal()
        for file in files:
            console.print(f"Scores  {file.path.absolute()} ({file.rows:,} rows)", markup=False, highlight=False)
        console.print(f"Report  {result.report.absolute()}", markup=False, highlight=False)
    return result
