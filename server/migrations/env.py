"""Runs the schema migrations on the connection that `linewarden.server.schema` hands over."""

from alembic import context

from linewarden.server.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
