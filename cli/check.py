"""`linewarden check`: ask for a decision as a backend would, about one item or about those of a file."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, TextIO

import click

from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of, word_of
from linewarden.cli.exit_codes import DENIED
from linewarden.cli.items import participant, read_items
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.values import INSTANT
from linewarden.v1 import access_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub

_COLUMNS = ("effect", "reason", "rules", "obligations", "failed_conditions", "decision", "policy_revision")
_FILE_COLUMNS = ("type", "id", "effect", "reason", "obligations", "decision")

#: Items of one request.
_BATCH = 500


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("verb", type=choice_of(core_pb2.Verb))
@click.argument("type", type=choice_of(core_pb2.ResourceType), required=False)
@click.argument("id", required=False)
@click.option(
    "--items", type=click.File(), help="A file of items as JSON lines, in place of TYPE and ID; `-` is stdin."
)
@click.option("--owner", default="", help="The person whose item it is.")
@click.option(
    "--participant",
    "participants",
    multiple=True,
    metavar="ROLE=WHO",
    help="A person or address that took part, such as caller=ext:1001; may be repeated.",
)
@click.option("--party", "parties", multiple=True, metavar="PERSON", help="A further person; may be repeated.")
@click.option("--call-id", default="", help="The id of the phone call that the item is of.")
@click.option("--duration", type=click.IntRange(0), metavar="SECONDS", help="The length of the call or message.")
@click.option("--queue", default="", help="The call queue that the item belongs to.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of the item; may be repeated.")
@click.option("--created", type=INSTANT, help="The time at which the item was made; UTC without an offset.")
@click.option("--purpose", type=choice_of(core_pb2.Purpose), help="The purpose of the access.")
@click.option("--case", default="", help="The ticket or court file that the access is for.")
@click.option("--zone", default="", help="The network zone that the person is in.")
@click.option("--consent", type=choice_of(core_pb2.Consent), help="The consent of the parties of the call.")
@click.option("--request-id", default="", help="An id that the caller chooses; a retry repeats it.")
@output_option
@click.pass_context
def check(ctx: click.Context, /, connection: Connection, output: str, items: TextIO | None, **asked: Any) -> None:
    """Ask whether a person may do VERB with the item ID of TYPE, or with each item of a file.

    Exit code 0 is allow, 1 deny. With a file, 1 means that an item was denied.
    """
    if items is None and not asked["id"]:
        raise click.UsageError("state the TYPE and the ID of the item, or a file with --items")
    if items is not None and asked["type"]:
        raise click.UsageError("the file states the items: leave TYPE and ID out, or --items")
    with connection.channel() as channel:
        stub = AccessServiceStub(channel)
        if items is not None:
            rows = list(_rows_of(connection, stub, read_items(items), asked))
            write_rows(rows, _FILE_COLUMNS, output)
            ctx.exit(0 if all(row["effect"] == "allow" for row in rows) else DENIED)
        answer = stub.Check(_request(asked), metadata=connection.metadata, timeout=DEADLINE_S)
    write_rows([_row(answer)], _COLUMNS, output)
    ctx.exit(0 if answer.decision.effect == pb.EFFECT_ALLOW else DENIED)


def _rows_of(
    connection: Connection, stub: AccessServiceStub, items: Iterator[core_pb2.Resource], asked: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Ask about the items in batches; yield the rows of the answers in their order."""
    verb, request_header = number_of(core_pb2.Verb, asked["verb"]), _header(asked)
    while batch := list(islice(items, _BATCH)):
        checks = [pb.CheckItem(verb=verb, resource=one) for one in batch]
        request = pb.CheckBatchRequest(header=request_header, items=checks)
        answer = stub.CheckBatch(request, metadata=connection.metadata, timeout=DEADLINE_S)
        yield from (
            {"type": word_of(core_pb2.ResourceType, one.type), "id": one.id, **_decision_row(decision)}
            for one, decision in zip(batch, answer.decisions, strict=True)
        )


def _request(asked: dict[str, Any]) -> pb.CheckRequest:
    resource = core_pb2.Resource(
        type=number_of(core_pb2.ResourceType, asked["type"]),
        id=asked["id"],
        owner=asked["owner"],
        queue=asked["queue"],
        parties=asked["parties"],
        participants=map(participant, asked["participants"]),
        call_id=asked["call_id"],
        duration_s=asked["duration"],
    )
    for label in asked["labels"]:
        name, separator, value = label.partition("=")
        if not separator:
            raise click.BadParameter("a label is KEY=VALUE", param_hint="--label")
        resource.labels[name] = value
    if asked["created"]:
        resource.created_at.FromDatetime(asked["created"])
    return pb.CheckRequest(header=_header(asked), verb=number_of(core_pb2.Verb, asked["verb"]), resource=resource)


def _header(asked: dict[str, Any]) -> core_pb2.RequestHeader:
    context = core_pb2.Context(
        purpose=number_of(core_pb2.Purpose, asked["purpose"]),
        case_reference=asked["case"],
        network_zone=asked["zone"],
        consent=number_of(core_pb2.Consent, asked["consent"]),
    )
    return header(asked["tenant"], asked["subject"], asked["request_id"], context)


def _row(answer: pb.CheckResponse) -> dict[str, Any]:
    return {
        **_decision_row(answer.decision),
        "policy_revision": answer.policy.revision,
        "expires_at": answer.expires_at.ToJsonString(),
    }


def _decision_row(decision: pb.Decision) -> dict[str, Any]:
    return {
        "effect": word_of(pb.Effect, decision.effect),
        "reason": word_of(pb.DecisionReason, decision.reason),
        "rules": [
            f"{word_of(pb.Effect, rule.effect)} {rule.rule_id} via {' > '.join(rule.role_path)}"
            for rule in decision.matched_rules
        ],
        "obligations": [word_of(pb.Obligation, one) for one in decision.obligations],
        "failed_conditions": [f"{one.rule_id}: {one.condition}" for one in decision.failed_conditions],
        "parts": [_part(one) for one in decision.parts],
        "decision": decision.id,
    }


def _part(part: pb.Part) -> str:
    """Return a stretch as START/END, with the start and the end of the item in words."""
    start = getattr(part, "from").ToJsonString() if part.HasField("from") else "start"
    return f"{start}/{part.until.ToJsonString() if part.HasField('until') else 'end'}"
