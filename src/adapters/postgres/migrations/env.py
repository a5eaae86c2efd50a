"""Alembic's environment: the connection comes from migrate.py, already under its lock."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
# A migration that needs a strong lock fails and is run again, rather than make every query queue behind it.
connection.execute(text("SET lock_timeout = '5s'"))
connection.commit()
context.configure(connection=connection, version_table_schema="etl", transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
