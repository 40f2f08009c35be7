"""Recovery by the operator: acceptance of a log that is older than before, or of a clock that was set back.

Both leave an entry that a reader of the log cannot overlook. A recovered log continues under a new origin. Its first
entry names the former origin, size and root of the restored log, the last checkpoint, the reason and the account.
Earlier entries stay verifiable, also against checkpoints of the former origin. Revisions jump, and ids carry the
generation of the log, so that neither repeats a value of the lost part.
"""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from linewarden.audit.canonical_text import to_base64
from linewarden.audit.entry import CLOCK_CORRECTED, LOG_RECOVERED, encode
from linewarden.audit.errors import RolledBack
from linewarden.audit.merkle import Frontier
from linewarden.audit.model import SYSTEM_LOG, Head
from linewarden.audit.store.append import CLOCK_TOLERANCE_US
from linewarden.authz.store import policy
from linewarden.server.operator_actions import OPERATOR
from linewarden.server.storage import Storage
from linewarden.server.store import keys

#: More revisions than a policy gets between two backups, because the revisions of the lost part are not known.
REVISION_STEP = 1_000_000


@dataclass(frozen=True, slots=True)
class Recovered:
    """A recovered log: its accepted size, and the size in the last checkpoint before; 0 without a checkpoint."""

    tenant: str
    size: int
    anchored: int
    origin: str


def rolled_back(storage: Storage) -> dict[int, RolledBack]:
    """Return the logs that are refused because they are older than a state seen before, by their numbers.

    Raises:
        LogUnavailable: the database failed.
    """
    return {log_id: error for log_id, error in storage.continuity.look().items() if isinstance(error, RolledBack)}


def recover(storage: Storage, log_id: int, reason: str, now_us: int) -> Recovered:
    """Accept a log as it is, under a new origin.

    Raises:
        PolicyNotOurs, KeysNotOurs: its policy, or the API keys, are not those that the service wrote.
        LogUnavailable: its head is not one that the service wrote, or the database failed.
    """
    origin = os.urandom(16).hex()
    before = storage.log.head(log_id)
    try:
        anchor = storage.anchors.last(before.origin_id)
    except RolledBack:  # signed by another key, so it proves nothing
        anchor = None
    mark = storage.log.marks.stored(log_id)
    generation = 1 + max(before.generation, mark.generation if mark else 0)
    revision = REVISION_STEP + max(before.revision, mark.revision if mark else 0)

    def amendment(head: Head) -> tuple[Head, bytes]:
        root = Frontier.from_bytes(head.size, head.frontier).root()
        fields = _by(reason) | {
            "origin": storage.anchors.signer(origin).verifier.name,
            "former_origin": storage.anchors.signer(head.origin_id).verifier.name,
            "size": head.size,
            "root": to_base64(root),
            "generation": generation,
            "revision": revision,
        }
        if anchor is not None:
            fields["anchor"] = {"size": anchor.checkpoint.size, "root": to_base64(anchor.checkpoint.root)}
        changed = replace(
            head,
            origin_id=origin,
            former_origin=head.origin_id,
            origin_start=head.size,
            generation=generation,
            revision=revision,
        )
        return changed, encode(LOG_RECOVERED, max(now_us, head.time_us), fields)

    carry_over: Callable[[Any, Head, Head], None]
    carry_over = keys.carry_over if log_id == SYSTEM_LOG else policy.carry_over
    after = storage.log.amend(log_id, amendment, carry_over)
    storage.anchors.retire(before.origin_id)
    storage.index.forget(log_id)
    return Recovered(after.tenant, after.origin_start, anchor.checkpoint.size if anchor else 0, origin)


def correct_clock(storage: Storage, reason: str, now_us: int) -> list[str]:
    """Set the time of all logs back to the wall clock. Return the tenants whose logs were ahead of it.

    Raises:
        LogUnavailable: the database failed.
    """

    def amendment(head: Head) -> tuple[Head, bytes]:
        fields = _by(reason) | {"expected": head.time_us, "found": now_us}
        return replace(head, time_us=now_us), encode(CLOCK_CORRECTED, now_us, fields)

    ahead = [head for head in storage.log.heads() if head.time_us > now_us + CLOCK_TOLERANCE_US]
    for head in ahead:
        storage.continuity.admit(head.log)
        storage.log.amend(head.log, amendment, lambda _connection, _before, _after: None)
    return [head.tenant for head in ahead]


def _by(reason: str) -> dict[str, object]:
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = str(os.geteuid())
    return {"caller": OPERATOR, "account": account, "reason": reason}
