"""OpenFGA for comparison: its server built with Go, an equal model, in memory and on SQLite, no log.

Its decision is about relations: the supervisor may play what is in her queue. It knows neither purposes nor ages. Its
messages are read from the server by reflection, so that this repository holds no file of OpenFGA.
"""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any

from google.protobuf.json_format import ParseDict
from load import Question
from processes import await_listener, free_address, started
from reflected import messages
from target import Target
from workload import BATCH, PERSON, QUEUE, framed, recordings

MODULE = "github.com/openfga/openfga/cmd/openfga@v1.11.0"
_BUILD_TIMEOUT_S = 1_800
_REQUEST_TIMEOUT_S = 60
_SERVICE = "openfga.v1.OpenFGAService"

_MODEL = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user"},
        {
            "type": "queue",
            "relations": {"supervisor": {"this": {}}},
            "metadata": {"relations": {"supervisor": {"directly_related_user_types": [{"type": "user"}]}}},
        },
        {
            "type": "recording",
            "relations": {
                "owner": {"this": {}},
                "queue": {"this": {}},
                "player": {
                    "union": {
                        "child": [
                            {"computedUserset": {"relation": "owner"}},
                            {
                                "tupleToUserset": {
                                    "tupleset": {"relation": "queue"},
                                    "computedUserset": {"relation": "supervisor"},
                                }
                            },
                        ]
                    }
                },
            },
            "metadata": {
                "relations": {
                    "owner": {"directly_related_user_types": [{"type": "user"}]},
                    "queue": {"directly_related_user_types": [{"type": "queue"}]},
                }
            },
        },
    ],
}


def installed(cache: Path) -> Path | None:
    """Return the program of the server, built into the cache with Go; None if Go or its modules are missing."""
    binary = cache / "openfga"
    go = shutil.which("go")
    if not binary.exists() and go is not None:
        cache.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"GOBIN": str(cache), "GOFLAGS": "-mod=mod"}
        call = [go, "install", MODULE]
        try:
            subprocess.run(call, check=False, capture_output=True, env=environment, timeout=_BUILD_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None
    return binary if binary.exists() else None


@contextmanager
def running(binary: Path, folder: Path, *, sqlite: bool) -> Iterator[dict[str, Target]]:
    """Serve; yield the targets `single` and `batch`."""
    address, http = free_address(), free_address()
    store = ["--datastore-engine=sqlite", f"--datastore-uri=file:{folder}/openfga.db"] if sqlite else []
    if sqlite:
        subprocess.run([str(binary), "migrate", *store], check=True, capture_output=True, cwd=folder)
    call = [
        str(binary),
        "run",
        f"--grpc-addr={address}",
        f"--http-addr={http}",
        "--playground-enabled=false",
        "--metrics-enabled=false",
        f"--request-timeout={_REQUEST_TIMEOUT_S}s",  # its default of 3 s ends batches of many callers on SQLite
    ]
    call += ["--log-level=error", f"--max-checks-per-batch-check={BATCH}", *store]
    with started(call, folder, {}) as (_, process):
        await_listener(address)
        await_listener(http)
        yield _targets(folder, address, http, process)


def _targets(folder: Path, address: str, http: str, process: int) -> dict[str, Target]:
    found = list(recordings(int(time()), BATCH))
    store = _post(http, "stores", {"name": "bench"})["id"]
    model = _post(http, f"stores/{store}/authorization-models", _MODEL)["authorization_model_id"]
    tuples = [{"user": f"user:{PERSON}", "relation": "supervisor", "object": f"queue:{QUEUE}"}]
    tuples += [{"user": f"queue:{QUEUE}", "relation": "queue", "object": f"recording:{one.id}"} for one in found]
    tuples += [{"user": f"user:{one.owner}", "relation": "owner", "object": f"recording:{one.id}"} for one in found]
    for start in range(0, len(tuples), BATCH):
        _post(http, f"stores/{store}/write", {"writes": {"tuple_keys": tuples[start : start + BATCH]}})
    keys = [{"user": f"user:{PERSON}", "relation": "player", "object": f"recording:{one.id}"} for one in found]
    asked = {"store_id": store, "authorization_model_id": model}
    checks = [{"tuple_key": key, "correlation_id": f"c{number}"} for number, key in enumerate(keys)]
    targets = {}
    for name, method, items, more in (
        ("single", "Check", 1, {"tuple_key": keys[0]}),
        ("batch", "BatchCheck", BATCH, {"checks": checks}),
    ):
        request, response = messages(address, f"{_SERVICE}/{method}")
        frame = folder / f"{name}.frame"
        frame.write_bytes(framed(ParseDict(asked | more, request()).SerializeToString()))
        question = Question(address, f"{_SERVICE}/{method}", frame)
        targets[name] = Target(f"OpenFGA {name}", question, process, items, _allows(response, items))
    return targets


def _allows(response: Any, items: int) -> Any:
    def is_right(answer: bytes) -> bool:
        found = response.FromString(answer)
        if items == 1:
            return bool(found.allowed)
        return [one.allowed for one in found.result.values()] == [True] * items

    return is_right


def _post(http: str, path: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"http://{http}/{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())
