"""Promises of the policy store on every database."""

import random

import pytest
import sqlalchemy as sa

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.model import Guard, Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.store import policy
from linewarden.authz.store.policy import PolicyDelta, PolicyStore, StoredStatement, apply_change


def change(store: LogStore, log: int, now: PolicyDelta, added: list[str], removed: list[StoredStatement]) -> object:
    """Append a change of the policy as the service does."""
    revision, hash = now.revision + 1, bytes((now.revision,)) * 32
    (result,) = store.append(
        [
            Unit(
                log,
                (b"changed",),
                (Guard(log, now.revision),),
                effect=lambda connection: apply_change(connection, log, revision, hash, added, removed),
                moves_revision=True,
            )
        ]
    )
    return result


def test_changes_lead_to_the_same_policy_as_a_whole_look(store: LogStore, engine: sa.Engine) -> None:
    """After any additions and removals, the changes since each revision are verified and give the policy in force."""
    policy.metadata.create_all(engine)
    policies, chosen = PolicyStore(store), random.Random(7)
    seen = [policies.since(1, 0)]
    held = [dict[str, str]()]
    for turn in range(25):
        now = policies.since(1, 0)
        removed = chosen.sample(list(now.added), min(len(now.added), chosen.randrange(4)))
        assert isinstance(change(store, 1, now, [f"s{turn}.{n}" for n in range(chosen.randrange(5))], removed), int)
        seen.append(policies.since(1, 0))
        held.append({one.id: one.text for one in seen[-1].added})
    for known, before in zip(seen, held, strict=True):
        delta = policies.since(1, known.revision, known.total)
        after = before | {one.id: one.text for one in delta.added}
        assert {id: text for id, text in after.items() if id not in {one.id for one in delta.removed}} == held[-1]
        assert (delta.total, delta.hash) == (seen[-1].total, seen[-1].hash)


def test_changes_are_verified_from_what_is_known(store: LogStore, engine: sa.Engine) -> None:
    """The store does not lead a reader with a different earlier policy to the newest one."""
    policy.metadata.create_all(engine)
    policies = PolicyStore(store)
    for turn in range(2):
        change(store, 1, policies.since(1, 0), [f"s{turn}"], [])
    with pytest.raises(PolicyNotOurs):
        policies.since(1, 1, policies.since(1, 0).total)


def test_a_change_does_not_begin_with_a_version_that_others_wrote(store: LogStore, engine: sa.Engine) -> None:
    """The store refuses a change on top of rows that the service did not seal, and records nothing."""
    policy.metadata.create_all(engine)
    policies = PolicyStore(store)
    change(store, 1, policies.since(1, 0), ["a", "b"], [])
    now = policies.since(1, 0)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE policy_version SET seal = NULL")
    assert isinstance(change(store, 1, now, ["c"], []), PolicyNotOurs)
    assert store.head(1).size == 1


def test_what_changed_is_found_by_an_index(sqlite_url: str) -> None:
    """SQLite finds the statements that a change touched through indexes, and reads no unchanged statement."""
    engine = open_engine(sqlite_url)
    for metadata in (schema.metadata, policy.metadata):
        metadata.create_all(engine)
    store = LogStore(engine)
    for tenant in ("", "acme"):
        store.create(tenant, f"origin {tenant}", 1)
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    PolicyStore(store).since(1, 0)
    sa.event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())  # type: ignore[arg-type]
            for statement, parameters in asked
            if "policy_statement" in statement
        ]
    assert [("added_in>? AND added_in<?" in plan, "removed_in>? AND removed_in<?" in plan) for plan in plans] == [
        (True, False),
        (False, True),
    ]
    store.close()
    engine.dispose()


def test_seals_of_logs_are_apart(store: LogStore, engine: sa.Engine) -> None:
    """Equal statements at equal revisions of two tenants have seals that cannot be exchanged."""
    policy.metadata.create_all(engine)
    policies = PolicyStore(store)
    for log in (1, 2):
        change(store, log, policies.since(log, 0), ["a"], [])
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM policy_version WHERE log = 1")
        connection.exec_driver_sql("UPDATE policy_version SET log = 1 WHERE log = 2")
    for log in (1, 2):
        with pytest.raises(LogUnavailable):
            policies.since(log, 0)


def test_a_stored_assignment_that_others_changed_is_noticed(store: LogStore, engine: sa.Engine) -> None:
    """Assignments are sealed as rules are: a person, a bound or an address that others changed is refused."""
    policy.metadata.create_all(engine)
    policies = PolicyStore(store)
    text = "assign ext:1001@internal zed until=2026-09-01T00:00:00Z"
    change(store, 1, policies.since(1, 0), ["bind ann role:user", text], [])
    assert [one.text for one in policies.since(1, 0).added][1] == text
    for forged in (text.replace("zed", "mallory"), text.replace("2026", "2027"), text.replace("1001", "1002")):
        for stored, fits in ((forged, False), (text, True)):
            with engine.begin() as connection:
                query = sa.text("UPDATE policy_statement SET text = :text WHERE ordinal = 2")
                connection.execute(query, {"text": stored})
            if fits:
                assert policies.since(1, 0).revision == 1
            else:
                with pytest.raises(PolicyNotOurs):
                    policies.since(1, 0)
