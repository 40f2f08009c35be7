"""What README and guides tell the reader to type works, in the order in which it stands there."""

import re
import socket
from pathlib import Path

import pytest
from blocks import shown
from repository import run_tool
from running import Service, serving

from tests.rights import live, may_capture

pytestmark = pytest.mark.slow  # each test runs servers and many commands


def test_the_first_check_works_as_written(service: Service) -> None:
    """A reader of the README gets the answers that it states, makes a backend's key, and verifies the log."""
    first = shown("readme.check").removeprefix(". .venv/bin/activate\n")
    done = service.run("bash", "-c", f"{first}{shown('readme.policy')}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("allowed_by_rule") == 2
    assert done.stdout.count("no_matching_rule") == 1
    asked = service.run("python", "-c", shown("readme.python").replace("localhost:8443", service.address))
    assert asked.stdout.startswith("True allow as decision "), asked.stderr
    read = service.run("bash", "-ec", f"{_variables()}\n{shown('readme.log')}")
    assert read.returncode == 0, read.stderr
    assert "default/101/msg1" in read.stdout
    assert re.search("^verified +yes *$", read.stdout, re.MULTILINE)


def test_a_service_of_ones_own_works_as_written(tmp_path: Path) -> None:
    """A reader of Getting started has a service and a key, and a backend that acts on the answers."""
    made = Service(tmp_path, "").run("bash", "-ec", shown("start.init"))
    assert made.returncode == 0, made.stderr
    assert "portal" in made.stdout
    assert "acme" in made.stdout
    with serving(tmp_path, "my-service") as service:
        asked = service.run("python", "-c", shown("start.backend").replace("localhost:8443", service.address))
        many = service.run("python", "-c", shown("start.asyncio").replace("localhost:8443", service.address))
    assert asked.stdout.split() == ["True", "False"], asked.stderr
    assert many.stdout.splitlines() == ["100 of 100", "100 of 101", "100 of 100"], many.stderr


def test_the_policy_of_the_guide_is_a_policy(tmp_path: Path) -> None:
    """The example passes the lint without a warning."""
    (tmp_path / "guide.policy").write_text(shown("policy.example"))
    done = run_tool("linewarden", "policy", "lint", str(tmp_path / "guide.policy"))
    assert (done.returncode, done.stdout) == (0, "")


def test_a_policy_changes_as_written(service: Service) -> None:
    """The administrator changes rules and then assignments, whose numbers are in E.164. The operator changes more."""
    done = service.run("bash", "-ec", "\n".join((shown("policy.change"), shown("policy.assignments"))))
    assert done.returncode == 0, done.stderr
    assert "role:supervisor_sales" in done.stdout
    assert "tel:+4930123456" in done.stdout
    operated = service.run("bash", "-ec", shown("policy.operator"))
    assert operated.returncode == 0, operated.stderr


def test_the_log_is_verified_as_written(service: Service) -> None:
    """An auditor keeps a checkpoint, counts and finds entries, verifies an export, and proves one entry."""
    parts = (
        shown("verification.checkpoint"),
        shown("verification.query"),
        shown("verification.export"),
        shown("verification.entry"),
    )
    done = service.run("bash", "-ec", "\n".join(parts))
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^verified +yes *$", done.stdout, re.MULTILINE)) == 2
    assert "the proof holds" in done.stderr
    assert (service.home / "var/entry.proof").read_text().startswith("c2sp.org/tlog-proof@v1\n")


def test_keys_are_operated_as_written(service: Service) -> None:
    """The operator makes a tenant and a key, revokes the key, and sees that no log is rolled back."""
    done = service.run("bash", "-ec", shown("operating.keys"))
    assert done.returncode == 0, done.stderr
    assert "acme" in done.stdout
    assert "revoked" in done.stderr
    recovered = service.run("bash", "-ec", shown("operating.recover"))
    assert recovered.returncode == 0, recovered.stderr
    assert "(system log)" not in recovered.stdout


@live
def test_the_first_capture_works_as_written(tmp_path: Path) -> None:
    """A reader of the capture guide opens, analyses and verifies a capture, and finds all of it in the log."""
    _operate(tmp_path, shown("captures.places"))
    with serving(tmp_path) as service:
        told = service.run("bash", "-ec", shown("captures.customer"))
        assert told.returncode == 0, told.stderr
        done = service.run("bash", "-c", f"{_variables()}\n{shown('captures.capture')}\n{shown('captures.audit')}")
    assert "may cover you" in done.stdout, done.stderr
    assert "var/fault.pcapng is the evidence that was recorded" in done.stderr
    assert "the sealed file was compared, not its content" in done.stderr
    assert "OPTIONS" in done.stdout
    assert {"notice.published", "capture.sealed", "capture.opened"} <= set(done.stdout.split())
    assert {path.name for path in tmp_path.iterdir()} == {"var"}


def test_a_worker_at_another_host_works_as_written(tmp_path: Path) -> None:
    """A reader of the capture guide has a worker that connects, probes from its host, and captures there."""
    with socket.socket() as free:  # stands in for the port of the guide, which another program may be using
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    _operate(tmp_path, shown("captures.places"), shown("captures.enrol").replace("localhost:8444", f"localhost:{port}"))
    working = shown("captures.worker")
    if not may_capture():  # what does not need the right is executed all the same
        asking, _capturing = working.split("capture=$", maxsplit=1)
        working = f'{asking}kill "$worker"\n'
    with serving(tmp_path) as service:
        key = next(line for line in shown("captures.capture").splitlines() if line.startswith("ssh-keygen"))
        told = service.run("bash", "-ec", f"{shown('captures.customer')}\n{key}")
        assert told.returncode == 0, told.stderr
        reach = working.replace("--port 8443", f"--port {service.address.rpartition(':')[2]}")
        asked = service.run("bash", "-c", f"{_variables()}\n{reach}")
    assert "connect_ms" in asked.stdout, asked.stderr
    if may_capture():
        assert "var/branch.pcapng is the evidence that was recorded" in asked.stderr
        assert "OPTIONS" in asked.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"var"}


def _operate(home: Path, *parts: str) -> None:
    """Make a service, and do to it what the guide tells the operator to do."""
    service = Service(home, "")
    made = service.run("linewarden", "init", "var/linewarden")
    assert made.returncode == 0, made.stderr
    for part in parts:
        done = service.run("bash", "-ec", part)
        assert done.returncode == 0, done.stderr


def _variables() -> str:
    """Return the variables that the first check sets, for the blocks that follow it."""
    return "\n".join(line for line in shown("readme.check").splitlines() if line.startswith("export "))
