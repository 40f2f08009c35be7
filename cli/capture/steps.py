"""`linewarden capture`: the steps of a capture after its request, a command each."""

import click

from linewarden.cli.capture.view import capture_argument, write_capture
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.output import output_option
from linewarden.cli.rpc import Options, case_if_needed, case_options, rpc


def _step(name: str, method: str, case: Options, does: str) -> click.Command:
    """A command that takes a capture one step further, and shows its state afterwards."""

    @click.command(name, help=does)
    @connecting
    @tenant_option
    @subject_option
    @case
    @capture_argument
    @output_option
    def step(connection: Connection, tenant: str, subject: str, capture_id: str, output: str, **stated: str) -> None:
        write_capture(rpc(connection, method, tenant, subject, capture_id=capture_id, **stated).capture, output)

    return step


approve = _step("approve", "ApproveCapture", case_if_needed, "Approve a capture that another person asked for.")
reject = _step("reject", "RejectCapture", case_if_needed, "Refuse a capture for good, before it runs.")
start = _step("start", "StartCapture", case_options, "Start an armed capture.")
pause = _step("pause", "PauseCapture", case_if_needed,
              "Pause a running capture: it takes no packets until it is resumed, and its time goes on.")  # fmt: skip
resume = _step("resume", "ResumeCapture", case_options, "Resume a paused capture.")
stop = _step("stop", "StopCapture", case_if_needed, "Stop a running capture. Its packets are sealed as evidence.")
delete = _step("delete", "DeleteCapture", case_if_needed,
               "Delete the evidence of a capture before its time. The record stays.")  # fmt: skip
