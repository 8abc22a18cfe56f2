"""Write scores back: plan what changed, send it in batches, split what is refused down to the one that is to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import pandas as pd

from features.errors import LeadScoringError
from features.sources.hubspot.client import HubSpotClient, RefusedRequestError, spoken
from features.sources.hubspot.instants import instant
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.merging import Survivors, landed_survivors
from serving.contract import contract_of
from serving.writeback.fields import FIELDS, WriteBackSettings, WrittenField, changed_enough, texts_of
from serving.writeback.ledger import DeadLetter, Ledger, Write
from serving.writeback.properties import make_properties, missing_properties

Item = TypeVar("Item")

BATCH: Final = 100
# Fewer refusals than this may be about their objects; a whole batch of them is about the account.
_TELLING: Final = 10


class WriteBackRefusedError(LeadScoringError):
    """HubSpot refused every object of the first batch, so the cause is not in the objects."""


@dataclass(frozen=True)
class Plan:
    """What a run would write, and why it leaves the rest alone.

    ``already`` has the new values in HubSpot; ``newer`` counts objects with a later score than this batch's;
    ``later`` those beyond the limit.
    """

    question: str
    batch_id: str
    as_of: datetime
    missing: tuple[WrittenField, ...]
    writes: tuple[Write, ...]
    already: tuple[Write, ...]
    gone: tuple[DeadLetter, ...]
    unchanged: int
    newer: int
    later: int


@dataclass(frozen=True)
class Outcome:
    """What a run did. ``dead`` were refused and are tried again by the next run."""

    written: int
    dead: tuple[DeadLetter, ...]
    requests: int


@dataclass
class WriteBack:
    """Writes scores of one home into one account. ``landing`` is what was read of that account, if it was."""

    client: HubSpotClient
    ledger: Ledger
    settings: WriteBackSettings
    landing: Landing | None = None
    tell: Callable[[str], None] = field(default=lambda _words: None)

    def plan(self, rows: pd.DataFrame, *, question: str, limit: int | None = None) -> Plan:
        """Compare a published batch with what was written before, and look up what HubSpot has now; writes nothing."""
        batch_id, as_of = str(rows["batch_id"].iloc[0]), rows["as_of"].iloc[0].to_pydatetime()
        ranked = rows.sort_values(contract_of(question).probability, ascending=False, kind="stable")
        wanted = self._by_survivor(texts_of(ranked, question=question, settings=self.settings), question)
        present, unsettled = self.ledger.present(question), self.ledger.unsettled(question)
        chosen, foreign, unchanged, newer = [], [], 0, 0
        for number, texts in wanted.items():
            written_as_of, values = present.get(number, (None, {}))
            if written_as_of is not None and written_as_of > as_of:
                newer += 1
            elif number not in unsettled and not changed_enough(
                values, texts, question=question, settings=self.settings
            ):
                unchanged += 1
            elif not number.isdigit():
                foreign.append(DeadLetter(number, "it is no HubSpot id"))
            else:
                chosen.append(number)
        # What a killed run may have sent goes first: only it remembers what was there before.
        chosen.sort(key=lambda number: number not in unsettled)
        most = self.settings.limit if limit is None else min(limit, self.settings.limit)
        missing = missing_properties(self.client, question=question, settings=self.settings) if chosen else []
        writes, already, gone = [], [], foreign
        for batch in _batches(chosen[:most]):
            found = self._values_in_hubspot(question, batch)
            for number in batch:
                if number not in found:
                    gone.append(DeadLetter(number, "HubSpot does not have it any more, or merged it into another"))
                    continue
                write = Write(number, before=unsettled.get(number, found[number]), after=wanted[number])
                if self._is_later(found[number], write.after):
                    newer += 1
                elif all((found[number].get(name) or "") == text for name, text in write.after.items()):
                    already.append(write)
                else:
                    writes.append(write)
        return Plan(
            question=question,
            batch_id=batch_id,
            as_of=as_of,
            missing=tuple(missing),
            writes=tuple(writes),
            already=tuple(already),
            gone=tuple(gone),
            unchanged=unchanged,
            newer=newer,
            later=max(0, len(chosen) - most),
        )

    def execute(self, plan: Plan, *, now: datetime) -> Outcome:
        """Make the properties that are missing and write all that was planned; safe to repeat at any point."""
        if not plan.writes and not plan.already and not plan.gone:
            return Outcome(written=0, dead=(), requests=self.client.requests)
        make_properties(self.client, list(plan.missing), question=plan.question, settings=self.settings)
        run = self.ledger.begin(question=plan.question, batch_id=plan.batch_id, as_of=plan.as_of, now=now)
        self.ledger.intend(run, [*plan.already, *(Write(letter.object_id, {}, {}) for letter in plan.gone)])
        self.ledger.settle(run, question=plan.question, as_of=plan.as_of, written=plan.already, dead=plan.gone)
        written, dead = self._send_all(run, plan.question, plan.writes, as_of=plan.as_of)
        return Outcome(written=written, dead=(*plan.gone, *dead), requests=self.client.requests)

    def undo(self, question: str, *, now: datetime) -> Outcome:
        """Put back what the last run found before it wrote, but for what was written over since."""
        undone, batch_id, writes = self.ledger.last_undoable(question)
        run = self.ledger.begin(question=question, batch_id=batch_id, as_of=None, now=now, undoes=undone)
        written, dead = self._send_all(run, question, writes, as_of=None)
        return Outcome(written=written, dead=tuple(dead), requests=self.client.requests)

    def _by_survivor(self, texts: Mapping[str, dict[str, str]], question: str) -> dict[str, dict[str, str]]:
        """Address scores to the objects that are left of merges; a survivor's own score goes before the others'."""
        merged = landed_survivors(self.landing, question) if self.landing is not None else Survivors({})
        found: dict[str, dict[str, str]] = {}
        for number, values in texts.items():
            survivor = str(merged.of(int(number))) if number.isdigit() else number
            if survivor == number or survivor not in texts:
                found[survivor] = values
        return found

    def _values_in_hubspot(self, question: str, ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
        names = [one.name(self.settings) for one in FIELDS[question]]
        body = {"inputs": [{"id": number} for number in ids], "properties": names}
        results = self.client.post(f"{self.client.paths.objects(question)}/batch/read", body).body["results"]
        self.tell(f"{question}: {len(results)} looked up ({self.client.requests:,} requests)")
        return {one["id"]: {name: one["properties"].get(name) or None for name in names} for one in results}

    def _is_later(self, found: Mapping[str, str | None], after: Mapping[str, str]) -> bool:
        """Say whether another home has written a later score."""
        name = f"{self.settings.prefix}_scored_at"
        there, ours = found.get(name), after.get(name)
        return bool(there and ours and instant(there) > instant(ours))

    def _send_all(
        self, run: int, question: str, writes: Sequence[Write], *, as_of: datetime | None
    ) -> tuple[int, list[DeadLetter]]:
        total, dead = 0, list[DeadLetter]()
        for place, batch in enumerate(_batches(writes)):
            self.ledger.intend(run, batch)
            taken, refused = self._send(question, batch)
            self.ledger.settle(run, question=question, as_of=as_of, written=taken, dead=refused)
            total, dead = total + len(taken), dead + refused
            self.tell(f"{question}: {total:,} written ({self.client.requests:,} requests)")
            if place == 0 and not taken and len(refused) >= _TELLING:
                raise WriteBackRefusedError(
                    f"HubSpot must take scores of {question}; it refused all {len(refused)} of the first batch: "
                    f"{refused[0].reason}. Mend that in HubSpot and repeat; nothing was changed."
                )
        self.ledger.forget_unsettled(question)
        return total, dead

    def _send(self, question: str, writes: Sequence[Write]) -> tuple[list[Write], list[DeadLetter]]:
        """Send one batch; halve it as long as HubSpot refuses it as a whole."""
        body = {"inputs": [{"id": write.object_id, "properties": write.after} for write in writes]}
        try:
            answer = self.client.post(f"{self.client.paths.objects(question)}/batch/update", body)
        except RefusedRequestError as error:
            if len(writes) == 1:
                return [], [DeadLetter(writes[0].object_id, f"{error.category}: {error.said}")]
            half = len(writes) // 2
            first, second = self._send(question, writes[:half]), self._send(question, writes[half:])
            return first[0] + second[0], first[1] + second[1]
        confirmed = {str(one["id"]): one for one in answer.body["results"]}
        reasons = _reasons(answer.body.get("errors") or [])
        taken = [write for write in writes if write.object_id in confirmed]
        refused = [
            DeadLetter(write.object_id, reasons.get(write.object_id, reasons.get("", "HubSpot did not confirm it")))
            for write in writes
            if write.object_id not in confirmed
        ]
        if self.landing is not None and confirmed:
            with self.landing.page():
                self.landing.keep_echoes(question, {int(number): one["updatedAt"] for number, one in confirmed.items()})
        return taken, refused


def _reasons(errors: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return HubSpot's reasons by object id; one that names no object goes by the empty id."""
    found: dict[str, str] = {}
    for error in errors:
        reason = f"{error.get('category') or 'ERROR'}: {spoken(error)}"
        ids = (error.get("context") or {}).get("ids") or (error.get("context") or {}).get("id") or [""]
        found |= {str(number): reason for number in ids}
    return found


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
