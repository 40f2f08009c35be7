"""Details in the rows of a query, for entries other than decisions."""

from typing import Any

import pytest

from linewarden.server.details import details_of, has_details

FRAME = {"v": 1, "time": 1, "caller": "desk", "request_id": "r", "actor": {"sid": "p-1"}, "enc": [{"sid": "p-1"}]}


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("capture.requested", {"session": "s1", "state": "armed", "worker": ""}, "session=s1 state=armed"),
        ("capture.stopped", {"stop_reason": "time", "session": "s1"}, "session=s1 stop_reason=time"),
        ("capture.sealed", {"session": "s1", "lossy": True, "counters": {"written": 1}}, "session=s1 lossy=yes"),
        ("diagnostics.refused", {"reason": "limit_too_high", "detail": "seconds"}, "detail=seconds"),
        ("capture.failed", {"stop_reason": "error", "session": "s1", "detail": "the sealer was lost"},
         "session=s1 stop_reason=error detail=the_sealer_was_lost"),
        ("capture.started", {"session": "s1", "interface": "eth0", "worker": "berlin"},
         "session=s1 worker=berlin interface=eth0"),
        ("diagnostics.refused", {"reason": "state_conflict", "detail": "armed", "actions": ["capture_stop"],
         "session": "s1"}, "detail=armed actions=capture_stop session=s1"),
        ("diagnostics.refused", {"actions": ["send_notice"], "notice": "n", "attestation": "a"},
         "actions=send_notice notice=n attestation=a"),
        ("worker.enrolled", {"worker": "berlin", "expires": 1}, "worker=berlin"),
        ("notice.published", {"notice": "n", "languages": ["de", "en"]}, "notice=n languages=de,en"),
        ("notice.received", {"notice": "n", "receipts": [["p-2", "informed", "email", 1, ""]]}, "notice=n receipts=1"),
        ("notice.listed", {"sessions": []}, "sessions=0"),
        ("attestation.made", {"attestation": "a", "note": "signed"}, "attestation=a"),
        ("probe.run", {"probe": "p", "probe_kind": "dns_sip", "done": True, "succeeded": False},
         "probe=p probe_kind=dns_sip done=yes succeeded=no"),
        ("policy.changed", {"revision": 4, "added": [["4.1", "bind sid:p-1 role:user"]], "removed": []},
         "revision=4 added=1 removed=0"),
        ("request.refused", {"method": "A/Check", "reason": "invalid_request", "fields": ["verb"]},
         "method=A/Check fields=verb"),
    ],
)  # fmt: skip
def test_details_name_what_the_columns_have_no_room_for(kind: str, fields: dict[str, Any], told: str) -> None:
    """Ids, states and words are told in one order, without spaces; empty values, persons and what is sealed are not."""
    assert has_details(kind)
    assert details_of({**FRAME, "kind": kind, **fields}) == told


def test_an_unknown_kind_tells_nothing() -> None:
    """A field is shown only if it is listed as free of personal values."""
    for kind in ("decision", "audit.read", "person.introduced", "fax.sent"):
        assert not has_details(kind)
        assert details_of({**FRAME, "kind": kind, "session": "s1", "receipts": [1]}) == ""
