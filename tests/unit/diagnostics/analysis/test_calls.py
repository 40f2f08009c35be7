"""Calls, registrations, subscriptions and probes followed through their messages."""

from collections import Counter

import pytest

from linewarden.diagnostics.analysis.attempts import AuthOutcome
from linewarden.diagnostics.analysis.calls import Call, CallState, Side, follow_call, is_call
from linewarden.diagnostics.analysis.dialogs import Dialog, group
from linewarden.diagnostics.analysis.model import Datagram, Endpoint, Limits, Omission, SipTransport
from linewarden.diagnostics.analysis.registrations import (
    Registration,
    RegistrationState,
    follow_probes,
    follow_registration,
    follow_subscription,
)
from linewarden.diagnostics.analysis.sip import SipMessage, read_message

A, B = Endpoint("10.0.0.1", 5060), Endpoint("10.0.0.2", 5060)
DIGEST = 'Digest realm="r", nonce="{}"'


def _message(
    at_ms: int, way: str, start: str, cseq: str, *, tags: str = "a ", call: str = "c", extra: str = ""
) -> SipMessage:
    """`way` is ">" from caller to callee or "<"; `tags` are the From and To tags."""
    first = f"{start} sip:b@h SIP/2.0" if not start[0].isdigit() else f"SIP/2.0 {start}"
    from_tag, to_tag = (f";tag={tag}" if tag else "" for tag in tags.split(" "))
    text = (
        f"{first}\r\nVia: SIP/2.0/UDP h;branch=z{cseq.replace(' ', '')}\r\nFrom: <sip:a@h>{from_tag}\r\n"
        f"To: <sip:b@h>{to_tag}\r\nCall-ID: {call}\r\nCSeq: {cseq}\r\n{extra}\r\n\r\n"
    ).encode()
    ends = (A, B) if way == ">" else (B, A)
    read = read_message(Datagram(at_ms * 1_000_000, *ends, text, len(text)), SipTransport.UDP)
    assert read is not None
    return read


def _dialog(*messages: SipMessage) -> Dialog:
    (found,) = group(messages, Limits(), Counter())
    return found


def _call(*messages: SipMessage) -> Call:
    found = _dialog(*messages)
    assert is_call(found)
    return follow_call(found)


INVITE = _message(0, ">", "INVITE", "1 INVITE")
TRYING = _message(5, "<", "100 Trying", "1 INVITE")
RINGING = _message(200, "<", "180 Ringing", "1 INVITE", tags="a b")
OK = _message(3_000, "<", "200 OK", "1 INVITE", tags="a b")
ACK = _message(3_010, ">", "ACK", "1 ACK", tags="a b")
BYE = _message(9_000, ">", "BYE", "2 BYE", tags="a b", extra='Reason: Q.850;cause=16;text="bye"')
BYE_BACK = _message(9_000, "<", "BYE", "1 BYE", tags="b a")
CANCEL = _message(4_000, ">", "CANCEL", "1 CANCEL")
CANCELLED = _message(4_100, "<", "487 Request Terminated", "1 INVITE", tags="a b")
BUSY = _message(500, "<", "486 Busy Here", "1 INVITE", tags="a b")


def test_a_completed_call_has_all_its_times():
    """Set-up, ringing, answer, end and their distances come from the messages, in ms."""
    found = _call(INVITE, TRYING, RINGING, OK, ACK, BYE)
    assert (found.state, found.final_status, found.ended_by) == (CallState.COMPLETED, 200, Side.CALLER)
    assert (found.setup_ns, found.ringing_ns, found.answer_ns) == (0, 200_000_000, 3_000_000_000)
    assert (found.post_dial_ms, found.talk_ms, found.cause) == (200.0, 6_000.0, "16")
    assert (found.caller, found.callee, found.unacknowledged) == ("sip:a@h", "sip:b@h", False)


