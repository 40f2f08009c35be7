"""Evidence on its way into a file: the file is complete, checked and private, or it does not exist."""

import hashlib
import io
import os
import pty
import shutil
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner, Result

from linewarden.cli import main
from linewarden.cli.capture.evidence import becoming, identities
from linewarden.diagnostics.evidence.sealing import pyrage, seal
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.capture_pb2_grpc import CaptureServiceServicer, add_CaptureServiceServicer_to_server
from tests.deadlines import HANG_S

TICKET = hashlib.sha256(b"ticket").digest()
MEBIBYTE = 1 << 20


@dataclass
class Server(CaptureServiceServicer):
    """A server that has one capture, and the requests that it received."""

    recorded: pb.Evidence
    parts: list[bytes]
    asked: list[Any] = field(default_factory=list)
    address: str = ""

    def GetCapture(self, request: pb.GetCaptureRequest, context: Any) -> pb.GetCaptureResponse:  # noqa: N802, ARG002
        """Return the capture."""
        self.asked.append(request)
        return pb.GetCaptureResponse(capture=pb.Capture(id="s1", evidence=self.recorded))

    def ReadEvidence(  # noqa: N802
        self,
        request: pb.ReadEvidenceRequest,
        context: Any,  # noqa: ARG002
    ) -> Iterator[pb.ReadEvidenceResponse]:
        """Yield the sealed file."""
        self.asked.append(request)
        for part in self.parts:
            yield pb.ReadEvidenceResponse(content=part, total_bytes=self.recorded.sealed_bytes)

    def run(self, *arguments: str) -> Result:
        """Run a command on evidence."""
        purpose = () if arguments[0] == "verify" else ("--purpose", "support")
        return CliRunner().invoke(main, self.call(*arguments, *purpose), env={"LINEWARDEN_KEY": "lw_1_1"})

    def call(self, command: str, *arguments: str) -> list[str]:
        """Return the words of such a command, for a case and without a purpose."""
        options = ["--server", self.address, "--plaintext", "--tenant", "acme", "--as", "ines", "--case", "T-1"]
        return ["capture", command, *options, "s1", *arguments]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Serve evidence that the key in `identity` opens; `other` is the key of another person."""
    identity: Any = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(str(identity))
    (tmp_path / "other").write_text(str(pyrage.x25519.Identity.generate()))
    for name in ("identity", "other"):
        (tmp_path / name).chmod(0o600)
    plain, sealed = b"x" * (32 * MEBIBYTE), io.BytesIO()
    made = seal(io.BytesIO(plain), sealed, [str(identity.to_public())], TICKET)
    content = sealed.getvalue()
    recorded = pb.Evidence(
        plain_bytes=len(plain), plain_sha256=made.manifest.sha256, chain=made.manifest.chain,
        ticket_digest=TICKET.hex(), sealed_bytes=made.bytes, sealed_sha256=made.sha256,
    )  # fmt: skip
    parts = [content[n : n + MEBIBYTE] for n in range(0, len(content), MEBIBYTE)]
    one = Server(recorded, parts)  # type: ignore[abstract]  # it answers what is asked here
    running = grpc.server(ThreadPoolExecutor(2))
    add_CaptureServiceServicer_to_server(one, running)
    one.address = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    running.start()
    yield one
    running.stop(None).wait()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_opened_evidence_is_whole_and_private(server: Server, tmp_path: Path) -> None:
    """Opened and checked evidence is at its path, readable by its owner only, with no file beside it."""
    before = _names(tmp_path)
    done = server.run("open", str(tmp_path / "a.pcapng"), "--identity", str(tmp_path / "identity"))
    assert (done.exit_code, done.stdout) == (0, "")
    assert (tmp_path / "a.pcapng").read_bytes() == b"x" * (32 * MEBIBYTE)
    assert stat.S_IMODE((tmp_path / "a.pcapng").stat().st_mode) == 0o600
    assert _names(tmp_path) == {*before, "a.pcapng"}


def test_a_wrong_key_leaves_nothing_and_the_next_try_works(server: Server, tmp_path: Path) -> None:
    """The command leaves no file after a try with a wrong key, and succeeds with the right one."""
    before, file = _names(tmp_path), str(tmp_path / "a.pcapng")
    assert server.run("open", file, "--identity", str(tmp_path / "other")).exit_code == 1
    assert _names(tmp_path) == before
    assert server.run("open", file, "--identity", str(tmp_path / "identity")).exit_code == 0


@pytest.mark.parametrize("cut", ["short", "changed", "recorded"])
def test_evidence_that_is_not_the_recorded_one_leaves_nothing(server: Server, tmp_path: Path, cut: str) -> None:
    """Evidence that was cut, changed or replaced leaves no file, not even in parts."""
    before = _names(tmp_path)
    if cut == "short":
        server.parts.pop()
    elif cut == "changed":
        server.parts[20] = bytes(MEBIBYTE)
    else:
        server.recorded.plain_sha256 = "00" * 32
    done = server.run("open", str(tmp_path / "a.pcapng"), "--identity", str(tmp_path / "identity"))
    assert done.exit_code == 1
    assert _names(tmp_path) == before


def test_nothing_is_asked_for_where_a_file_is_already(server: Server, tmp_path: Path) -> None:
    """The command refuses an existing file before it asks the server, and leaves the file alone."""
    (tmp_path / "a.pcapng").write_text("mine")
    for command in ("fetch", "open"):
        key = ("--identity", str(tmp_path / "identity")) if command == "open" else ()
        done = server.run(command, str(tmp_path / "a.pcapng"), *key)
        assert (done.exit_code, server.asked) == (2, [])
        assert "already" in done.stderr
    assert (tmp_path / "a.pcapng").read_text() == "mine"


def test_evidence_is_never_in_memory_as_a_whole(server: Server, tmp_path: Path) -> None:
    """Fetching, opening and verifying 32 MiB needs a fraction of that memory."""
    file, identity = str(tmp_path / "a.age"), ("--identity", str(tmp_path / "identity"))
    for arguments in (("fetch", file), ("verify", file, *identity), ("open", str(tmp_path / "a.pcapng"), *identity)):
        tracemalloc.start()
        try:
            assert server.run(*arguments).exit_code == 0
            assert tracemalloc.get_traced_memory()[1] < 16 * MEBIBYTE
        finally:
            tracemalloc.stop()


def test_an_auditor_verifies_without_a_key(server: Server, tmp_path: Path) -> None:
    """Without a key the command compares size and SHA-256 of the sealed file, and names what it did not compare."""
    sealed = tmp_path / "a.age"
    assert server.run("fetch", str(sealed)).exit_code == 0
    done = server.run("verify", str(sealed))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "the sealed file was compared, not its content" in done.stderr
    inside = server.run("verify", str(sealed), "--identity", str(tmp_path / "identity"))
    assert (inside.exit_code, "the sealed file and its content were compared" in inside.stderr) == (0, True)


@pytest.mark.parametrize("differs", ["size", "content", "nothing"])
def test_a_file_that_is_not_the_recorded_one_is_found_without_a_key(
    server: Server, tmp_path: Path, differs: str
) -> None:
    """The command ends with 1 for a cut or changed file and for a capture without recorded evidence, and says which."""
    sealed, content = tmp_path / "a.age", bytearray(b"".join(server.parts))
    if differs == "size":
        content.pop()
    elif differs == "content":
        content[-1] ^= 1
    else:
        server.recorded = pb.Evidence()
    sealed.write_bytes(content)
    word = {"size": "the size", "content": "the SHA-256", "nothing": "no evidence of this capture is recorded"}[differs]
    for key in ((), ("--identity", str(tmp_path / "identity"))):
        done = server.run("verify", str(sealed), *key)
        assert (done.exit_code, word in done.stderr) == (1, True)


def test_a_purpose_is_never_assumed_where_evidence_is_read(server: Server, tmp_path: Path) -> None:
    """Off a terminal the command refuses a reading without a purpose, and asks nothing of the server."""
    for command, key in (("fetch", ()), ("open", ("--identity", str(tmp_path / "identity")))):
        call = server.call(command, str(tmp_path / "a"), *key)
        done = CliRunner().invoke(main, call, env={"LINEWARDEN_KEY": "lw_1_1"})
        assert (done.exit_code, server.asked) == (2, [])
        assert "--purpose" in done.stderr


def test_a_terminal_asks_for_the_purpose(server: Server, tmp_path: Path) -> None:
    """At a terminal the command asks until the purpose is valid, and sends it to the server."""
    terminal, own = pty.openpty()
    os.write(terminal, b"curiosity\nlegal\n")
    call = [sys.executable, "-m", "linewarden.cli", *server.call("fetch", str(tmp_path / "a.age"))]
    environment = os.environ | {"LINEWARDEN_KEY": "lw_1_1"}
    done = subprocess.run(call, stdin=own, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False)
    os.close(own)
    os.close(terminal)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("What for") == 2
    assert [one.header.context.purpose for one in server.asked] == [core_pb2.PURPOSE_LEGAL]


def test_a_look_states_purpose_and_case(server: Server, tmp_path: Path) -> None:
    """`capture verify` sends the stated case and purpose to the server, by default the purpose of support."""
    server.run("fetch", str(tmp_path / "a.age"))
    server.run("verify", str(tmp_path / "a.age"), "--identity", str(tmp_path / "identity"))
    context = server.asked[-1].header.context
    assert (context.case_reference, context.purpose) == ("T-1", core_pb2.PURPOSE_SUPPORT)


def test_a_file_comes_to_its_name_at_its_end(tmp_path: Path) -> None:
    """A file gets its name only after all is written, and a failure or an interruption leaves none."""
    with becoming(tmp_path / "a") as target:
        target.write(b"half")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"half"
    with pytest.raises(KeyboardInterrupt), becoming(tmp_path / "b"):
        raise KeyboardInterrupt
    with pytest.raises(FileExistsError), becoming(tmp_path / "c"):
        (tmp_path / "c").write_text("of another person")
    assert _names(tmp_path) == {"a", "c"}
    assert (tmp_path / "c").read_text() == "of another person"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: install openssh-client")
@pytest.mark.parametrize("kind", [("ed25519",), ("rsa", "-m", "PEM"), ("rsa", "-m", "PKCS8"), ("rsa",)], ids="-".join)
def test_an_encrypted_key_is_called_that(tmp_path: Path, kind: tuple[str, ...]) -> None:
    """The command reports an encrypted key as encrypted, with the remedy, and accepts a key without a passphrase."""
    for name, passphrase in (("open", ""), ("closed", "secret")):
        call = ["ssh-keygen", "-q", "-N", passphrase, "-f", str(tmp_path / name), "-t", *kind, "-b", "2048"]
        subprocess.run(call, check=True)
    assert identities(tmp_path / "open") == [(tmp_path / "open").read_text().strip()]
    with pytest.raises(click.UsageError, match="encrypted: give a copy without"):
        identities(tmp_path / "closed")


def test_an_encrypted_file_of_age_keys_is_called_that(tmp_path: Path) -> None:
    """The command reports a file that age encrypted, with or without armour, and leaves other text to age to refuse."""
    secret = pyrage.passphrase.encrypt(b"AGE-SECRET-KEY-1", "secret")
    for content in (secret, b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n"):
        (tmp_path / "keys").write_bytes(content)
        with pytest.raises(click.UsageError, match="encrypted"):
            identities(tmp_path / "keys")
    (tmp_path / "keys").write_text("# mine\nAGE-SECRET-KEY-1A\nAGE-SECRET-KEY-1B\n")
    assert identities(tmp_path / "keys") == ["AGE-SECRET-KEY-1A", "AGE-SECRET-KEY-1B"]
    for content in (b"nonsense", b"-----BEGIN OPENSSH PRIVATE KEY-----\n***\n-----END"):
        (tmp_path / "keys").write_bytes(content)
        assert identities(tmp_path / "keys") == [content.decode()]
