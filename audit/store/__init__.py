"""Where the log lives: SQLite and PostgreSQL by one code path. The only place of this package that imports SQLAlchemy."""
