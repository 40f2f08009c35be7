"""`linewarden check`: ask for a decision as a backend would."""

from typing import Any

import click

from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of, word_of
from linewarden.cli.exit_codes import DENIED
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.values import INSTANT
from linewarden.v1 import access_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub

_COLUMNS = ("effect", "reason", "rules", "obligations", "failed_conditions", "decision", "policy_revision")


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("verb", type=choice_of(core_pb2.Verb))
@click.argument("type", type=choice_of(core_pb2.ResourceType))
@click.argument("id")
@click.option("--owner", default="", help="The person whose item it is.")
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
def check(ctx: click.Context, /, connection: Connection, output: str, **asked: Any) -> None:
    """Ask whether a person may do VERB with the item ID of TYPE. Exit code 0 is allow, 1 deny."""
    with connection.channel() as channel:
        stub = AccessServiceStub(channel)
        answer = stub.Check(_request(**asked), metadata=connection.metadata, timeout=DEADLINE_S)
    write_rows([_row(answer)], _COLUMNS, output)
    ctx.exit(0 if answer.decision.effect == pb.EFFECT_ALLOW else DENIED)


def _request(**asked: Any) -> pb.CheckRequest:
    resource = core_pb2.Resource(
        type=number_of(core_pb2.ResourceType, asked["type"]),
        id=asked["id"],
        owner=asked["owner"],
        queue=asked["queue"],
    )
    for label in asked["labels"]:
        name, separator, value = label.partition("=")
        if not separator:
            raise click.BadParameter("a label is KEY=VALUE", param_hint="--label")
        resource.labels[name] = value
    if asked["created"]:
        resource.created_at.FromDatetime(asked["created"])
    context = core_pb2.Context(
        purpose=number_of(core_pb2.Purpose, asked["purpose"]),
        case_reference=asked["case"],
        network_zone=asked["zone"],
        consent=number_of(core_pb2.Consent, asked["consent"]),
    )
    return pb.CheckRequest(
        header=header(asked["tenant"], asked["subject"], asked["request_id"], context),
        verb=number_of(core_pb2.Verb, asked["verb"]),
        resource=resource,
    )


def _row(answer: pb.CheckResponse) -> dict[str, Any]:
    decision = answer.decision
    return {
        "effect": word_of(pb.Effect, decision.effect),
        "reason": word_of(pb.DecisionReason, decision.reason),
        "rules": [
            f"{word_of(pb.Effect, rule.effect)} {rule.rule_id} via {' > '.join(rule.role_path)}"
            for rule in decision.matched_rules
        ],
        "obligations": [word_of(pb.Obligation, one) for one in decision.obligations],
        "failed_conditions": [f"{one.rule_id}: {one.condition}" for one in decision.failed_conditions],
        "decision": decision.id,
        "policy_revision": answer.policy.revision,
        "expires_at": answer.expires_at.ToJsonString(),
    }
