"""Behaviour that is no CRM object: events of marketing e-mails, and page views."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from features.sources.hubspot.instants import iso_of, millis
from features.sources.hubspot.paths import EMAIL_EVENTS
from features.sources.hubspot.reading import Reading

EMAIL_TYPES: Final = ("OPEN", "CLICK", "BOUNCE", "SPAMREPORT", "STATUSCHANGE")
_EMAIL_PAGE: Final = "1000"
_SCHEDULED: Final = "web"
# What was read less than a minute ago is not read again.
_SOON: Final = 60_000


def read_email_events(reading: Reading) -> None:
    """Read what recipients did with marketing e-mails, in closed windows of time, newest first as HubSpot tells it."""
    for event_type in EMAIL_TYPES:
        name = f"position of e-mail events {event_type}"
        kept = reading.landing.fact(name) or {"until": None, "window": None, "offset": None}
        horizon = millis(reading.horizon)
        if kept["window"] is None and (kept["until"] or 0) < horizon - _SOON:
            overlap = round(reading.settings.overlap_minutes * 60_000)
            earliest = reading.now - timedelta(days=reading.settings.email_events_days)
            since = millis(earliest) if kept["until"] is None else kept["until"] - overlap
            kept |= {"window": [since, horizon], "offset": None}
        while kept["window"] is not None:
            since, until = kept["window"]
            parameters = {
                "eventType": event_type,
                "startTimestamp": str(since),
                "endTimestamp": str(until),
                "limit": _EMAIL_PAGE,
            }
            if kept["offset"] is not None:
                parameters["offset"] = str(kept["offset"])
            body = reading.client.get(EMAIL_EVENTS, parameters)
            # Filtered events are machines that look at mails before people do.
            people = [
                event for event in body["events"] if event["type"] == event_type and not event.get("filteredEvent")
            ]
            more = bool(body.get("hasMore"))
            kept = kept | {"offset": body.get("offset")} if more else {"until": until, "window": None, "offset": None}
            with reading.landing.page():
                reading.landing.keep_events(
                    f"email {event_type}",
                    [
                        (
                            str(event["recipient"]).lower(),
                            f"{event['id']}:{event['created']}",
                            iso_of(str(event["created"])) or "",
                            {},
                        )
                        for event in people
                    ],
                )
                reading.landing.keep_fact(name, kept)
            reading.told(f"e-mail events {event_type}: {len(people)} on this page")


def read_web_events(reading: Reading) -> None:
    """Read the page views of contacts that changed since they were read before, one contact after the other."""
    while due := reading.landing.due(_SCHEDULED, "contacts", limit=1):
        number = due[0]
        parameters = {
            "objectType": "contact",
            "objectId": str(number),
            "eventType": "e_visited_page",
        }
        newest = reading.landing.last_event("web", str(number))
        if newest is not None:
            parameters["occurredAfter"] = newest
        events = reading.client.pages(reading.client.paths.web_events(), parameters)
        with reading.landing.page():
            reading.landing.keep_events(
                "web",
                [
                    (str(number), str(event["id"]), event["occurredAt"], (event.get("properties") or {}).get("hs_url"))
                    for event in events
                ],
            )
            reading.landing.done(_SCHEDULED, "contacts", due)
        reading.told(f"web events: {len(events)} of one contact")
