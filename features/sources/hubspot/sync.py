"""Bring the landing up to date with HubSpot: everything once, then what changed, in pages that are kept one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from features.findings import Finding
from features.sources.hubspot.client import RefusedRequestError, next_cursor
from features.sources.hubspot.definitions import read_definitions
from features.sources.hubspot.instants import instant, iso, millis
from features.sources.hubspot.kinds import Kind, kinds_of
from features.sources.hubspot.lanes import run_side_by_side
from features.sources.hubspot.linking import inline_links, read_links
from features.sources.hubspot.positions import Position, digest_of
from features.sources.hubspot.reading import Reading
from features.sources.hubspot.streams import read_email_events, read_web_events

SEARCH_PAGE: Final = 200
LINKS_PAGE: Final = 1000
# Much shorter than HubSpot's own limit: proxies on the way have limits too.
LONGEST_QUERY: Final = 6_000
_BIN_DAYS: Final = 85
# More than a company deletes for good between two sweeps.
_MANY: Final = 100
_LARGE_SHARE: Final = 0.1


@dataclass
class Sync(Reading):
    """Reads all that an account has, kind by kind, and goes on where an earlier one ended."""

    def run(self) -> list[Finding]:
        """Read all that is new and return what could not be read; what is read before an error is kept."""
        read_definitions(self)
        # Each lane gathers findings of its own, so that their order does not hang on who was faster.
        lanes: list[Sync] = []
        tasks = []
        # What was never read to its end goes first: a short day must not be spent on news of the rest.
        for kind in sorted(kinds_of(self.settings), key=lambda kind: self._position(kind).phase != "full"):
            lanes.append(replace(self, findings=[]))
            tasks.append(partial(lanes[-1].optional, kind.name, kind.table, partial(lanes[-1]._read_kind, kind)))
        if self.settings.email_events:
            lanes.append(replace(self, findings=[]))
            read = partial(read_email_events, lanes[-1])
            tasks.append(partial(lanes[-1].optional, "marketing e-mail events", "activities", read))
        run_side_by_side(tasks, lanes=self.settings.lanes, stop=self.client.stop)
        for lane in lanes:
            self.findings += lane.findings
        if self.settings.web_events:
            self.optional("web events", "activities", partial(read_web_events, self))
        return self.findings

    def _read_kind(self, kind: Kind) -> None:
        position = self._position(kind)
        if position.digest != digest_of(kind):
            position = Position.start(kind, sweep=position.sweep + 1)
        while position.phase != "idle" or (position := self._next(kind, position)).phase != "idle":
            read = self._read_changes if position.phase == "delta" else self._read_list
            position = read(kind, position)
        self._fetch_due(kind, position)
        self._relink(kind, position)

    def _position(self, kind: Kind) -> Position:
        kept = self.landing.fact(f"position of {kind.name}")
        return Position.start(kind) if kept is None else Position.from_json(kept)

    def _keep(self, kind: Kind, position: Position) -> Position:
        self.landing.keep_fact(f"position of {kind.name}", position.to_json())
        return position

    def _next(self, kind: Kind, position: Position) -> Position:
        """Return what an idle kind is to be read for; it stays idle if it is up to date."""
        known_until, horizon = position.known_until or "", iso(self.horizon)
        if known_until < iso(self.horizon - timedelta(minutes=1)):
            since = instant(known_until) - timedelta(minutes=self.settings.overlap_minutes)
            return position.at(phase="delta", window=(iso(since), horizon), after=None)
        swept = position.swept_at or ""
        if kind.table != "activities" and swept < iso(self.now - timedelta(days=self.settings.sweep_days)):
            return position.at(phase="sweep", sweep=position.sweep + 1, after=None, swept_at=iso(self.now))
        return position

    def _read_list(self, kind: Kind, position: Position) -> Position:
        """Read the next page of a list: of all objects with all that is wanted, or of a sweep with their values.

        The archived ones of deals are read in full, since some were lost before; of others only that they are gone.
        """
        archived = position.phase in ("archived", "sweep archived")
        full = position.phase in ("full", "archived")
        body = self._list_page(kind, position, archived=archived, full=full)
        following = next_cursor(body)
        found = body["results"]
        with self.landing.page():
            if full:
                self._land(kind, found, position)
                if kind.links:
                    self._land_inline_links(kind, found)
            else:
                self._land_sweep(kind, found, position, archived=archived)
            if following is not None:
                kept = self._keep(kind, position.at(after=following, known_until=self._since_full(position)))
            else:
                kept = self._keep(kind, self._after_list(kind, position))
        self.told(f"{kind.name}: {position.phase}, {len(found)} on this page")
        return kept

    def _since_full(self, position: Position) -> str | None:
        """Return from when on changes must be read after a full list: from before its first page."""
        return (position.known_until or iso(self.horizon)) if position.phase == "full" else position.known_until

    def _after_list(self, kind: Kind, position: Position) -> Position:
        known_until = self._since_full(position)
        if position.phase == "full":
            phase = "archived" if kind.name == "deals" else "idle"
            begun = {"swept_at": known_until, "linked_at": known_until}
            return position.at(phase=phase, after=None, known_until=known_until, **begun)
        if position.phase == "sweep":
            return position.at(phase="sweep archived", after=None)
        if position.phase == "sweep archived":
            self._erase_unseen(kind, position)
        return position.at(phase="idle", after=None)

    def _erase_unseen(self, kind: Kind, position: Position) -> None:
        """Remove what neither list of a sweep told of any more: HubSpot has deleted it for good.

        If that is much, it is rather the token that may no longer see it all, and everything is kept.
        """
        forgotten = iso(self.now - timedelta(days=_BIN_DAYS))
        gone = self.landing.unseen(kind.name, sweep=position.sweep, forgotten_before=forgotten)
        if len(gone) > max(_MANY, self.landing.count(kind.name) * _LARGE_SHARE):
            message = (
                f"{len(gone):,} {kind.name} are no longer in HubSpot, neither among the present nor the archived ones; "
                "they are kept, as the token may have lost the right to see them. If they were deleted, delete "
                "warehouse/hubspot.db under the home and read everything again."
            )
            self.findings.append(Finding("warning", "many-vanished", kind.table, message, count=len(gone)))
        else:
            self.landing.erase(kind.name, gone)

    def _list_page(self, kind: Kind, position: Position, *, archived: bool, full: bool) -> Any:
        parameters = {
            "limit": str(kind.page if full else 100),
            "archived": str(archived).lower(),
            "properties": ",".join(kind.properties if full else kind.tracked),
        }
        if kind.links:
            parameters["associations"] = ",".join(kind.links)
        if full and kind.history:
            parameters["propertiesWithHistory"] = ",".join(kind.history)
        if position.after is not None:
            parameters["after"] = position.after
        path = self.client.paths.objects(kind.name)
        short = parameters | {"properties": "hs_merged_object_ids"}
        short.pop("propertiesWithHistory", None)
        if sum(map(len, parameters.values())) <= LONGEST_QUERY:
            try:
                return self.client.get(path, parameters)
            except RefusedRequestError as error:
                if error.status != 414:
                    raise
        if not full:
            return self.client.get(path, short)
        # The names do not fit into the address: the list tells the ids, and a batch has the names in its body.
        body = self.client.get(path, short)
        links = {one["id"]: one.get("associations") for one in body["results"]}
        read = self._read_batch(kind, [int(number) for number in links], archived=archived) if links else []
        return body | {"results": [one | {"associations": links[one["id"]]} for one in read]}

    def _read_batch(self, kind: Kind, ids: Sequence[int], *, archived: bool = False) -> list[dict[str, Any]]:
        body = {
            "inputs": [{"id": str(number)} for number in ids],
            "properties": list(kind.tracked),
            **({"propertiesWithHistory": list(kind.history)} if kind.history else {}),
        }
        path = f"{self.client.paths.objects(kind.name)}/batch/read"
        answer = self.client.ask("POST", path, parameters={"archived": str(archived).lower()}, body=body)
        found: list[dict[str, Any]] = answer.body["results"]
        return found

    def _land(self, kind: Kind, found: Iterable[Mapping[str, Any]], position: Position) -> None:
        objects = list(found)
        self.landing.land(
            kind.name,
            objects,
            tracked=kind.tracked,
            history=kind.history,
            sweep=position.sweep,
            seen_at=iso(self.now),
        )
        if kind.name == "contacts" and self.settings.web_events:
            self.landing.add_due("web", "contacts", [int(one["id"]) for one in objects])

    def _land_inline_links(self, kind: Kind, found: Iterable[Mapping[str, Any]]) -> None:
        told = inline_links(kind, found)
        for to, links in told.links.items():
            self.landing.replace_links(kind.name, to, links)
            self.landing.add_due(f"links to {to}", kind.name, told.unfinished[to])

    def _land_sweep(
        self, kind: Kind, found: Sequence[Mapping[str, Any]], position: Position, *, archived: bool
    ) -> None:
        ids = [int(one["id"]) for one in found]
        gone = {int(one["id"]): one.get("archivedAt") or iso(self.now) for one in found} if archived else {}
        self.landing.mark_seen(kind.name, ids, sweep=position.sweep, archived=gone)
        if not archived:
            known = self.landing.known(kind.name, ids)
            self.landing.add_due("read", kind.name, [int(one["id"]) for one in found if _is_news(kind, one, known)])
            if kind.links:
                self._land_inline_links(kind, found)

    def _read_changes(self, kind: Kind, position: Position) -> Position:
        """Read the next page of what changed within the window, in the order of ids.

        Every page is the first of a search for higher ids: however many objects were changed at one instant, no page
        is met twice, and search's limit of 10,000 results is never reached.
        """
        assert position.window is not None
        since, until = position.window
        conditions: list[dict[str, Any]] = [
            {
                "propertyName": kind.modified,
                "operator": "BETWEEN",
                "value": str(millis(instant(since))),
                "highValue": str(millis(instant(until))),
            }
        ]
        if position.after is not None:
            conditions.append({"propertyName": "hs_object_id", "operator": "GT", "value": position.after})
        body = {
            "filterGroups": [{"filters": conditions}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(kind.tracked),
            "limit": SEARCH_PAGE,
        }
        answer = self.client.post(f"{self.client.paths.objects(kind.name)}/search", body).body
        found = sorted(answer["results"], key=lambda one: int(one["id"]))
        with self.landing.page():
            news = self._without_echoes(kind, found)
            if kind.history:
                self.landing.add_due("read", kind.name, [int(one["id"]) for one in news])
            else:
                self._land(kind, news, position)
                self._add_links_due(kind, [int(one["id"]) for one in news])
            if found and next_cursor(answer) is not None:
                kept = self._keep(kind, position.at(after=found[-1]["id"]))
            else:
                kept = self._keep(kind, position.at(phase="idle", after=None, window=None, known_until=until))
        self.told(f"{kind.name}: {len(news)} changed on this page")
        return kept

    def _without_echoes(self, kind: Kind, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Leave out objects that changed by our own write-back alone, or that were read in this state before."""
        ids = [int(one["id"]) for one in found]
        known, echoes = self.landing.known(kind.name, ids), self.landing.echoes(kind.name, ids)
        news, unchanged = [], {}
        for one in found:
            number, updated = int(one["id"]), one["updatedAt"]
            read_at, values = known.get(number, ("", {}))
            if updated == read_at or (updated == echoes.get(number) and _present(kind, one) == values):
                unchanged[number] = updated
            else:
                news.append(one)
        self.landing.mark_updated(kind.name, unchanged)
        return news

    def _fetch_due(self, kind: Kind, position: Position) -> None:
        """Read the objects that a search or a sweep found, one batch for each page."""
        while ids := self.landing.due("read", kind.name, limit=kind.page):
            found = self._read_batch(kind, ids)
            with self.landing.page():
                self._land(kind, found, position)
                self.landing.done("read", kind.name, ids)
                self._add_links_due(kind, [int(one["id"]) for one in found])
            self.told(f"{kind.name}: {len(found)} read again")

    def _add_links_due(self, kind: Kind, ids: Sequence[int]) -> None:
        for to in kind.links:
            self.landing.add_due(f"links to {to}", kind.name, ids)

    def _relink(self, kind: Kind, position: Position) -> None:
        """Read links that are due; those of engagements all again now and then, as no change tells of a new one."""
        overdue = (position.linked_at or "") < iso(self.now - timedelta(days=self.settings.relink_days))
        if kind.table == "activities" and overdue:
            with self.landing.page():
                for to in kind.links:
                    self.landing.add_all_due(f"links to {to}", kind.name)
                self._keep(kind, position.at(linked_at=iso(self.now)))
        for to in kind.links:
            task = f"links to {to}"
            while ids := self.landing.due(task, kind.name, limit=LINKS_PAGE):
                links = read_links(self.client, kind, to, ids)
                with self.landing.page():
                    self.landing.replace_links(kind.name, to, links)
                    self.landing.done(task, kind.name, ids)
                self.told(f"{kind.name}: links of {len(ids)} to {to}")


def _present(kind: Kind, one: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that an object has of what is read."""
    return {name: value for name in kind.tracked if (value := one["properties"].get(name))}


def _is_news(kind: Kind, one: Mapping[str, Any], known: Mapping[int, tuple[str, dict[str, str]]]) -> bool:
    """Say whether a sweep shows an object that is not known, or not with these values.

    A property of which a sweep shows nothing at all says nothing: the address may have been too long for its name.
    """
    if int(one["id"]) not in known:
        return True
    values = known[int(one["id"])][1]
    return any(
        (one["properties"][name] or None) != values.get(name) for name in kind.tracked if name in one["properties"]
    )
