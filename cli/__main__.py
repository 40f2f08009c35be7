"""`python -m linewarden.cli` is the command `linewarden`."""

from linewarden.cli import main

main()