@pytest.mark.parametrize(
    ("messages", "state", "status", "ended_by"),
    [
        ((INVITE,), CallState.ATTEMPTED, None, None),
        ((INVITE, TRYING), CallState.PROCEEDING, None, None),
        ((INVITE, TRYING, RINGING), CallState.RINGING, None, None),
        ((INVITE, OK, ACK), CallState.ANSWERED, 200, None),
        ((INVITE, OK, ACK, BYE_BACK), CallState.COMPLETED, 200, Side.CALLEE),
        ((INVITE, RINGING, BUSY), CallState.REJECTED, 486, Side.CALLEE),
        ((INVITE, RINGING, CANCEL, CANCELLED), CallState.CANCELLED, 487, Side.CALLER),
        ((INVITE, _message(1, "<", "302 Moved", "1 INVITE", tags="a b")), CallState.REDIRECTED, 302, Side.CALLEE),
        ((INVITE, _message(1, "<", "407 Who", "1 INVITE", tags="a b")), CallState.CHALLENGED, 407, None),
        ((ACK, BYE), CallState.PARTIAL, None, Side.UNKNOWN),
    ],
)
def test_each_ending_has_its_name(
    messages: tuple[SipMessage, ...], state: CallState, status: int | None, ended_by: Side | None
):
    """A call is in one state, and who ended it is known where the messages show it."""
    found = _call(*messages)
    assert (found.state, found.final_status, found.ended_by) == (state, status, ended_by)


def test_an_answer_that_crosses_a_cancel_wins():
    """A 200 after the CANCEL makes a call, which the caller then ends."""
    late = _message(4_050, "<", "200 OK", "1 INVITE", tags="a b")
    assert _call(INVITE, RINGING, CANCEL, late).state is CallState.ANSWERED
    assert _call(INVITE, RINGING, CANCEL, late, BYE).ended_by is Side.CALLER


def test_repetitions_are_counted_and_change_nothing():
    """A request or answer sent again on the same hop is a retransmission; on another hop it is not."""
    again = _message(500, ">", "INVITE", "1 INVITE")
    other_hop = _message(1, "<", "INVITE", "1 INVITE")
    found = _call(INVITE, again, other_hop, OK, _message(3_500, "<", "200 OK", "1 INVITE", tags="a b"))
    assert (found.retransmissions, found.reinvites, found.talk_ms, found.unacknowledged) == (2, 0, None, True)


def test_a_second_offer_leaves_the_beginning_alone():
    """A re-INVITE, refused or not, changes neither answer nor state."""
    again = _message(5_000, "<", "INVITE", "1 INVITE", tags="b a")
    refused = _message(5_010, ">", "488 No", "1 INVITE", tags="b a")
    found = _call(INVITE, OK, ACK, again, refused)
    assert (found.state, found.final_status, found.reinvites) == (CallState.ANSWERED, 200, 1)


def test_a_challenge_is_no_ending():
    """After 407 the next INVITE is the same call, and its credentials were accepted."""
    challenge = _message(1, "<", "407 Who", "1 INVITE", extra=f"Proxy-Authenticate: {DIGEST.format('n1')}")
    second = _message(9, ">", "INVITE", "2 INVITE", extra=f"Proxy-Authorization: {DIGEST.format('n1')}")
    found = _call(INVITE, challenge, second, _message(20, "<", "180 Ringing", "2 INVITE", tags="a b"))
    assert (found.state, found.final_status, found.post_dial_ms) == (CallState.RINGING, None, 20.0)
    assert found.authentication.outcome is AuthOutcome.OPEN
    found = _call(INVITE, challenge, second, _message(20, "<", "486 Busy", "2 INVITE", tags="a b"))
    assert (found.authentication.outcome, found.authentication.failed) == (AuthOutcome.ACCEPTED, False)


