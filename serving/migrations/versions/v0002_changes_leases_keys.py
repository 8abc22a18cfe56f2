"""What a service needs: since when a row is as it is, what went, who may publish, who may read, and the models."""

import sqlalchemy as sa
from alembic import op

from serving.schema import IDENTIFIER, UtcTime

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Add columns that old rows leave empty, and new tables."""
    op.add_column("batches", sa.Column("change_step", sa.Double))
    for table in ("contact_scores", "deal_scores"):
        op.add_column(table, sa.Column("owner_id", sa.Text))
        op.add_column(table, sa.Column("changed_sequence", sa.Integer))
    op.create_table(
        "removed",
        sa.Column("question", sa.String, primary_key=True),
        sa.Column("object_id", IDENTIFIER, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("merged_into", sa.String),
    )
    op.create_table(
        "model_cards",
        sa.Column("model_version", IDENTIFIER, primary_key=True),
        sa.Column("question", sa.String, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("holder", sa.String),
        sa.Column("expires_at", UtcTime),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", IDENTIFIER, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("secret_hash", sa.String, nullable=False),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime),
        sa.Column("revoked_at", UtcTime),
    )
