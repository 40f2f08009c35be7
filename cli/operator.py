"""The option and the database of the operator's commands, which open it themselves and need no server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from linewarden.server.settings import Settings, load_settings
from linewarden.server.storage import Storage, open_storage

_config: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    envvar="LINEWARDEN_CONFIG",
    show_envvar=True,
    help="The settings file. The environment overrides it.",
)


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--config`."""
    return _config(command)


def settings_from(config: Path | None) -> Settings:
    """The settings of a file and the environment.

    Raises:
        ValidationError: a setting is invalid or unknown.
    """
    return load_settings(config)


@contextmanager
def opened_storage(config: Path | None) -> Iterator[Storage]:
    """The database of the settings, opened and checked."""
    storage = open_storage(settings_from(config))
    try:
        yield storage
    finally:
        storage.close()
