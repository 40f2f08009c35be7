"""The closed sets of the connectors and of the command are those of the contract, which they do not import."""

from linewarden.authz.addresses import MAX_ADDRESS_BYTES, AddressKind
from linewarden.authz.model import ResourceType
from linewarden.authz.model import Role as PolicyRole
from linewarden.cli.items import KINDS
from linewarden.connectors.model import ADDRESS_BYTES, ItemType, Role


def test_roles_are_those_of_the_policy() -> None:
    """A connector can state each role that a rule can name, and no other."""
    assert {role.value for role in Role} == {role.value for role in PolicyRole}


def test_types_are_those_of_the_policy() -> None:
    """The items of a connector are of types that rules can name."""
    assert {kind.value for kind in ItemType} <= {kind.value for kind in ResourceType}


def test_addresses_are_those_of_assignments() -> None:
    """The command knows each kind of address, and a connector states none that is too long for an assignment."""
    assert {kind.value for kind in AddressKind} == KINDS
    assert ADDRESS_BYTES == MAX_ADDRESS_BYTES
