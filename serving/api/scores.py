"""Scores: pages and streams of a batch, what changed, one object, and many by their ids."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import create_model
from starlette.responses import Response

from serving.api.access import require, service_of
from serving.api.answers import (
    MEDIA,
    batch_headers,
    chosen_format,
    entity_tag,
    json_answer,
    one_of_few,
    stream,
    unchanged,
)
from serving.api.problems import Problem
from serving.api.schemas import (
    ROWS,
    USUAL_ROWS,
    BatchHead,
    ChangePage,
    ContactPage,
    DealPage,
    Lookup,
    OnePage,
    Paging,
    Text,
)
from serving.api.service import Service
from serving.batch import StoredBatch
from serving.contract import contract_of
from serving.cursors import (
    ChangeCursor,
    CursorError,
    PageCursor,
    fingerprint,
    read_change_cursor,
    read_page_cursor,
    write_cursor,
)
from serving.formats import encode, iso, json_rows
from serving.keys import ApiKey
from serving.store import UnknownBatchError
from serving.walks import BatchGoneError, Chunk, Filter, history, read_changes, read_chunk, walk
from serving.why import why_changed

Reader = Annotated[ApiKey, Depends(require("scores:read"))]
Reasoner = Annotated[ApiKey, Depends(require("reasons:read"))]
ObjectId = Annotated[Text, Path(description="The id in the CRM.")]
_HISTORY_FIELDS: Final = ("model_version", "tier", "stage", "points", "trend", "not_scored", "owner_id")


def fields_for(question: str, key: ApiKey, asked: list[str]) -> tuple[str, ...]:
    """Return the columns of an answer in the contract's order; what says why only for a key that may read it."""
    names, explaining = contract_of(question).names, contract_of(question).explaining
    wanted = {name.strip() for one in asked for name in one.split(",")}
    unknown = sorted(wanted - set(names))
    if unknown:
        raise Problem("invalid_parameter", f"fields must be some of {', '.join(names)}; found {', '.join(unknown)}.")
    refused = [name for name in explaining if name in wanted and not key.may("reasons:read")]
    if refused:
        raise Problem("missing_scope", f"The field {refused[0]} needs a key with the scope reasons:read.")
    allowed = names if key.may("reasons:read") else tuple(name for name in names if name not in explaining)
    return tuple(name for name in allowed if name in wanted) if wanted else allowed


def head_of(service: Service, batch: StoredBatch) -> dict[str, Any]:
    """Return the batch of an answer as JSON."""
    return {
        "batch_id": batch.batch_id,
        "as_of": iso(batch.as_of),
        "scored_at": iso(batch.scored_at),
        "stale": bool(batch.latest_for) and service.is_stale(batch),
    }


def page_of(request: Request, question: str, key: ApiKey, wanted: ContactPage | DealPage) -> Response:
    """Answer with a page in JSON, or with a page or all of a batch in another format."""
    service = service_of(request)
    form = chosen_format(request)
    fields, chosen = fields_for(question, key, wanted.fields), wanted.chosen()
    asked = fingerprint({"question": question} | wanted.model_dump(exclude={"after", "limit", "fields", "batch"}))
    after, batch_id = None, wanted.batch
    if wanted.after is not None:
        cursor = read_page_cursor(wanted.after)
        if cursor.asked != asked or wanted.batch not in ("latest", cursor.batch_id):
            raise CursorError("a cursor must come with the filters and the batch that it was given for. Repeat those.")
        after, batch_id = cursor.after, cursor.batch_id
    batch = _batch(service, question, batch_id, gone=wanted.after is not None)
    request.state.batch_id = batch.batch_id
    headers = batch_headers(service, batch)
    limit = wanted.limit or (USUAL_ROWS if form == "json" else None)
    tag = entity_tag(request, batch, form, fields, asked, after, limit, headers.get("Leadline-Stale"))
    known = unchanged(request, tag, headers)
    if known is not None:
        return known
    headers["ETag"] = tag
    if limit is None:
        chunks = walk(service.store, question, batch, fields=fields, chosen=chosen, after=after)
        parts = encode(form, question, batch, chunks, fields=fields)  # type: ignore[arg-type] # json has a limit
        return stream(request, one_of_few(service, parts), form=form, headers=headers)
    page = read_chunk(service.store, question, batch, fields=fields, chosen=chosen, after=after, rows=limit)
    following = None
    if page.last is not None:
        following = write_cursor(PageCursor(batch.batch_id, page.last, asked))
        headers["Leadline-Next-After"] = following
    if form != "json":
        parts = encode(form, question, batch, iter([page]), fields=fields)  # type: ignore[arg-type] # not json
        return stream(request, parts, form=form, headers=headers)
    told: dict[str, Any] = {"batch": head_of(service, batch)}
    if following is not None:
        told["paging"] = {"next": {"after": following}}
    return json_answer(request, _with_results(question, page, told), headers)


