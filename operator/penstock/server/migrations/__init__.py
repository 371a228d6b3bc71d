"""Alembic's folder: the steps that bring a database to what `schema` says."""
