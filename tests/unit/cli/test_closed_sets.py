"""The choices of the command are the closed sets of the model, so that a new member is forgotten in no command."""

from enum import StrEnum

import click
import pytest

from linewarden.authz.model import Consent, Effect, Purpose, ResourceType, Verb
from linewarden.cli import main
from linewarden.diagnostics.consent_model import NoticeChannel, Responsibility
from linewarden.diagnostics.packets.model import Profile
from linewarden.diagnostics.probes.model import ProbeKind


@pytest.mark.parametrize(
    ("command", "name", "members"),
    [
        ("check", "verb", Verb),
        ("check", "type", ResourceType),
        ("check", "purpose", Purpose),
        ("check", "consent", Consent),
        ("audit query", "verb", Verb),
        ("audit query", "type", ResourceType),
        ("audit query", "effect", Effect),
        ("audit query", "purpose", Purpose),
        ("diagnostics enable", "accept", Responsibility),
        ("diagnostics publish", "channel", NoticeChannel),
        ("diagnostics probe", "kind", ProbeKind),
        ("capture request", "profile", Profile),
    ],
)
def test_the_choices_are_the_members(command: str, name: str, members: type[StrEnum]) -> None:
    """An option or argument that takes a member of a closed set takes each of them, and nothing else."""
    assert _choices(command, name) == {one.value for one in members}


def _choices(command: str, name: str) -> set[str]:
    """The choices of the parameter that has this name on the command line."""
    found: click.Command = main
    for word in command.split():
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner
    (types,) = [one.type for one in found.params if name in (one.name, *(text.lstrip("-") for text in one.opts))]
    assert isinstance(types, click.Choice)
    return set(types.choices)
