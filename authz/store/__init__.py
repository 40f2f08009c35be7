"""Where policies live. The only place of this package that imports SQLAlchemy."""
