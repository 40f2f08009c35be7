"""Addresses: the one spelling of each, and the texts that are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.authz.addresses import MAX_ADDRESS_BYTES, AddressKind, canonical_address, check_region
from linewarden.authz.errors import AddressInvalid

SPELLINGS = [
    ("ext:1001", "ext:1001"),
    (" EXT:1001@internal ", "ext:1001@internal"),
    ("mailbox:1001", "mailbox:1001@default"),
    ("mailbox:1001@Sales", "mailbox:1001@Sales"),
    ("tel:+49 30 123456", "tel:+4930123456"),
    ("tel:0049 30/123456", "tel:+4930123456"),
    ("tel:030 123456", "tel:+4930123456"),
    ("tel:+49 (0)30 123456", "tel:+4930123456"),
    ("tel:(030) 12-34-56", "tel:+4930123456"),
    ("sip:Ann@PBX.Example", "sip:Ann@pbx.example"),
    ("sip:ann:secret@pbx.example;transport=udp", "sip:ann@pbx.example"),
    ("sip:pbx.example", "sip:pbx.example"),
    ("device:9001", "device:9001"),
    ("agent:1001", "agent:1001"),
]


@pytest.mark.parametrize(("text", "canonical"), SPELLINGS)
def test_every_spelling_has_one_canonical_text(text: str, canonical: str) -> None:
    """All spellings of an address become the same text, which is its own canonical text without a region."""
    assert canonical_address(text, "DE") == canonical
    assert canonical_address(canonical) == canonical


def test_every_kind_has_a_spelling() -> None:
    """Each kind of address stands among the spellings that these tests know."""
    assert {canonical.partition(":")[0] for _, canonical in SPELLINGS} == set(AddressKind)


@pytest.mark.parametrize("text", [
    "", "1001", "ext:", "ext:10 01", "ext:1001@a@b", "fax:1001", "mailbox:@default", "tel:anonymous", "tel:110",
    "tel:+49 30 123456 ext. 5", "tel:+4930123456789012345", "sip:", "sip:ann@", "sip:a nn@pbx", "device:1@2",
    "agent:", "ext:10\x0001", "ext:" + "1" * MAX_ADDRESS_BYTES, "mailbox:" + "1" * (MAX_ADDRESS_BYTES - 8),
])  # fmt: skip
def test_texts_that_are_no_address_are_refused(text: str) -> None:
    """A text that is no address is refused, and the message does not quote it."""
    with pytest.raises(AddressInvalid) as caught:
        canonical_address(text, "DE")
    value = text.partition(":")[2]
    assert len(value) < 5 or value not in str(caught.value)


def test_a_national_number_needs_a_region() -> None:
    """A number without country code is refused without a region, because it would be a number of any country."""
    with pytest.raises(AddressInvalid, match="region"):
        canonical_address("tel:030 123456")
    assert canonical_address("tel:06 12345678", "IT") == "tel:+390612345678"


@pytest.mark.parametrize("region", ["", "de", "Germany", "XX"])
def test_an_unknown_region_is_refused(region: str) -> None:
    """A region that is no code of ISO 3166 is refused."""
    check_region("DE")
    with pytest.raises(AddressInvalid):
        check_region(region)


@given(st.sampled_from(AddressKind), st.text(max_size=40))
def test_a_canonical_text_is_stable(kind: AddressKind, value: str) -> None:
    """Any text is refused, or its canonical text is the canonical text of itself."""
    try:
        canonical = canonical_address(f"{kind}:{value}", "DE")
    except AddressInvalid:
        return
    assert canonical_address(canonical) == canonical
