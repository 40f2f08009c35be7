"""Details of a log entry: its fields beside the columns of every row, without personal values.

Only the fields listed here are shown. They hold words of the contract, ids, versions and names that the operator gave.
All other fields of an entry are read with GetEntry.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from linewarden.audit.entry import POLICY_CHANGED, REQUEST_REFUSED

#: The fields that are shown, in their order, by the noun or the whole name of a kind.
SHOWN_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        REQUEST_REFUSED: ("method", "fields"),
        POLICY_CHANGED: ("revision",),
        "diagnostics": (
            "detail", "actions", "session", "notice", "attestation", "approval_waived", "retention_days",
        ),
        "notice": ("notice", "version", "session", "languages", "channels"),
        "attestation": ("attestation", "notice", "notice_version"),
        "capture": (
            "session", "state", "stop_reason", "detail", "source", "worker", "interface", "profile", "attestation",
            "extends", "lossy",
        ),
        "probe": ("probe", "probe_kind", "worker", "done", "succeeded"),
        "worker": ("worker", "interfaces"),
    }
)  # fmt: skip
#: Lists that are shown as their length.
_COUNTED = ("added", "removed", "receipts", "persons", "sessions", "notices")


def has_details(kind: str) -> bool:
    """Return whether entries of this kind have details."""
    return bool(_fields(kind))


def details_of(entry: Mapping[str, Any]) -> str:
    """Return the details of an entry, as `name=value` separated by spaces, without empty values.

    Spaces within a value, such as the cause of a failure, are replaced by `_`.
    """
    fields = _fields(entry["kind"])
    shown = [f"{name}={_text(entry[name])}" for name in fields if entry.get(name, "") not in ("", [], None)]
    counted = [f"{name}={len(entry[name])}" for name in _COUNTED if fields and name in entry]
    return " ".join(shown + counted)


def _fields(kind: str) -> tuple[str, ...]:
    return SHOWN_FIELDS.get(kind) or SHOWN_FIELDS.get(kind.partition(".")[0], ())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return "_".join(text.split())
