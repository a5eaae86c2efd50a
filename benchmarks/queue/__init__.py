"""The queue beside procrastinate and pgqueuer, all on one embedded PostgreSQL with durable settings."""
