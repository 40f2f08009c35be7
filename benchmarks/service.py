"""Linewarden under load: the real command with its durable log on SQLite, and everything on but TLS."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep, time

import orjson
from load import Question
from processes import address_in, started
from target import Target
from workload import BATCH, TENANT, batch, framed, policy_text, single

from linewarden.audit.housekeeping import FEW_ENTRIES
from linewarden.server.settings import load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.v1 import access_pb2

_PATIENCE_S = 60
_METHOD = "linewarden.v1.AccessService"


def initialize(folder: Path, persons: int = 0, database_url: str = "") -> Path:
    """Make a service's folder with the policy of the workload, and its database; return its settings file."""
    policy = folder / "bench.policy"
    policy.write_text(policy_text(persons), encoding="utf-8")
    home = folder / "service"
    call = [sys.executable, "-m", "linewarden.cli", "init", str(home), "--tenant", TENANT, "--policy", str(policy)]
    environment = os.environ | ({"LINEWARDEN_DATABASE_URL": database_url} if database_url else {})
    subprocess.run(call, check=True, capture_output=True, env=environment)
    return home / "linewarden.toml"


class Log:
    """The tenant's log, read from its database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._log = storage.log.head_of(TENANT).log
        self.size = storage.log.head(self._log).size
        self.entry = b""

    def grew(self, entries: int, items: int) -> None:
        """Wait until all is indexed; each new entry must be a decision that allows the expected number of items.

        Raises:
            SystemExit: other entries came, or more or fewer.
        """
        before, self.size = self.size, self._storage.log.head(self._log).size
        allowed = 0
        for entry in self._storage.log.entries(self._log, before, self.size):
            self.entry, decoded = entry, orjson.loads(entry)
            effects = [one["effect"] for one in decoded.get("items", ())]
            allowed += decoded["kind"] == "decision" and effects == ["allow"] * items
        if (allowed, self.size - before) != (entries, entries):
            raise SystemExit(
                f"{entries} answers, but {self.size - before} entries, {allowed} of them with the expected decision"
            )
        self._await_index()

    def skip(self) -> None:
        """Accept all entries so far, because persons met for the first time are entries too."""
        self.size = self._storage.log.head(self._log).size

    def _indexed(self) -> int:
        runs = self._storage.index.of(self._log, self._storage.log.head(self._log).generation).runs()
        return runs[-1].stop if runs else 0

    def _await_index(self) -> None:
        """Wait for housekeeping, which leaves the last few entries to the searches."""
        deadline = monotonic() + _PATIENCE_S
        while self.size - self._indexed() >= FEW_ENTRIES:
            if monotonic() > deadline:
                raise SystemExit("the index does not catch up with the log; read the messages of the server")
            sleep(0.05)


@contextmanager
def running(folder: Path, more: int | None = None, **settings: str) -> Iterator[tuple[dict[str, Target], Log]]:
    """Serve; yield the targets `single`, `batch` and `owners` (a batch with a different owner for each item).

    `settings` differ from the defaults of a benchmark: one process, SQLite, plain text. `more` is the process of its
    database.
    """
    environment = {"LINEWARDEN_LISTEN": "127.0.0.1:0", "LINEWARDEN_PLAINTEXT": "true", "LINEWARDEN_WORKERS": "1"}
    environment |= {f"LINEWARDEN_{name.upper()}": value for name, value in settings.items()}
    url = settings.get("database_url", "")
    settings_file = initialize(folder, database_url=url)
    token = (settings_file.parent / "secrets/api-key").read_text().strip()
    loaded = load_settings(settings_file)
    storage = open_storage(loaded.model_copy(update={"database_url": url}) if url else loaded)
    call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", str(settings_file)]
    try:
        with started(call, folder, environment) as (messages, process):
            address = address_in(messages, r"serving on (\S+:\d+)")
            authority = None
            if settings.get("plaintext") == "false":
                address, authority = address.replace("127.0.0.1", "localhost"), settings_file.parent / "tls/ca.crt"
            log = Log(storage)
            targets = _targets(folder, Question(address, "", folder, token, authority), process, more, log)
            for target in targets.values():  # meets the persons
                target.ask()
            log.skip()
            yield targets, log
    finally:
        storage.close()


def _targets(folder: Path, server: Question, process: int, more: int | None, log: Log) -> dict[str, Target]:
    now_s = int(time())
    questions = {
        "single": ("Check", 1, single(now_s)),
        "batch": ("CheckBatch", BATCH, batch(now_s, 8)),
        "owners": ("CheckBatch", BATCH, batch(now_s, BATCH)),
    }
    targets = {}
    for name, (method, items, message) in questions.items():
        frame = folder / f"{name}.frame"
        frame.write_bytes(framed(message.SerializeToString()))
        question = replace(server, method=f"{_METHOD}/{method}", frame=frame)
        is_right = _is_allowed if items == 1 else _are_allowed
        targets[name] = Target(f"Linewarden {name}", question, process, items, is_right, _settle(log, items), more)
    return targets


def _settle(log: Log, items: int) -> Callable[[int], None]:
    return lambda calls: log.grew(calls, items)


def _is_allowed(answer: bytes) -> bool:
    return access_pb2.CheckResponse.FromString(answer).decision.effect == access_pb2.EFFECT_ALLOW


def _are_allowed(answer: bytes) -> bool:
    decisions = access_pb2.CheckBatchResponse.FromString(answer).decisions
    return [one.effect for one in decisions] == [access_pb2.EFFECT_ALLOW] * BATCH
