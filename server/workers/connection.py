"""One connected worker: the messages to it, and its captures and probes."""

import asyncio

from linewarden.diagnostics.agent.send_queue import SendQueue
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.probes.model import ProbeResult, clean
from linewarden.server.diagnostics.messages import number
from linewarden.server.errors import InvalidRequest, Violation
from linewarden.server.workers.remote_worker import RemoteWorker
from linewarden.v1 import worker_pb2

_NONSENSE = Violation("said", "said.sense", "must be a valid message")


class WorkerConnection:
    """A connected worker, for the lifetime of its stream."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.captures: dict[str, RemoteWorker] = {}
        self.probes: dict[str, asyncio.Future[ProbeResult]] = {}
        self.send_queue: SendQueue[worker_pb2.ConnectResponse] = SendQueue()

    def say(self, message: worker_pb2.ConnectResponse) -> None:
        """Queue a message for the worker. A worker that does not read its messages is disconnected."""
        self.send_queue.put(message)
        if self.send_queue.closed:
            self.end()

    def end(self) -> None:
        """Close the connection, and lose its captures and probes."""
        self.send_queue.close()
        for capture in self.captures.values():
            capture.lose()
        for probe in self.probes.values():
            if not probe.done():
                probe.set_exception(DiagnosisUnavailable())

    def hear(self, message: worker_pb2.ConnectRequest) -> None:
        """Process a message of the worker. A message about an unknown capture is answered with an order to stop.

        Raises:
            InvalidRequest: the message is invalid.
        """
        try:
            self._hear(message)
        except ValueError:
            raise InvalidRequest((_NONSENSE,)) from None

    def _hear(self, message: worker_pb2.ConnectRequest) -> None:
        said = message.WhichOneof("said")
        if said == "probed":
            self._probed(message.probed)
            return
        if said not in {"begun", "refused", "progress", "ended"}:
            raise ValueError("the message has another kind than begun, refused, progress, ended or probed")
        capture_id: str = getattr(message, said).capture_id
        capture = self.captures.get(capture_id)
        if capture is None:
            # Begun too late, or after this process released it. An unwatched capture must stop.
            stop = worker_pb2.StopCapture(capture_id=capture_id, reason=number(StopReason.LEASE_LOST))
            self.say(worker_pb2.ConnectResponse(stop=stop))
        elif said == "progress":
            capture.hear_progress(message.progress)
        elif said == "ended":
            capture.hear_ended(message.ended)
            del self.captures[capture_id]
        else:
            capture.hear_begun(begun=said == "begun")

    def _probed(self, message: worker_pb2.ProbeDone) -> None:
        probe = self.probes.get(message.probe_id)
        if probe is not None and not probe.done():
            probe.set_result(
                ProbeResult(message.succeeded, {name: clean(text) for name, text in message.findings.items()})
            )
