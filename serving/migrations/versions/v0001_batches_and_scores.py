"""The first tables: batches, the latest of each question, and the scores of contract 1.0."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from serving.schema import IDENTIFIER, UtcTime

revision = "1"
down_revision = None

CONTACTS: dict[str, Any] = {
    "model_version": sa.Text(),
    "close_likelihood": sa.Double(),
    "likelihood_low": sa.Double(),
    "likelihood_high": sa.Double(),
    "tier": sa.Text(),
    "points": sa.Double(),
    "points_fit": sa.Double(),
    "points_engagement": sa.Double(),
    "points_grade": sa.Text(),
    "points_likelihood": sa.Double(),
    "agreement": sa.Text(),
    "previous_likelihood": sa.Double(),
    "trend": sa.Text(),
    "base_rate": sa.Double(),
    "reasons": sa.Text(),
    "not_scored": sa.Text(),
}
DEALS: dict[str, Any] = {
    "model_version": sa.Text(),
    "pipeline": sa.Text(),
    "stage": sa.Text(),
    "days_in_stage": sa.Double(),
    "win_probability": sa.Double(),
    "win_low": sa.Double(),
    "win_high": sa.Double(),
    "win_within_horizon": sa.Double(),
    "stage_probability_manual": sa.Double(),
    "stage_rate_observed": sa.Double(),
    "expected_close_at": UtcTime(),
    "expected_close_low": UtcTime(),
    "expected_close_high": UtcTime(),
    "amount": sa.Double(),
    "expected_value": sa.Double(),
    "stalled": sa.Boolean(),
    "points": sa.Double(),
    "points_likelihood": sa.Double(),
    "previous_probability": sa.Double(),
    "trend": sa.Text(),
    "base_rate": sa.Double(),
    "reasons": sa.Text(),
    "not_scored": sa.Text(),
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "batches",
        sa.Column("batch_id", IDENTIFIER, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False, unique=True),
        sa.Column("contract_version", sa.String, nullable=False),
        sa.Column("as_of", UtcTime, nullable=False),
        sa.Column("scored_at", UtcTime, nullable=False),
        sa.Column("model_versions", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("contacts_rows", sa.Integer),
        sa.Column("deals_rows", sa.Integer),
        sa.Column("digest", sa.String, nullable=False),
    )
    op.create_table(
        "latest",
        sa.Column("question", sa.String, primary_key=True),
        sa.Column("batch_id", IDENTIFIER, sa.ForeignKey("batches.batch_id"), nullable=False),
    )
    for object_type, columns in (("contact", CONTACTS), ("deal", DEALS)):
        op.create_table(
            f"{object_type}_scores",
            sa.Column("batch_id", IDENTIFIER, sa.ForeignKey("batches.batch_id"), primary_key=True),
            sa.Column(f"{object_type}_id", IDENTIFIER, primary_key=True),
            *(sa.Column(name, kind) for name, kind in columns.items()),
        )
