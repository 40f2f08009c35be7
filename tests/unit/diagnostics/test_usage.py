"""Anonymous counts: what is shown, and who takes what along."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from linewarden.audit.store.engine import open_engine
from linewarden.diagnostics.store.usage import UsageStore, add_count
from linewarden.diagnostics.usage import Usage
from tests.unit.diagnostics.parts import LOG, SECOND, Office

DAY_US = 86_400 * SECOND


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Everything around diagnostics, on SQLite."""
    engine = open_engine(f"sqlite:///{tmp_path}/test.db")
    made = Office(engine)
    yield made
    await made.close()
    engine.dispose()


async def test_leaving_takes_along_what_is_not_closed_yet(office: Office) -> None:
    """Who opts out is in no count that is made afterwards; days that are closed stay."""
    await office.permit()
    usage = Usage(UsageStore(office.log), 2)
    admin = await office.ctx("admin")
    await office.take(office.terms.share_usage(admin, share=True))
    for day in (admin.now_us, admin.now_us + DAY_US):
        with office.log.writing() as connection:
            for log in (LOG, 2):
                add_count(connection, day // DAY_US, "often", log)
        if day == admin.now_us:
            usage.close_days(admin.now_us + DAY_US)
    closed = usage.document()
    assert '"often":2' in closed
    await office.take(office.terms.share_usage(await office.ctx("admin"), share=False))
    usage.close_days(admin.now_us + 2 * DAY_US)
    assert usage.document() == closed


async def test_a_day_without_counts_is_not_shown(office: Office) -> None:
    """A day without a published count does not reveal that a tenant takes part."""
    usage = Usage(UsageStore(office.log), 3)
    with office.log.writing() as connection:
        for log in (1, 2):
            add_count(connection, 7, "rare", log)
    usage.close_days(9 * DAY_US)
    assert usage.document() == '{"days":[],"threshold":3,"v":1}'
    with office.log.writing() as connection:
        for log in (1, 2, 3):
            add_count(connection, 7, "rare", log)
    usage.close_days(9 * DAY_US)
    assert usage.document() == '{"days":[],"threshold":3,"v":1}'
