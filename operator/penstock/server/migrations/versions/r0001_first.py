"""Tables, acknowledgements and gateways' tokens."""

import sqlalchemy as sa
from alembic import op

__all__ = ["downgrade", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From nothing."""
    _gateways()
    op.create_table(
        "bodies",
        sa.Column("gateway_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateways.id"], name="fk_bodies_gateway_id"),
    )
    op.create_table(
        "replicas",
        sa.Column("gateway_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("pod_uid", sa.String(64), primary_key=True),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("applied_at", sa.Float, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateways.id"], name="fk_replicas_gateway_id"),
    )
    _tokens()


def _gateways() -> None:
    op.create_table(
        "gateways",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(128), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.Float, nullable=False),
        sa.Column("table_version", sa.BigInteger, nullable=False),
        sa.Column("replicas_version", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("namespace", "name", name="uq_gateways_namespace"),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("gateway_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateways.id"], name="fk_tokens_gateway_id"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_index("ix_tokens_gateway_id", "tokens", ["gateway_id"])


def downgrade() -> None:
    """Back to nothing."""
    for table in ("tokens", "replicas", "bodies", "gateways"):
        op.drop_table(table)
