"""Linewarden under load: the real command with its durable log on SQLite, and everything on but TLS."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep, time

import orjson
from load import Question
from processes import address_in, started
from target import Target
from workload import BATCH, TENANT, batch, framed, policy_text, single

from linewarden.server.settings import load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.v1 import access_pb2

_PATIENCE_S = 60
_METHOD = "linewarden.v1.AccessService"


def initialize(folder: Path, persons: int = 0) -> Path:
    """Make a service's folder with the policy of the workload; return its settings file."""
    policy = folder / "bench.policy"
    policy.write_text(policy_text(persons), encoding="utf-8")
    home = folder / "service"
    call = [sys.executable, "-m", "linewarden.cli", "init", str(home), "--tenant", TENANT, "--policy", str(policy)]
    subprocess.run(call, check=True, capture_output=True)
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
        runs = self._storage.index.runs(self._log, self._storage.log.head(self._log).generation)
        return runs[-1].stop if runs else 0

    def _await_index(self) -> None:
        deadline = monotonic() + _PATIENCE_S
        while self._indexed() < self.size:
            if monotonic() > deadline:
                raise SystemExit("the index does not catch up with the log; read the messages of the server")
            sleep(0.05)


@contextmanager
def running(folder: Path) -> Iterator[tuple[dict[str, Target], Log]]:
    """Serve; yield the targets `single`, `batch` and `owners` (a batch with a different owner for each item)."""
    settings_file = initialize(folder)
    token = (settings_file.parent / "secrets/api-key").read_text().strip()
    storage = open_storage(load_settings(settings_file))
    environment = {"LINEWARDEN_LISTEN": "127.0.0.1:0", "LINEWARDEN_PLAINTEXT": "true", "LINEWARDEN_WORKERS": "1"}
    call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", str(settings_file)]
    try:
        with started(call, folder, environment) as (messages, process):
            address = address_in(messages, r"serving on (\S+:\d+)")
            log = Log(storage)
            targets = _targets(folder, address, process, token, log)
            for target in targets.values():  # meets the persons
                target.ask()
            log.skip()
            yield targets, log
    finally:
        storage.close()


def _targets(folder: Path, address: str, process: int, token: str, log: Log) -> dict[str, Target]:
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
        question = Question(address, f"{_METHOD}/{method}", frame, token)
        is_right = _is_allowed if items == 1 else _are_allowed
        targets[name] = Target(f"Linewarden {name}", question, process, items, is_right, _settle(log, items))
    return targets


def _settle(log: Log, items: int) -> Callable[[int], None]:
    return lambda calls: log.grew(calls, items)


def _is_allowed(answer: bytes) -> bool:
    return access_pb2.CheckResponse.FromString(answer).decision.effect == access_pb2.EFFECT_ALLOW


def _are_allowed(answer: bytes) -> bool:
    decisions = access_pb2.CheckBatchResponse.FromString(answer).decisions
    return [one.effect for one in decisions] == [access_pb2.EFFECT_ALLOW] * BATCH
