"""Causes: what a worker can say is known, and nothing else of what it says is kept."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import linewarden.diagnostics.packets as package
from linewarden.diagnostics.captures.failures import CaptureFailure, failure_of
from linewarden.diagnostics.packets.model import WorkerState

RAISED = {"FilterRefused", "SourceUnusable", "OrderInvalid", "EvidenceLost"}
CHECKED_APART = {"checking.py"}


def _text(node: ast.expr) -> str:
    """The text of an expression, with a stand-in for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "4711" for part in node.values)
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, str)
    return node.value


def _texts() -> Iterator[str]:
    """All that the worker raises beside what is wrong with its ticket."""
    for file in Path(package.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in RAISED
            if named and file.name not in CHECKED_APART:
                assert isinstance(call, ast.Call)
                yield _text(call.args[0])


def test_everything_a_worker_can_say_has_a_cause():
    """No text of the worker is taken for an unknown fault."""
    texts = set(_texts())
    assert len(texts) > 20
    unknown = [text for text in texts if failure_of(WorkerState.DONE, text) is CaptureFailure.FAULT]
    assert unknown == []


@pytest.mark.parametrize(
    ("state", "said", "cause"),
    [
        (WorkerState.REFUSED, "the filter does not compile", CaptureFailure.FILTER),
        (WorkerState.REFUSED, "the interface cannot be captured from: No such device", CaptureFailure.INTERFACE),
        (WorkerState.REFUSED, "a live capture needs root or CAP_NET_RAW", CaptureFailure.RIGHTS),
        (WorkerState.REFUSED, "the signature does not match", CaptureFailure.ORDER),
        (WorkerState.REFUSED, "interface", CaptureFailure.ORDER),
        (WorkerState.FAILED, "nobody takes the evidence", CaptureFailure.PIPE),
        (WorkerState.DONE, "ValueError", CaptureFailure.FAULT),
        (WorkerState.DONE, "sip:alice@example.org", CaptureFailure.FAULT),
        (WorkerState.DONE, "the capture file is cut short", CaptureFailure.FILE),
    ],
)
def test_what_is_kept_is_one_of_ours(state: WorkerState, said: str, cause: CaptureFailure):
    """Whatever a worker says, what is kept of it is one of a few texts."""
    assert failure_of(state, said) is cause
