"""Translation between the enums of the contract and those of the model by name: `VERB_PLAY` is `Verb.PLAY`."""

from enum import StrEnum
from typing import Any, TypeVar

from linewarden.authz import model
from linewarden.v1 import access_pb2, core_pb2

W = TypeVar("W", bound=StrEnum)


def by_number(enum: Any, prefix: str, words: type[W]) -> dict[int, W]:
    """Return the words of an enum by their numbers, which the two must have by the same names."""
    numbers = {v.name.removeprefix(prefix).lower(): v.number for v in enum.DESCRIPTOR.values if v.number}
    if set(numbers) != {word.value for word in words}:
        raise AssertionError(f"{enum.DESCRIPTOR.name} and {words.__name__} do not name the same things")
    return {number: words(name) for name, number in numbers.items()}


TYPES = by_number(core_pb2.ResourceType, "RESOURCE_TYPE_", model.ResourceType)
VERBS = by_number(core_pb2.Verb, "VERB_", model.Verb)
PURPOSES = by_number(core_pb2.Purpose, "PURPOSE_", model.Purpose)
CONSENTS = by_number(core_pb2.Consent, "CONSENT_", model.Consent)
ROLES = by_number(core_pb2.ParticipantRole, "PARTICIPANT_ROLE_", model.Role)
EFFECTS = by_number(access_pb2.Effect, "EFFECT_", model.Effect)
REASONS = by_number(access_pb2.DecisionReason, "DECISION_REASON_", model.Reason)
OBLIGATIONS = by_number(access_pb2.Obligation, "OBLIGATION_", model.Obligation)

TYPE_NUMBERS: dict[str, Any] = {word: number for number, word in TYPES.items()}
VERB_NUMBERS: dict[str, Any] = {word: number for number, word in VERBS.items()}
PURPOSE_NUMBERS: dict[str, Any] = {word: number for number, word in PURPOSES.items()}
EFFECT_NUMBERS: dict[str, Any] = {word: number for number, word in EFFECTS.items()}
REASON_NUMBERS: dict[str, Any] = {word: number for number, word in REASONS.items()}
OBLIGATION_NUMBERS: dict[str, Any] = {word: number for number, word in OBLIGATIONS.items()}
