"""The places file: a TOML file of the operator with the places of tenants, read at start.

    [acme]
    interfaces = ["eth0"]
    networks = ["10.1.0.0/16"]           # absent: everything on the interfaces is acme's
    hosts = ["sip.acme.example"]         # hosts and domains that probes may ask
    files = true                         # acme may bring capture files; absent: it may not
    [acme.workers]
    branch = ["eth0"]                    # interfaces at the host of the capture worker called branch
    [acme.trunks]
    carrier = ["198.51.100.7"]

A tenant that is not named captures nowhere.
"""

import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from linewarden.diagnostics.places import Place

_KNOWN = {"interfaces", "networks", "hosts", "trunks", "files", "workers"}


class StatedPlaces:
    """The places of a file."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places

    def of(self, tenant: str) -> Place:
        """Return the tenant's place; an empty place if the file has none."""
        return self._places.get(tenant, Place())


def read_places(file: Path | None) -> StatedPlaces:
    """Return the places of a file; no places without a file.

    Raises:
        ValueError: the file has an unknown key or an invalid value.
        OSError: the file cannot be read.
    """
    if file is None:
        return StatedPlaces({})
    stated = tomllib.loads(file.read_text(encoding="utf-8"))
    return StatedPlaces({tenant: _place(tenant, fields) for tenant, fields in stated.items()})


def _place(tenant: str, fields: Any) -> Place:
    if not isinstance(fields, dict) or not fields.keys() <= _KNOWN:
        raise ValueError(f"the table of tenant {tenant} may only have {', '.join(sorted(_KNOWN))}")
    trunks, files = fields.get("trunks", {}), fields.get("files", False)
    workers = fields.get("workers", {})
    if not isinstance(trunks, dict) or not isinstance(workers, dict):
        raise ValueError("trunks and workers must be tables")  # noqa: TRY004 - a file is wrong
    if files is not True and files is not False:
        raise ValueError("files must be true or false")
    return Place(
        interfaces=frozenset(_texts(fields, "interfaces")),
        networks=tuple(ip_network(text) for text in _texts(fields, "networks")),
        trunks={name: tuple(ip_network(text) for text in _texts(trunks, name)) for name in trunks},
        hosts=frozenset(_texts(fields, "hosts")),
        files=files,
        workers={name: frozenset(_texts(workers, name)) for name in workers},
    )


def _texts(fields: Any, name: str) -> list[str]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} must be a list of texts")
    return value
