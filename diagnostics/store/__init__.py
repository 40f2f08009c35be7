"""The tables of diagnostics. Only this folder of the package imports SQLAlchemy."""
