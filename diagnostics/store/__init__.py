"""The tables of diagnostics. SQLAlchemy appears here only."""
