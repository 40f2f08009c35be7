"""The memory that decisions leave behind, and the time for which they block others."""

import gc
import itertools
import tracemalloc
from collections.abc import Callable, Sequence

import pytest

from linewarden.audit.cache import Budget, Cache
from linewarden.authz.casbin_model import stock_enforcer, stock_request
from linewarden.authz.model import Context, Decision, Resource, ResourceType, Verb
from linewarden.authz.renderings import MemoizedRendering
from linewarden.authz.service import _recorded
from linewarden.authz.snapshot import TURN, Snapshot
from linewarden.authz.statements import parse_statement
from linewarden.server.access import _messages

HASH = bytes(32)
NOW = 1_790_000_000_000_000
MEGABYTE = 1 << 20


def compiled(lines: Sequence[str], budget: Budget | None = None) -> Snapshot:
    """Return the snapshot of these lines."""
    return Snapshot.compile(1, HASH, ((f"1.{n}", parse_statement(line)) for n, line in enumerate(lines)), budget)


def test_a_cache_keeps_what_is_in_use_and_forgets_the_oldest() -> None:
    """A cache never passes its budget, and keeps a value that is in use."""
    budget = Budget(100_000)
    cache: Cache[int, str] = Cache(budget)
    for number in range(2_000):
        cache.put(number, str(number), 1_000)
        assert cache.get(0) == "0"
        assert cache.held == budget.held() <= 100_000
    assert cache.get(1_999) == "1999"
    assert cache.get(1_000) is None


def test_a_value_that_grows_is_counted_once() -> None:
    """A value that is put again counts with its new cost alone."""
    budget = Budget(100_000)
    cache: Cache[str, str] = Cache(budget)
    cache.put("a", "x", 10)
    before = budget.held()
    cache.put("a", "x", 500)
    assert budget.held() == before + 490


def test_the_largest_cache_forgets_first() -> None:
    """A cache that fills the budget evicts its values, and a small one beside it keeps all."""
    budget = Budget(100_000)
    quiet: Cache[int, str] = Cache(budget)
    loud: Cache[int, str] = Cache(budget)
    for number in range(10):
        quiet.put(number, str(number), 1_000)
    for number in range(5_000):
        loud.put(number, str(number), 1_000)
        assert budget.held() <= 100_000
    assert [quiet.get(number) for number in range(10)] == [str(number) for number in range(10)]


def test_a_value_larger_than_the_budget_is_not_kept() -> None:
    """A value that alone passes the budget is evicted at once."""
    budget = Budget(10_000)
    cache: Cache[int, str] = Cache(budget)
    cache.put(1, "large", 1_000_000)
    assert budget.held() == 0


def test_caches_that_are_gone_count_nothing() -> None:
    """The memory of a replaced snapshot is free for others."""
    budget = Budget(100_000)
    for _ in range(50):
        cache: Cache[int, str] = Cache(budget)
        for number in range(50):
            cache.put(number, str(number), 1_000)
        assert len(cache) == 50
        del cache
    assert budget.held() == 0


def _persons() -> tuple[list[str], Callable[[int], tuple[str, Resource, Context]]]:
    lines = [f"bind p{n} role:r{n % 40}" for n in range(3_000)]
    lines += [f"allow role:r{n} play recording any if age<90d then announce" for n in range(40)]
    return lines, lambda n: (f"p{n % 3_000}", Resource(ResourceType.RECORDING, str(n), created_us=NOW), Context(NOW))


def _items() -> tuple[list[str], Callable[[int], tuple[str, Resource, Context]]]:
    lines = [f"allow role:r play recording id:i{n} if zone=a,b" for n in range(3_000)]
    lines += [f"bind p{n} role:r" for n in range(30)]
    return lines, lambda n: (f"p{n % 30}", Resource(ResourceType.RECORDING, f"i{n % 3_000}"), Context(NOW, zone="a"))


