"""Runs the steps on the connection that `database` brings, in its transaction."""

from alembic import context

from penstock.server.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
