"""The settings as they are written down: a table for the reference, and a commented file for a service of one's own."""

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
    """Return a commented TOML file: what is stated stands, everything else is a comment with its default.

    Raises:
        ValueError: something stated is no setting.
    """
    if unknown := set(stated) - set(Settings.model_fields):
        raise ValueError(f"no settings: {', '.join(sorted(unknown))}")
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
    # A JSON string is a TOML string, but for the one control character that JSON lets pass.
    return json.dumps("" if value is None else str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