def _hop(at_ms: int, hosts: str, start: str, extra: str = "", status: bool = False) -> SipMessage:
    """A message of the second INVITE between two hosts of three; each hop has its own branch."""
    ends = [Endpoint(f"10.0.0.{host}", 5060) for host in hosts]
    branch = "z" + "".join(sorted(hosts))
    first = f"SIP/2.0 {start}" if status else f"{start} sip:b@h SIP/2.0"
    text = (
        f"{first}\r\nVia: SIP/2.0/UDP h;branch={branch}\r\nFrom: <sip:a@h>;tag=a\r\nTo: <sip:b@h>\r\n"
        f"Call-ID: c\r\nCSeq: 2 INVITE\r\n{extra}\r\n\r\n"
    ).encode()
    read = read_message(Datagram(at_ms * 1_000_000, ends[0], ends[1], text, len(text)), SipTransport.UDP)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("answer", "outcome", "forbidden"),
    [
        ("200 OK", AuthOutcome.ACCEPTED, 0),
        ("180 Ringing", AuthOutcome.ACCEPTED, 0),
        ("503 Later", AuthOutcome.ACCEPTED, 0),
        ("403 Not this number", AuthOutcome.ACCEPTED, 0),
    ],
)
def test_a_proxy_that_sends_a_request_on_has_accepted_its_credentials(
    answer: str, outcome: AuthOutcome, forbidden: int
):
    """Behind a proxy that strips credentials, an answer from the callee does not judge them."""
    challenge = _message(1, "<", "407 Who", "1 INVITE", extra=f"Proxy-Authenticate: {DIGEST.format('n1')}")
    found = _call(
        INVITE,
        challenge,
        _hop(2, "12", "INVITE", f"Proxy-Authorization: {DIGEST.format('n1')}"),
        _hop(3, "23", "INVITE"),
        _hop(4, "32", answer, status=True),
        _hop(5, "21", answer, status=True),
    )
    assert (found.authentication.outcome, found.authentication.forbidden) == (outcome, forbidden)
    assert found.authentication.challenges == 1


def test_credentials_that_no_proxy_sends_on_stay_open():
    """Where the proxy does not send the request on, credentials without an answer stay open, and a 403 refuses them."""
    tried = _hop(2, "12", "INVITE", f"Proxy-Authorization: {DIGEST.format('n1')}")
    challenge = _message(1, "<", "407 Who", "1 INVITE", extra=f"Proxy-Authenticate: {DIGEST.format('n1')}")
    assert _call(INVITE, challenge, tried).authentication.outcome is AuthOutcome.OPEN
    refused = _call(INVITE, challenge, tried, _hop(3, "21", "403 Wrong", status=True))
    assert refused.authentication.outcome is AuthOutcome.FORBIDDEN


def _register(at_ms: int, number: int, nonce: str = "", extra: str = "") -> SipMessage:
    credentials = f"Authorization: {DIGEST.format(nonce)}\r\n" if nonce else ""
    return _message(at_ms, ">", "REGISTER", f"{number} REGISTER", extra=credentials + extra)


def _answer(at_ms: int, number: int, status: str, nonce: str = "", extra: str = "") -> SipMessage:
    challenge = f"WWW-Authenticate: {DIGEST.format(nonce)}{extra}" if nonce else extra
    return _message(at_ms, "<", status, f"{number} REGISTER", extra=challenge)


def _registration(*messages: SipMessage) -> Registration:
    found = follow_registration(_dialog(*messages))
    assert found is not None
    return found


def test_a_registration_with_a_password():
    """One challenge and accepted credentials leave the account registered for the time granted."""
    found = _registration(
        _register(0, 1, extra="Expires: 3600"),
        _answer(1, 1, "401 Who", "n1"),
        _register(2, 2, "n1"),
        _answer(3, 2, "200 OK", extra="Contact: <sip:a@10.0.0.1>;expires=60"),
    )
    assert (found.state, found.expires_s, found.account) == (RegistrationState.REGISTERED, 60, "sip:b@h")
    assert (found.client, found.registrar, found.requests, found.unanswered) == (A, B, 2, 0)
    assert (found.authentication.outcome, found.authentication.challenges) == (AuthOutcome.ACCEPTED, 1)


def test_a_wrong_password_is_a_loop():
    """Credentials that are challenged again and again are counted as refused, and the registration as well."""
    rounds = [(_register(at, at, f"n{at}"), _answer(at, at, "401 No", f"n{at + 1}")) for at in range(1, 6)]
    found = _registration(*(each for pair in rounds for each in pair))
    assert (found.state, found.authentication.outcome) == (RegistrationState.REFUSED, AuthOutcome.REFUSED)
    assert (found.authentication.refused, found.authentication.wrong_nonce) == (5, 0)


