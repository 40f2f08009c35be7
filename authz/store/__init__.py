"""The store of policies. Only this folder of the package imports SQLAlchemy."""
