"""The company's policy fits the generated spool, and uses known words only."""

from pathlib import Path

import acme
import company
import pytest
import spool_generator
import spool_reader

from linewarden.authz.model import VERBS_OF, Obligation, ResourceType, Verb

_TEXT = acme.POLICY.read_text(encoding="utf-8")
_STATEMENTS = [words for line in _TEXT.splitlines() if (words := line.split("#")[0].split())]
_RULES = [words for words in _STATEMENTS if words[0] != "bind"]


@pytest.mark.parametrize("rule", _RULES, ids=" ".join)
def test_verbs_fit(rule: list[str]) -> None:
    """Each verb of a rule fits each of its types."""
    verbs, types = rule[2].split(","), rule[3].split(",")
    assert all(Verb(verb) in VERBS_OF[ResourceType(kind)] for verb in verbs for kind in types)


def test_duties_are_known() -> None:
    """Each obligation of a rule is one that the service knows."""
    duties = {duty for rule in _RULES if "then" in rule for duty in rule[rule.index("then") + 1].split(",")}
    assert duties
    assert duties <= set(Obligation)


def test_roles_are_held() -> None:
    """Each role with a rule has a person, and each role of a person has a rule."""
    held = {words[2] for words in _STATEMENTS if words[0] == "bind"}
    assert held == {rule[1] for rule in _RULES}


def test_scopes_name_what_is_there(tmp_path: Path) -> None:
    """Queues, owners and labels of the rules occur in items of the generated spool."""
    spool_generator.generate(tmp_path, seed=7)
    items, _ = spool_reader.split(spool_reader.read_tree(tmp_path))
    present = {"any", "own"} | {f"queue:{item.queue}" for item in items} | {f"owner:{item.owner}" for item in items}
    present |= {f"label:{key}={value}" for item in items for key, value in item.labels.items()}
    assert {rule[4] for rule in _RULES} <= present


def test_users_have_mailboxes() -> None:
    """Each person with an address in voicemail.conf has a role."""
    bound = {words[1] for words in _STATEMENTS if words[0] == "bind"}
    assert {person.email.removesuffix(acme.DOMAIN) for person in company.PEOPLE if person.email} <= bound
