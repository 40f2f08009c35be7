"""Files that hold secrets: read only where no other user of the machine can read or change them, as ssh does.

Refused is a file that others may read, write or execute, or that its group may write. Its group may read it only if the
file is root's, and the group is one of this process: so systemd credentials, Kubernetes secrets with `fsGroup` and TLS
keys of a group such as `ssl-cert` can be used. A file of one's own has no group that must read it. An access control
list shows as rights of the group.
"""

import os
import stat
from pathlib import Path


class SecretExposed(PermissionError):
    """Others can read or change the file of a secret. The text says which file, who, and what to do."""


def read_secret(path: Path) -> bytes:
    """The content of a file that holds a secret.

    Raises:
        SecretExposed: others can read or change it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:  # what is checked is what is read, whatever the name leads to a moment later
        fault = exposure(os.fstat(file.fileno()))
        if fault:
            raise SecretExposed(f"{path} holds a secret and {fault}: chmod 600 {path}")
        return file.read()


def check_secret(path: Path) -> None:
    """Make sure that others cannot read or change the file of a secret, which something else reads.

    Raises:
        SecretExposed: they can.
        OSError: that cannot be told.
    """
    fault = exposure(path.stat())
    if fault:
        raise SecretExposed(f"{path} holds a secret and {fault}: chmod 600 {path}")


def exposure(found: os.stat_result) -> str:
    """Who else can read or change a file; empty if only its owner can, or a group as stated above."""
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o007:
        return "is open to every user of this machine"
    if mode & 0o030:
        return "can be changed by its group"
    if mode & 0o040 and not (found.st_uid == 0 and found.st_gid in {os.getegid(), *os.getgroups()}):
        return "can be read by its group"
    return ""
