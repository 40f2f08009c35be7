"""The settings as text: a table for the reference, and a commented file for a new service."""

import json
from collections.abc import Mapping
from typing import Any

from linewarden.server.settings import Settings

_EMPTY = '""'


def settings_table() -> str:
    """Return all settings as a Markdown table."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _toml(field.default)
        rows.append(f"| `{name}` | {'' if default == _EMPTY else f'`{default}`'} | {field.description} |")
    return "\n".join(rows) + "\n"


def settings_file(stated: Mapping[str, Any]) -> str:
    """Return a commented TOML file with the stated settings. All others are comments with their defaults.

    Raises:
        ValueError: a stated name is not a setting.
    """
    if unknown := set(stated) - set(Settings.model_fields):
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    lines = ["# Settings of Linewarden. LINEWARDEN_… in the environment wins over this file.", ""]
    for name, field in Settings.model_fields.items():
        mark = "" if name in stated else "# "
        lines += [f"# {field.description}", f"{mark}{name} = {_toml(stated.get(name, field.default))}", ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, tuple):
        value = ",".join(value)
    # A JSON string is a TOML string, except for the one control character that JSON permits.
    return json.dumps("" if value is None else str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
