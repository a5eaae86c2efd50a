"""The durable store: PostgreSQL 15 or later, reached through SQLAlchemy's engine on psycopg."""