def test_a_stale_nonce_is_no_refusal():
    """A challenge that calls the nonce stale asks for the same password again, and means no failure."""
    found = _registration(
        _register(0, 1, "old"),
        _answer(1, 1, "401 No", "new", ", stale=true"),
        _register(2, 2, "new"),
        _answer(3, 2, "200 OK"),
    )
    assert (found.authentication.stale, found.authentication.refused) == (1, 0)
    assert found.authentication.outcome is AuthOutcome.ACCEPTED


def test_a_nonce_nobody_gave_is_wrong():
    """Credentials for another nonce than the challenges gave are counted, masked ones are not."""
    given, masked = _answer(1, 1, "401 No", "n1"), _register(4, 3, "xxxx")
    found = _registration(_register(0, 1), given, _register(2, 2, "n2"), masked)
    assert found.authentication.wrong_nonce == 1


@pytest.mark.parametrize(
    ("messages", "state"),
    [
        ((_register(0, 1),), RegistrationState.NO_ANSWER),
        ((_register(0, 1), _answer(1, 1, "401 Who", "n")), RegistrationState.CHALLENGED),
        ((_register(0, 1), _answer(1, 1, "403 Forbidden")), RegistrationState.REFUSED),
        ((_register(0, 1), _answer(1, 1, "503 Later")), RegistrationState.FAILED),
        ((_register(0, 1, extra="Expires: 0"), _answer(1, 1, "200 OK")), RegistrationState.REMOVED),
    ],
)
def test_each_registration_ends_in_its_state(messages: tuple[SipMessage, ...], state: RegistrationState):
    """What the last answer said is what the registration is."""
    assert _registration(*messages).state is state


def test_a_subscription_knows_its_last_notification():
    """Event, answer and the last notified state are told; the subscriber is who asked."""
    found = follow_subscription(
        _dialog(
            _message(0, ">", "SUBSCRIBE", "1 SUBSCRIBE", extra="Event: dialog;x=y"),
            _message(1, "<", "202 Accepted", "1 SUBSCRIBE"),
            _message(2, "<", "NOTIFY", "1 NOTIFY", tags="b a", extra="Subscription-State: active;expires=60"),
            _message(9, "<", "NOTIFY", "2 NOTIFY", tags="b a", extra="Subscription-State: terminated;reason=timeout"),
        )
    )
    assert found is not None
    assert (found.event, found.subscriber, found.final_status, found.notifications) == ("dialog", "sip:a@h", 202, 2)
    assert found.state == "terminated;reason=timeout"


def test_probes_are_timed():
    """OPTIONS are counted by pair of addresses, with their answers, losses and waits."""
    (found,) = follow_probes(
        [
            _message(0, ">", "OPTIONS", "1 OPTIONS", call="x"),
            _message(4, "<", "200 OK", "1 OPTIONS", call="x"),
            _message(100, ">", "OPTIONS", "1 OPTIONS", call="y"),
            _message(600, ">", "OPTIONS", "1 OPTIONS", call="y"),
            _message(700, ">", "OPTIONS", "1 OPTIONS", call="z"),
            _message(720, "<", "503 No", "1 OPTIONS", call="z"),
        ]
    )
    assert (found.source, found.destination) == (A, B)
    assert (found.requests, found.answered, found.retransmissions) == (3, 2, 1)
    assert (found.statuses, found.min_ms, found.mean_ms, found.max_ms) == (((200, 1), (503, 1)), 4.0, 12.0, 20.0)


def test_dialogs_are_bounded_and_ordered():
    """Call-IDs past the limit are counted by their messages, and late messages find their place in time."""
    omitted: Counter[Omission] = Counter()
    flood = [_message(at, ">", "INVITE", "1 INVITE", call=f"c{at % 50}") for at in reversed(range(100))]
    found = group(flood, Limits(dialogs=10), omitted)
    assert [each.call_id for each in found] == [f"c{at}" for at in range(10)]
    assert omitted == {Omission.DIALOG_OVER_LIMIT: 80}
    assert [each.time_ns for each in found[3].messages] == [3_000_000, 53_000_000]
