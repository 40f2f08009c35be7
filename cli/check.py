"""`linewarden check`: ask as a backend would."""

from typing import Any

import click

from linewarden.authz import model
from linewarden.cli.client import DEADLINE_S, Connection, connecting, person, subject_option, tenant_option
from linewarden.cli.exit_codes import DENIED
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.values import INSTANT
from linewarden.server.names import CONSENTS, EFFECTS, OBLIGATIONS, PURPOSE_NUMBERS, REASONS, TYPE_NUMBERS, VERB_NUMBERS
from linewarden.v1 import access_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub

_COLUMNS = ("effect", "reason", "rules", "obligations", "failed_conditions", "decision", "policy_revision")


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("verb", type=click.Choice([verb.value for verb in model.Verb]))
@click.argument("type", type=click.Choice([type.value for type in model.ResourceType]))
@click.argument("id")
@click.option("--owner", default="", help="The person whose item it is.")
@click.option("--queue", default="", help="The call queue it belongs to.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of the item; may be repeated.")
@click.option("--created", type=INSTANT, help="When the item came to be; UTC if it says no offset.")
@click.option("--purpose", type=click.Choice([purpose.value for purpose in model.Purpose]), help="What it is for.")
@click.option("--case", default="", help="The ticket or court file it is for.")
@click.option("--zone", default="", help="The network zone the person is in.")
@click.option("--consent", type=click.Choice([c.value for c in model.Consent]), help="Whether the parties agreed.")
@click.option("--request-id", default="", help="Chosen by the caller; a retry repeats it.")
@output_option
@click.pass_context
def check(ctx: click.Context, /, connection: Connection, output: str, **asked: Any) -> None:
    """Ask whether a person may do VERB with the item ID of TYPE. Exit code 0 is allow, 1 deny."""
    with connection.channel() as channel:
        stub = AccessServiceStub(channel)
        answer = stub.Check(_request(**asked), metadata=connection.metadata, timeout=DEADLINE_S)
    write_rows([_row(answer)], _COLUMNS, output)
    ctx.exit(0 if EFFECTS[answer.decision.effect] is model.Effect.ALLOW else DENIED)


def _request(**asked: Any) -> pb.CheckRequest:
    consents = {word: number for number, word in CONSENTS.items()}
    resource = core_pb2.Resource(
        type=TYPE_NUMBERS[asked["type"]], id=asked["id"], owner=asked["owner"], queue=asked["queue"]
    )
    for label in asked["labels"]:
        name, separator, value = label.partition("=")
        if not separator:
            raise click.BadParameter("a label is KEY=VALUE", param_hint="--label")
        resource.labels[name] = value
    if asked["created"]:
        resource.created_at.FromDatetime(asked["created"])
    context = core_pb2.Context(
        purpose=PURPOSE_NUMBERS.get(asked["purpose"], 0),
        case_reference=asked["case"],
        network_zone=asked["zone"],
        consent=consents.get(asked["consent"], 0),  # type: ignore[arg-type]
    )
    return pb.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant=asked["tenant"], request_id=asked["request_id"], subject=person(asked["subject"]), context=context
        ),
        verb=VERB_NUMBERS[asked["verb"]],
        resource=resource,
    )


def _row(answer: pb.CheckResponse) -> dict[str, Any]:
    decision = answer.decision
    return {
        "effect": EFFECTS[decision.effect].value,
        "reason": REASONS[decision.reason].value,
        "rules": [
            f"{EFFECTS[rule.effect].value} {rule.rule_id} via {' > '.join(rule.role_path)}"
            for rule in decision.matched_rules
        ],
        "obligations": [OBLIGATIONS[one].value for one in decision.obligations],
        "failed_conditions": [f"{one.rule_id}: {one.condition}" for one in decision.failed_conditions],
        "decision": decision.id,
        "policy_revision": answer.policy.revision,
        "expires_at": answer.expires_at.ToJsonString(),
    }
