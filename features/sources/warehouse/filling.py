"""From the tables that a tool left behind to the landing that the API's answers would have made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from features.sources.hubspot.activities import OUTCOMES
from features.sources.hubspot.instants import instant, millis
from features.sources.hubspot.kinds import ContentSettings, Kind, kinds_of
from features.sources.hubspot.landing import Landing, merged_ids
from features.sources.hubspot.streams import EMAIL_TYPES
from features.sources.hubspot.sync import PRIMARY_TYPES
from features.sources.warehouse.database import Database
from features.sources.warehouse.definitions import read_definitions
from features.sources.warehouse.layouts import ENGAGEMENTS, HistoryTable, Layout, Names, ObjectTable
from features.sources.warehouse.objects import ObjectReading
from features.sources.warehouse.relations import Relation
from features.sources.warehouse.tables import Tables
from features.sources.warehouse.values import id_of, instant_of, is_set, text_of

FORMS: Final = "hs_calculated_form_submissions"
STAGE: Final = "dealstage"
_CHUNK: Final = 10_000
_DATED_STAGE: Final = "DATE_ENTERED"


@dataclass(frozen=True)
class Filled:
    """What the schema turned out to have: tables as the layout names them, and properties without a column by kind.

    ``histories`` are the kinds whose properties have a history; ``dated`` says where the stages of deals come from: a
    table, ``columns`` or nowhere; ``unusable`` are tables that lack a column, with the column.
    """

    tables: frozenset[str]
    missing: Mapping[str, tuple[str, ...]]
    histories: frozenset[str]
    dated: str | None
    unusable: tuple[tuple[str, str], ...]


def fill(landing: Landing, database: Database, layout: Layout, settings: ContentSettings, *, prefix: str) -> Filled:
    """Read all tables that a layout names into an empty landing; say what was there."""
    return _Filling(landing, Tables(database, prefix), layout, settings).run()


@dataclass
class _Filling:
    landing: Landing
    tables: Tables
    layout: Layout
    settings: ContentSettings
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    histories: set[str] = field(default_factory=set)
    dated: str | None = None
    unusable: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> Filled:
        with self.landing.page():
            for name, content in read_definitions(self.tables, self.layout.definitions).items():
                self.landing.keep_fact(name, content)
            kinds = {kind.name: kind for kind in kinds_of(self.settings)}
            for table in self.layout.history:
                self._read_history(table, kinds[table.kind])
            submitted = self._forms()
            for objects in self.layout.objects:
                if objects.kind in kinds:
                    self._read_objects(objects, kinds[objects.kind], submitted if objects.kind == "contacts" else {})
            self._read_links()
            for merge in self.layout.merges:
                for relation in self.tables.all(merge.tables):
                    rows = self._rows(relation, merge.loser, merge.winner)
                    pairs = [(id_of(loser), id_of(winner)) for loser, winner in rows]
                    self.landing.load("merges", [(merge.kind, *pair) for pair in pairs if None not in pair])
            if self.settings.email_events:
                self._read_events()
        return Filled(
            frozenset(self.tables.there), self.missing, frozenset(self.histories), self.dated, tuple(self.unusable)
        )

    def _rows(
        self,
        relation: Relation,
        *needed: Names,
        more: tuple[Names, ...] = (),
        among: Mapping[int, Sequence[str]] | None = None,
        unless: int | None = None,
    ) -> Iterator[tuple[Any, ...]]:
        """Yield rows with the columns that are needed and, None where they are not there, with some more.

        ``among`` and ``unless`` name columns by their place. Without one that is needed there are no rows, and the
        table is noted.
        """
        columns = [relation.find(*names) for names in (*needed, *more)]
        lacking = [names[0] for names, found in zip(needed, columns, strict=False) if found is None]
        if lacking:
            self.unusable.append((relation.name, lacking[0]))
            return iter(())
        kept = {str(columns[place]): values for place, values in (among or {}).items()}
        flag = None if unless is None else columns[unless]
        return self.tables.rows(relation, *columns, among=kept, unless=[] if flag is None else [flag])

    def _read_history(self, table: HistoryTable, kind: Kind) -> None:
        wanted = [table.always] if table.always else list(kind.history)
        if self.dated is not None and kind.name == "deals":
            # An earlier table has told of the stages already.
            wanted = [name for name in wanted if name != STAGE]
        for relation in self.tables.all(table.tables) if wanted else ():
            if table.always is None:
                rows = self._rows(
                    relation, table.key, table.at, table.value, table.name, more=(table.source,), among={3: wanted}
                )
            else:
                found = self._rows(relation, table.key, table.at, table.value, more=(table.source,))
                rows = ((*row[:3], table.always, row[3]) for row in found)
            told: set[str] = set()
            for chunk in _chunks(_past(rows, kind.name)):
                told |= {row[2] for row in chunk}
                self.landing.load("history", chunk)
            if STAGE in told:
                self.dated = relation.name
            if told - {STAGE}:
                self.histories.add(kind.name)

    def _forms(self) -> dict[int, str]:
        """Return the submissions of each contact as HubSpot tells them in a property of the contact."""
        submitted: dict[int, list[tuple[int, str]]] = {}
        table = self.layout.forms
        for relation in self.tables.all(table.tables) if table is not None else ():
            assert table is not None
            for contact, at, form in self._rows(relation, table.contact, table.at, more=(table.form,)):
                number, moment = id_of(contact), instant_of(at)
                if number is not None and moment is not None:
                    submitted.setdefault(number, []).append((millis(instant(moment)), text_of(form) or ""))
        return {
            number: ";".join(f"{form}::{moment}" for moment, form in sorted(parts))
            for number, parts in submitted.items()
        }

    def _read_objects(self, table: ObjectTable, kind: Kind, submitted: Mapping[int, str]) -> None:
        # Outcomes of calls and meetings are told later than the event, and these tables do not tell when.
        wanted = [name for name in kind.tracked if name != OUTCOMES.get(kind.name)]
        lacking = set(wanted)
        for relation in self.tables.all(table.tables):
            reading = ObjectReading(self.tables, table, relation, wanted, stages=self._stages(table.kind))
            lacking &= reading.lacking
            for chunk in _chunks(reading.rows()):
                records, links, entries = [], [], []
                for one in chunk:
                    if one.number in submitted:
                        one.values[FORMS] = submitted[one.number]
                    records.append(
                        (kind.name, one.number, one.created, one.updated, one.archived, json.dumps(one.values))
                    )
                    links += [(kind.name, one.number, to, target, 0) for to, target in one.linked]
                    entries += [(kind.name, one.number, STAGE, at, stage, _DATED_STAGE) for stage, at in one.entered]
                self.landing.load("records", records)
                self.landing.load("links", links)
                self.landing.load("history", entries)
                if entries:
                    self.dated = "columns"
                self.landing.load(
                    "merges",
                    [(kind.name, loser, one.number) for one in chunk for loser in merged_ids(one.values)],
                )
        self.missing[kind.name] = tuple(name for name in wanted if name in lacking)

    def _stages(self, kind: str) -> list[str]:
        """Return the stages whose dates are to be taken from columns: none, if a history tells of them."""
        if kind != "deals" or self.dated not in (None, "columns"):
            return []
        return [stage["id"] for one in self.landing.fact("pipelines") or [] for stage in one["stages"]]

    def _read_links(self) -> None:
        for table in self.layout.links:
            for relation in self.tables.all(table.tables):
                for chunk in _chunks(self._rows(relation, table.key, table.target, more=(table.type,))):
                    links = [(id_of(key), id_of(target), id_of(kind)) for key, target, kind in chunk]
                    self.landing.load(
                        "links",
                        [
                            (table.kind, key, table.to, target, int(kind in PRIMARY_TYPES))
                            for key, target, kind in links
                            if key is not None and target is not None
                        ],
                    )
        self.landing.spread_links(ENGAGEMENTS, list(self.settings.engagements))

    def _read_events(self) -> None:
        table = self.layout.events
        for relation in self.tables.all(table.tables) if table is not None else ():
            assert table is not None
            needed = (table.recipient, table.key, table.at, table.type)
            rows = self._rows(relation, *needed, more=(table.machine,), among={3: EMAIL_TYPES}, unless=4)
            for chunk in _chunks(rows):
                for event_type in EMAIL_TYPES:
                    self.landing.keep_events(
                        f"email {event_type}",
                        [
                            (str(recipient).lower(), f"{key}:{at}", instant_of(at) or "", {})
                            for recipient, key, at, told, by_machine in chunk
                            if told == event_type and recipient and not is_set(by_machine)
                        ],
                    )


def _past(rows: Iterable[tuple[Any, ...]], kind: str) -> Iterator[tuple[Any, ...]]:
    for key, at, value, name, source in rows:
        number, moment = id_of(key), instant_of(at)
        if number is not None and moment is not None:
            yield kind, number, name, moment, text_of(value), text_of(source)


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
