"""Checking a filter before anybody approves it: in a process of its own, with an end whatever was asked."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.errors import DiagnosisUnavailable, FilterInvalid
from linewarden.diagnostics.packets import checking, launch
from linewarden.diagnostics.packets.errors import FilterRefused
from linewarden.diagnostics.packets.launch import check_filter
from tests.deadlines import FACTOR, HANG_S
from tests.rights import filters

pytest.importorskip("scapy", reason="install linewarden[capture] and libpcap0.8")

#: 1,023 bytes that keep libpcap busy for longer than any other expression known here.
COSTLY = " or ".join(f"portrange {low}-9" for low in range(1_000))[:1_023].rpartition(" or ")[0]


@filters
@pytest.mark.parametrize(
    "expression", ["udp port 5060", "host 192.0.2.1 and not tcp", "port sip", "ip[6:2] & 0x1fff != 0"]
)
def test_expressions(expression: str):
    """An expression that libpcap accepts is accepted."""
    check_filter(expression)


@filters
@pytest.mark.parametrize(
    "expression",
    ["udp) or (tcp and", "udp) or (tcp", "no such thing", "port 70000", "\0udp", "é", "udp " + "x" * 2_000],
)
def test_nonsense(expression: str):
    """An expression that libpcap refuses, that is too long or not text, is refused."""
    with pytest.raises(FilterRefused):
        check_filter(expression)


@pytest.mark.slow
@filters
def test_the_costliest_expression_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An expression that is as long as one may be and hard for the optimizer ends within its processor time."""
    monkeypatch.setattr(launch, "_CHECK_S", HANG_S)
    with suppress(FilterInvalid):
        LocalWorkers(tmp_path).check_filter(COSTLY)


@pytest.mark.slow
@filters
def test_memory_ends_it():
    """A compilation that needs more memory than it may have ends there, and the expression counts as none."""
    code = (
        "import sys; from linewarden.diagnostics.packets import checking; "
        "checking.MEMORY_BYTES = int(sys.argv[1]) << 20; sys.exit(checking.check(0))"
    )
    ends = []
    for mebibytes in (256, 24):
        done = subprocess.run(
            [sys.executable, "-c", code, str(mebibytes)], input=COSTLY.encode(), check=False, timeout=HANG_S
        )
        ends.append(done.returncode)
    assert ends[0] == 0
    assert ends[1] == 3 or ends[1] in launch._BROKEN


def _instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a script run where the checking process would be."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))


@pytest.mark.parametrize("signal", ["XCPU", "SEGV", "ABRT"])
def test_what_breaks_the_compiler_is_no_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: str):
    """An expression that takes all the time there is, or breaks libpcap, is refused as one that does not compile."""
    _instead(tmp_path, monkeypatch, f"kill -{signal} $$")
    with pytest.raises(FilterInvalid):
        LocalWorkers(tmp_path).check_filter("udp")


@pytest.mark.parametrize("script", ["exit 1", "exit 4", "kill -KILL $$", "exec sleep 60"])
def test_what_cannot_be_checked_is_not_called_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str):
    """Without libpcap, or when the process is killed or takes too long, the result is unknown."""
    monkeypatch.setattr(launch, "_CHECK_S", 0.5)
    _instead(tmp_path, monkeypatch, script)
    with pytest.raises(DiagnosisUnavailable):
        LocalWorkers(tmp_path).check_filter("udp")


def test_a_process_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without the process the result is unknown too."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with pytest.raises(DiagnosisUnavailable):
        LocalWorkers(tmp_path).check_filter("udp")


def test_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Checks beyond the bound are refused at once."""
    monkeypatch.setattr(launch, "_CHECK_S", 0.05)
    with launch._CHECKS, launch._CHECKS, pytest.raises(DiagnosisUnavailable):
        LocalWorkers(tmp_path).check_filter("udp")


@filters
def test_the_process_is_confined_and_sees_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While it waits for its expression the process has no rights, little memory and time; no argument shows it."""
    call = [sys.executable, "-P", "-m", "linewarden.diagnostics.packets", "--check-filter"]
    with subprocess.Popen(call, stdin=subprocess.PIPE) as process:
        folder = Path(f"/proc/{process.pid}")
        until = time.monotonic() + HANG_S
        while "NoNewPrivs:\t1" not in (folder / "status").read_text():
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.2 * FACTOR)
        limits = {line[:25].strip(): line[26:].split()[0] for line in (folder / "limits").read_text().splitlines()}
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        process.communicate(b"udp")
    assert process.returncode == 0
    assert limits["Max address space"] == str(checking.MEMORY_BYTES)
    assert limits["Max cpu time"] == str(checking.CPU_SECONDS)
    assert limits["Max file size"] == limits["Max processes"] == "0"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {"65534"}
    seen = tmp_path / "seen"
    _instead(tmp_path, monkeypatch, f'echo "$@" > {seen}')
    check_filter("udp port 4711")
    assert "4711" not in seen.read_text()


@filters
def test_the_server_loads_no_libpcap():
    """The process that requests a check loads nothing of scapy."""
    code = (
        "import sys; from linewarden.diagnostics.agent.local_workers import LocalWorkers; from pathlib import Path; "
        "LocalWorkers(Path('.')).check_filter('udp'); sys.exit(any('scapy' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=HANG_S).returncode == 0