def _roles() -> tuple[list[str], Callable[[int], tuple[str, Resource, Context]]]:
    lines = [f"bind p{n} role:r{k}" for n in range(60) for k in range(60)]
    lines += [f"allow role:r{k} play recording any if zone=z{k}" for k in range(60)]
    return lines, lambda n: (f"p{n % 60}", Resource(ResourceType.RECORDING, "1"), Context(NOW, zone=f"z{n % 12}"))


def _explained() -> tuple[list[str], Callable[[int], tuple[str, Resource, Context]]]:
    lines = [f"allow role:r play recording any if zone!=z{n}" for n in range(200)]
    lines += [f"bind p{n} role:r" for n in range(200)]
    return lines, lambda n: (f"p{n % 200}", Resource(ResourceType.RECORDING, "1"), Context(NOW, zone=f"z{n % 4}"))


@pytest.mark.slow
@pytest.mark.parametrize("made", [_persons, _items, _roles, _explained], ids=lambda one: one.__name__)
def test_estimates_are_honest(
    made: Callable[[], tuple[list[str], Callable[[int], tuple[str, Resource, Context]]]],
) -> None:
    """The stated size of a cache is no less than its allocated memory, and not much more."""
    lines, question = made()
    budget = Budget(1 << 40)
    snapshot = compiled(lines, budget)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(3_000):
            subject, resource, context = question(number)
            explanation = snapshot.decide(subject, Verb.PLAY, resource, context).explanation
            _recorded(explanation), _messages(explanation)
        gc.collect()
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.9 * allocated <= budget.held() <= 8 * allocated


def test_answers_stay_right_when_memory_is_short() -> None:
    """A snapshot with hardly any memory evicts, and answers as Casbin does."""
    lines, question = _roles()
    snapshot, enforcer = compiled(lines[-120:], Budget(20_000)), stock_enforcer(map(parse_statement, lines[-120:]))
    for number in range(200):
        subject, resource, context = question(number)
        allowed = snapshot.decide(subject, Verb.PLAY, resource, context).allowed
        assert allowed is enforcer.enforce(*stock_request(subject, Verb.PLAY, resource, context))


@pytest.mark.slow
def test_parsing_leaves_little_behind() -> None:
    """The parser's caches keep little of parsed lines, however long these are."""
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(6_000):
            scopes = ",".join(f"queue:q{number}.{n}" for n in range(90))
            zones = ",".join(f"z{number}-{n}" for n in range(40))
            parse_statement(f"allow ann play recording {scopes} if zone={zones}")
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 8 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_forms_live_as_long_as_their_explanation() -> None:
    """A rendering is made once for an explanation, and another explanation has a different one."""
    numbers = itertools.count(1)
    kept = MemoizedRendering(lambda _explanation: next(numbers))
    first, second = (compiled([f"allow ann play recording {scope}"]) for scope in ("any", "id:1"))
    ask = ("ann", Verb.PLAY, Resource(ResourceType.RECORDING, "1"), Context(NOW))
    assert [kept(one.decide(*ask).explanation) for one in (first, first, second, second)] == [1, 1, 2, 2]


def test_a_long_decision_is_made_in_turns() -> None:
    """A decision on thousands of rules runs in short steps, is cached, and equals that of Casbin."""
    count = 20
    lines = [f"bind ann role:r{r}" for r in range(count)]
    lines += [f"allow role:r{r} play recording any if zone=z{n}" for r in range(count) for n in range(256)]
    snapshot = compiled(lines)
    ask = ("ann", Verb.PLAY, Resource(ResourceType.RECORDING, "1"), Context(NOW, zone="z7"))
    work = snapshot.ask(*ask)
    assert not isinstance(work, Decision)
    assert len(list(work)) > count * 256 // TURN
    decision = snapshot.ask(*ask)
    assert isinstance(decision, Decision)
    assert decision.allowed
    assert len(decision.matched) + decision.explanation.more_matched == count
    assert len(decision.failed) + decision.explanation.more_failed == count * 255
    assert compiled(lines).decide(*ask) == decision