def changes_of(request: Request, question: str, key: ApiKey, wanted: ChangePage) -> Response:
    """Answer with the next objects that changed since a cursor, and the cursor to keep."""
    service = service_of(request)
    form = chosen_format(request, ("json", "ndjson"))
    fields = fields_for(question, key, wanted.fields)
    batch = service.store.batch(question)
    seen = ChangeCursor(question, 0, "") if wanted.since is None else read_change_cursor(wanted.since)
    if seen.question != question:
        raise CursorError(f"a cursor must be one of the changes of {question}; this one is not.")
    if seen.batch_id is not None:
        batch = _batch(service, question, seen.batch_id, gone=True)
    if seen.since > batch.sequence:
        raise BatchGoneError("the store holds no batch as new as this cursor: it was replaced. Begin again without it.")
    request.state.batch_id = batch.batch_id
    found = read_changes(
        service.store,
        question,
        batch,
        since=seen.since,
        since_batch=seen.since_batch or None,
        fields=fields,
        after=seen.after,
        rows=wanted.limit,
    )
    following = (
        ChangeCursor(question, batch.sequence, batch.batch_id)
        if found.last is None
        else ChangeCursor(question, seen.since, seen.since_batch, batch.batch_id, found.last)
    )
    rows = dict(zip(found.rows.ids, json_rows(question, found.rows), strict=True))
    told = {
        object_id: {"id": object_id, "change": "updated", "score": orjson.Fragment(row)}
        for object_id, row in rows.items()
    } | {
        one.object_id: {
            "id": one.object_id,
            "change": "removed",
            "reason": one.reason,
            "merged_into": one.merged_into,
        }
        for one in found.gone
    }
    ordered = [told[object_id] for object_id in sorted(told)]
    headers = batch_headers(service, batch) | {"Leadline-Cursor": write_cursor(following), "Cache-Control": "no-store"}
    headers["Leadline-More"] = "true" if found.last is not None else "false"
    if form == "ndjson":
        return stream(
            request, iter([b"".join(orjson.dumps(one) + b"\n" for one in ordered)]), form=form, headers=headers
        )
    body = {
        "results": ordered,
        "cursor": write_cursor(following),
        "more": found.last is not None,
        "batch": head_of(service, batch),
    }
    return json_answer(request, orjson.dumps(body), headers)


def one_of(request: Request, question: str, key: ApiKey, object_id: str, wanted: OnePage) -> Response:
    """Answer with one object's row."""
    service = service_of(request)
    fields = fields_for(question, key, wanted.fields)
    batch = service.store.batch(question, wanted.batch)
    request.state.batch_id = batch.batch_id
    page = read_chunk(service.store, question, batch, fields=fields, chosen=Filter(ids=(object_id,)), rows=1)
    if not page.ids:
        raise Problem("object_not_found", f"Batch {batch.batch_id} holds no such object of {question}.")
    headers = batch_headers(service, batch)
    tag = entity_tag(request, batch, fields, object_id, headers.get("Leadline-Stale"))
    return unchanged(request, tag, headers) or json_answer(
        request, next(json_rows(question, page)), headers | {"ETag": tag}
    )


def history_of(request: Request, question: str, object_id: str) -> dict[str, Any]:
    """Answer with what each kept batch said of an object."""
    told = history(service_of(request).store, question, object_id)
    if not told:
        raise Problem("object_not_found", f"No batch that is kept holds this object of {question}.")
    contract = contract_of(question)
    low, _, high = contract.ranges[0]
    names = (contract.probability, low, high, *(name for name in _HISTORY_FIELDS if name in contract.names))
    return {
        "id": object_id,
        "results": [
            {"batch_id": batch.batch_id, "as_of": iso(batch.as_of), "scored_at": iso(batch.scored_at)}
            | {name: row[name] for name in names}
            for batch, row in told
        ],
    }


def why_of(request: Request, question: str, object_id: str) -> dict[str, Any]:
    """Answer with what moved an object's probability since the batch before, or why that cannot be said."""
    told = history(service_of(request).store, question, object_id)
    if not told:
        raise Problem("object_not_found", f"No batch that is kept holds this object of {question}.")
    return {"id": object_id} | why_changed(told, contract_of(question))


