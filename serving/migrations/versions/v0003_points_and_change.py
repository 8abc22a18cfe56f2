"""Which lines of the rule sheet gave the points, and why a probability changed."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add columns that old rows leave empty."""
    for table in ("contact_scores", "deal_scores"):
        op.add_column(table, sa.Column("points_reasons", sa.Text))
        op.add_column(table, sa.Column("change", sa.Text))
