"""One set of scores to publish: what it holds, whether it may be published, and the digest that names its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from serving.arrow_text import arrow_text, text_bytes
from serving.contract import CONTRACT_VERSION, ContractError, check_rows, conform, contract_of
from serving.database import StoreError

LATEST: Final = "latest"
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}")


@dataclass(frozen=True)
class Gone:
    """Why an object is scored no more: it was erased, or merged into another one, whose id is ``merged_into``."""

    reason: Literal["erased", "merged"]
    merged_into: str | None = None

    def __post_init__(self) -> None:
        if (self.reason == "merged") != (self.merged_into is not None):
            raise StoreError(
                f"an object that was merged, and no other, must name the one it was merged into; found {self!r}."
            )


@dataclass(frozen=True)
class Batch:
    """One set of scores to publish; a question that is None is not part of it.

    The frames hold the contract's columns without ``batch_id`` and ``scored_at``. ``summary`` is plain JSON data
    and part of the content, so nothing in it may depend on when it was made. No part of the content: ``cards``, by
    question what the model that scored is and how it was judged, ``gone``, by question why objects that the latest
    batch holds are not in this one, for those of which the reason is known, and ``in_crm``, by question the ids that
    the CRM holds: what is gone and not among them was erased.
    """

    batch_id: str
    as_of: datetime
    scored_at: datetime
    model_versions: dict[str, str]
    contacts: pd.DataFrame | None
    deals: pd.DataFrame | None
    summary: dict[str, Any]
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gone: Mapping[str, Mapping[str, Gone]] = field(default_factory=dict)
    in_crm: Mapping[str, pd.Index] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _BATCH_ID.fullmatch(self.batch_id) or self.batch_id == LATEST:
            raise StoreError(
                f"a batch id must be 1 to 100 letters, digits or . _ : + -, and not {LATEST!r}; "
                f"found {self.batch_id!r}. Choose another id."
            )
        for name in ("as_of", "scored_at"):
            instant: datetime = getattr(self, name)
            if instant.tzinfo is None:
                raise StoreError(f"a batch's {name} must have a zone; found {instant!r}. Give it in UTC.")
        if self.contacts is None and self.deals is None:
            raise StoreError(f"batch {self.batch_id!r} must hold contacts or deals; found neither. Score one of them.")

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames that are part of this batch, by question."""
        both = {"contacts": self.contacts, "deals": self.deals}
        return {question: frame for question, frame in both.items() if frame is not None}

    def why_gone(self, question: str, object_id: str) -> Gone | None:
        """Say why an object that the latest batch holds is not in this one; None where it is only scored no more."""
        known = self.gone.get(question, {}).get(object_id)
        held = self.in_crm.get(question)
        return Gone("erased") if known is None and held is not None and object_id not in held else known


@dataclass(frozen=True)
class Published:
    """What publishing did: ``already`` means the same batch was there and nothing was written.

    ``moved`` names the questions whose latest batch is now this one; a backfill moves none.
    """

    batch_id: str
    already: bool
    digest: str
    rows: Mapping[str, int]
    moved: tuple[str, ...]


@dataclass(frozen=True)
class StoredBatch:
    """A published batch without its rows; ``rows`` counts them for each question that it holds."""

    batch_id: str
    sequence: int
    contract_version: str
    as_of: datetime
    scored_at: datetime
    model_versions: dict[str, str]
    summary: dict[str, Any]
    rows: Mapping[str, int]
    digest: str
    change_step: float | None
    latest_for: tuple[str, ...]


def batch_digest(batch: Batch) -> str:
    """Return SHA-256 over scores, models and as-of, whatever the batch's id, ``scored_at`` and order of rows.

    The summary is left out: how many rows the tables had on the day of a backfill is no part of what was known before.
    """
    return digest_of(
        batch, {question: _sorted(question, conform(question, frame)) for question, frame in batch.frames.items()}
    )


def batch_name(batch: Batch) -> str:
    """Return an id that follows from all that a batch says, so that equal batches are one and others never meet."""
    whole = hashlib.sha256(f"{batch_digest(batch)} {json_text(batch.summary)}".encode())
    return f"{to_microseconds(batch.as_of):%Y%m%dT%H%M%SZ}-{whole.hexdigest()[:8]}"


def checked_frames(batch: Batch) -> dict[str, pd.DataFrame]:
    """Return the frames of a batch in the contract's form and sorted by id, or raise ``ContractError``."""
    frames: dict[str, pd.DataFrame] = {}
    for question, frame in batch.frames.items():
        frames[question] = _sorted(question, check_rows(question, frame))
        _check_as_of(question, frames[question], batch.as_of)
    return frames


def _sorted(question: str, rows: pd.DataFrame) -> pd.DataFrame:
    if "batch_id" in rows:
        raise ContractError(
            f"{question} to publish must come without batch_id and scored_at, which the store fills in; found both. "
            "Drop them.",
            question=question,
            column="batch_id",
        )
    return rows.sort_values(contract_of(question).id_column, ignore_index=True)


def _check_as_of(question: str, rows: pd.DataFrame, as_of: datetime) -> None:
    other = rows.loc[rows["as_of"] != pd.Timestamp(as_of).as_unit("us"), [contract_of(question).id_column, "as_of"]]
    if len(other):
        row, found = other.iloc[0]
        raise ContractError(
            f"{question}.as_of must be the batch's, {as_of.isoformat()}; row {row!r} holds {found.isoformat()}. "
            "Score all rows of a batch as of one instant.",
            question=question,
            column="as_of",
            row=str(row),
            value=found,
        )


def digest_of(batch: Batch, frames: Mapping[str, pd.DataFrame]) -> str:
    """Return ``batch_digest`` of a batch whose checked frames are at hand."""
    whole = hashlib.sha256()
    head = {"contract": CONTRACT_VERSION, "as_of": to_microseconds(batch.as_of).isoformat()}
    whole.update(json_text(head | {"models": batch.model_versions}).encode())
    for question, frame in frames.items():
        whole.update(f"\n{question} {len(frame)}\n".encode())
        for column in contract_of(question).columns:
            if column.name not in frame:
                continue
            values = frame[column.name]
            missing = values.isna().to_numpy(dtype=bool)
            whole.update(f"{column.name} {column.kind}\n".encode() + missing.tobytes())
            if column.kind in ("text", "json"):
                words = [texts.drop_null() for texts in arrow_text(values)]
                for texts in words:
                    # Counted in code points.
                    whole.update(np.asarray(pc.utf8_length(texts)).astype("<i8", copy=False).data)
                for texts in words:
                    whole.update(text_bytes(texts)[1].data)
            elif column.kind == "time":
                whole.update(values[~missing].astype("int64").to_numpy(dtype="<i8").tobytes())
            else:
                whole.update(values[~missing].to_numpy(dtype="<f8").tobytes())
    return whole.hexdigest()


def json_text(data: Mapping[str, Any]) -> str:
    """Return plain data as JSON text with sorted keys; anything else raises ``StoreError``."""
    try:
        return json.dumps(data, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"a batch's summary, model versions and cards must be plain JSON data; found otherwise ({error}). "
            "Use text, finite numbers, true, false, null, lists and objects."
        ) from error


def to_microseconds(moment: datetime) -> datetime:
    """Return an instant in UTC as exactly as both databases keep it."""
    return pd.Timestamp(moment).floor("us").to_pydatetime().astimezone(UTC)
