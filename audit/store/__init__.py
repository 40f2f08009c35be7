"""Where the log lives: SQLite and PostgreSQL by one code path. Only here does this package import SQLAlchemy."""
