"""The options of a query that leave entries out, and the filter that they make."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from linewarden.cli.enum_words import choice_of, number_of
from linewarden.cli.values import INSTANT, KIND
from linewarden.v1 import access_pb2, core_pb2
from linewarden.v1 import audit_pb2 as pb

_OPTIONS = (
    click.option("--from", "from_time", type=INSTANT, help="First instant, inclusive; UTC without an offset."),
    click.option("--until", "until_time", type=INSTANT, help="Last instant, exclusive."),
    click.option("--kind", "kinds", type=KIND, multiple=True, help="Kind of entry, such as decision; may be repeated."),
    click.option("--caller", default="", help="The service that asked."),
    click.option("--subject", "actor", default="", help="The person on whose behalf it asked."),
    click.option("--data-subject", default="", help="The owner or a party of the item."),
    click.option("--type", "type", type=choice_of(core_pb2.ResourceType), help="The type of the item."),
    click.option("--id", "id", default="", help="The id of the item; needs --type."),
    click.option("--verb", type=choice_of(core_pb2.Verb), help="The verb that was asked for."),
    click.option("--effect", type=choice_of(access_pb2.Effect), help="The effect of the decision."),
    click.option("--purpose", type=choice_of(core_pb2.Purpose), help="The purpose of the access."),
    click.option("--request-id", default="", help="The id that the caller chose."),
)
_NAMES = (
    "from_time", "until_time", "kinds", "caller", "actor", "data_subject", "type", "id", "verb", "effect", "purpose",
    "request_id",
)  # fmt: skip


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a filter."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_filtered(asked: Mapping[str, Any]) -> bool:
    """Tell whether an option of the filter is given."""
    return any(asked[name] for name in _NAMES)


def filter_of(asked: Mapping[str, Any]) -> pb.EntryFilter:
    """The filter that the options make."""
    filter = pb.EntryFilter(
        kinds=asked["kinds"],
        caller=asked["caller"],
        subject=asked["actor"],
        data_subject=asked["data_subject"],
        resource_type=number_of(core_pb2.ResourceType, asked["type"]),
        resource_id=asked["id"],
        verb=number_of(core_pb2.Verb, asked["verb"]),
        effect=number_of(access_pb2.Effect, asked["effect"]),
        purpose=number_of(core_pb2.Purpose, asked["purpose"]),
        request_id=asked["request_id"],
    )
    for name, time in (("from", asked["from_time"]), ("until", asked["until_time"])):
        if time:
            getattr(filter, name).FromDatetime(time)
    return filter
