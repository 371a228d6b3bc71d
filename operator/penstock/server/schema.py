"""The tables of the database. What changes here changes by a migration too; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["bodies", "gateways", "metadata", "replicas", "tokens"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    # Neither ever falls, not even when the gateway is forgotten.
    Column("term", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    # Empty: nothing is published.
    Column("hash", String(128), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("published_at", Float, nullable=False),
    # What other processes watch: they grow with each change of the table, of what replicas report.
    Column("table_version", BigInteger, nullable=False),
    Column("replicas_version", BigInteger, nullable=False),
    UniqueConstraint("namespace", "name"),
)
"""One small row each, so that watching all of them is cheap. Times are seconds since 1970."""

bodies = Table(
    "bodies",
    metadata,
    Column("gateway_id", Integer, ForeignKey("gateways.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
"""The published bytes, as they came."""

replicas = Table(
    "replicas",
    metadata,
    Column("gateway_id", Integer, ForeignKey("gateways.id"), primary_key=True, autoincrement=False),
    Column("pod_uid", String(64), primary_key=True),
    Column("report", Text, nullable=False),
    Column("applied_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)
"""What each replica said last, as JSON."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("gateway_id", Integer, ForeignKey("gateways.id"), nullable=False, index=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    # 0: nobody used it yet.
    Column("used_at", Float, nullable=False),
)
"""SHA-256 of the gateways' tokens, never the tokens."""
