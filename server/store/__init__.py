"""Tables of the server itself. The only place of this package that imports SQLAlchemy."""
