"""`python -m linewarden.server` is the command `linewarden`."""

from linewarden.server.cli import main

main()
