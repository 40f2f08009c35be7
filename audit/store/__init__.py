"""The store of the log: one code path for SQLite and PostgreSQL. Only this folder of the package imports SQLAlchemy."""
