"""Tables of the server itself. Only this folder and `storage` import SQLAlchemy in the server."""
