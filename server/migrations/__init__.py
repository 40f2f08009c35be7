"""Schema migrations of the main database, run by Alembic."""