def make_router() -> APIRouter:
    """Return the routes of both questions."""
    router = APIRouter(prefix="/v1", tags=["scores"])
    _add_question(router, "contacts", ContactPage)
    _add_question(router, "deals", DealPage)

    @router.post("/scores/lookup", summary="Scores of up to 1,000 objects by their ids", response_model=None)
    def lookup(request: Request, key: Reader, wanted: Lookup) -> Response:
        service = service_of(request)
        question = f"{wanted.object_type}s"
        fields = fields_for(question, key, wanted.fields)
        batch = service.store.batch(question, wanted.batch)
        request.state.batch_id = batch.batch_id
        ids = tuple(sorted(set(wanted.ids)))
        page = read_chunk(service.store, question, batch, fields=fields, chosen=Filter(ids=ids), rows=len(ids))
        told = {"missing": sorted(set(ids) - set(page.ids)), "batch": head_of(service, batch)}
        return json_answer(request, _with_results(question, page, told), batch_headers(service, batch))

    return router


def _add_question(router: APIRouter, question: str, page: type[ContactPage] | type[DealPage]) -> None:
    one = contract_of(question).object_type
    row = ROWS[question]
    name = one.capitalize()
    answer = create_model(f"{name}Page", results=(list[row], ...), batch=(BatchHead, ...), paging=(Paging | None, None))  # type: ignore[valid-type]
    others = {MEDIA[form]: {"schema": {"type": "string"}} for form in ("ndjson", "csv")}
    others |= {MEDIA[form]: {"schema": {"type": "string", "format": "binary"}} for form in ("parquet", "arrow")}

    def scores(request: Request, key: Reader, wanted: Any) -> Response:
        return page_of(request, question, key, wanted)

    def changes(request: Request, key: Reader, wanted: Annotated[ChangePage, Query()]) -> Response:
        return changes_of(request, question, key, wanted)

    def single(request: Request, key: Reader, object_id: ObjectId, wanted: Annotated[OnePage, Query()]) -> Response:
        return one_of(request, question, key, object_id, wanted)

    def past(request: Request, key: Reader, object_id: ObjectId) -> dict[str, Any]:
        return history_of(request, question, object_id)

    def why(request: Request, key: Reasoner, object_id: ObjectId) -> dict[str, Any]:
        return why_of(request, question, object_id)

    scores.__annotations__["wanted"] = Annotated[page, Query()]
    path = f"/{question}/scores"
    router.add_api_route(
        path,
        scores,
        summary=f"Scores of {question}, a page or all",
        operation_id=f"list_{question}_scores",
        responses={200: {"model": answer, "content": others}, 304: {"description": "As at the last visit"}},
        response_model=None,
    )
    router.add_api_route(
        f"{path}/changes",
        changes,
        summary=f"Scores of {question} that changed since a cursor, and what went",
        operation_id=f"list_{question}_changes",
        responses={
            200: {"content": {MEDIA["json"]: {"schema": _CHANGES}, MEDIA["ndjson"]: {"schema": {"type": "string"}}}}
        },
        response_model=None,
    )
    router.add_api_route(
        f"{path}/{{object_id}}",
        single,
        summary=f"The score of one {one}",
        operation_id=f"get_{one}_score",
        responses={200: {"model": row}, 304: {"description": "As at the last visit"}},
        response_model=None,
    )
    router.add_api_route(
        f"{path}/{{object_id}}/history",
        past,
        summary=f"What each kept batch said of a {one}",
        operation_id=f"get_{one}_history",
    )
    router.add_api_route(
        f"{path}/{{object_id}}/why-changed",
        why,
        summary=f"What moved the score of a {one} since the batch before",
        operation_id=f"get_{one}_change",
    )


_CHANGES: Final = {
    "type": "object",
    "required": ["results", "cursor", "more", "batch"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "change"],
                "properties": {
                    "id": {"type": "string"},
                    "change": {"enum": ["updated", "removed"]},
                    "score": {"type": "object"},
                    "reason": {"enum": ["erased", "merged", "no_longer_scored"]},
                    "merged_into": {"type": ["string", "null"]},
                },
            },
        },
        "cursor": {"type": "string"},
        "more": {"type": "boolean"},
        "batch": {"$ref": "#/components/schemas/BatchHead"},
    },
}


def _batch(service: Service, question: str, batch_id: str, *, gone: bool) -> StoredBatch:
    """Return a batch; one that a cursor names and that is not there was there when the cursor was given."""
    try:
        return service.store.batch(question, batch_id)
    except UnknownBatchError as error:
        if gone:
            raise BatchGoneError(
                f"the batch of this cursor is kept no more ({batch_id}); begin again without it"
            ) from error
        raise


def _with_results(question: str, page: Chunk, told: dict[str, Any]) -> bytes:
    return b'{"results":[' + b",".join(json_rows(question, page)) + b"]," + orjson.dumps(told)[1:]
