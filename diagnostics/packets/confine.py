"""Confinement: drops every right that an open socket does not need.

After `confine` the process runs as the unprivileged user 65534, has no capability and cannot regain one. It cannot
write to a file, start a process or leave a core dump. Modules must be loaded before, because it may not be able to
read them later.
"""

import ctypes
import os
import resource
import struct

from linewarden.diagnostics.packets.errors import FailureCode, SourceUnusable

_NOBODY = 65_534
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MEMORY_BYTES = 2 * 1024**3
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_AS: _MEMORY_BYTES,
}


def confine() -> None:
    """Drop all rights for good. Raise SourceUnusable if one of them remains."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        for kind, most in _LIMITS.items():
            resource.setrlimit(kind, (most, most))
    except (OSError, ValueError):
        raise SourceUnusable("the worker cannot give up its rights", FailureCode.CONFINED) from None
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _drop_capabilities(libc)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_SET_DUMPABLE, 0)


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero):
        raise SourceUnusable("the worker cannot give up its rights", FailureCode.CONFINED)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if libc.capset(header, bytes(24)):
        raise SourceUnusable("the worker cannot give up its capabilities", FailureCode.CONFINED)
